"""Masks drawn over their image."""

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ldseg import viz
from ldseg.errors import DataError

SIDE = 64


def _square(side: int = SIDE) -> np.ndarray:
    labels = np.zeros((side, side), np.int32)
    labels[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
    return labels


def _tissue() -> tuple[np.ndarray, np.ndarray]:
    """A real stained image, and a rough mask of its brown epithelium."""
    from scipy import ndimage
    from skimage import data

    image = data.immunohistochemistry().astype(np.float32) / 255
    return image, (ndimage.gaussian_filter(image[..., 2], 6) < 0.6).astype(np.int32)


def test_overlay_tints_inside_and_leaves_the_background_alone() -> None:
    image = np.full((SIDE, SIDE, 3), 0.5, np.float32)
    out = viz.overlay(image, _square(), alpha=0.4)
    assert out.shape == (SIDE, SIDE, 3) and out.dtype == np.uint8
    np.testing.assert_array_equal(out[2, 2], [128, 128, 128])
    colour = np.array(to_rgb(viz.CLASS_COLOURS[1]))
    np.testing.assert_allclose(out[SIDE // 2, SIDE // 2] / 255, 0.6 * 0.5 + 0.4 * colour, atol=1 / 255)
    np.testing.assert_allclose(out[SIDE // 4, SIDE // 2] / 255, colour, atol=1 / 255)  # the outline is opaque


def test_overlay_of_empty_labels_is_the_image() -> None:
    image = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    out = viz.overlay(image, np.zeros((20, 30), int), true=np.zeros((20, 30), int))
    np.testing.assert_array_equal(out, np.rint(image * 255))


def test_touching_instances_are_parted_by_an_outline() -> None:
    labels = np.ones((SIDE, SIDE), np.int32)
    labels[:, SIDE // 2 :] = 8  # past the end of the colours: they start again after the background's
    out = viz.overlay(np.ones((SIDE, SIDE, 1)), labels, alpha=0.0, colours=viz.CLASS_COLOURS[:3])
    np.testing.assert_array_equal(out[10, 2], [255, 255, 255])
    for column, colour in ((SIDE // 2 - 1, viz.CLASS_COLOURS[1]), (SIDE // 2, viz.CLASS_COLOURS[2])):
        np.testing.assert_allclose(out[10, column] / 255, to_rgb(colour), atol=1 / 255)


def test_true_outline_has_its_own_colour() -> None:
    image, true = np.zeros((SIDE, SIDE, 3)), np.roll(_square(), 10, axis=1)
    with_true = viz.overlay(image, _square(), true=true)
    assert (with_true != viz.overlay(image, _square())).any()
    edge = with_true[SIDE // 2, 3 * SIDE // 4 + 9].astype(float) / 255
    np.testing.assert_allclose(edge, to_rgb(viz.TRUE_COLOUR), atol=0.05)


@pytest.mark.parametrize("shape", [(3, 16, 20), (2, 3, 16, 20)])
def test_overlay_of_any_rank_draws_each_plane_by_itself(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    image, labels = rng.random((*shape, 1)), rng.integers(0, 3, shape)
    out = viz.overlay(image, labels, true=labels)
    assert out.shape == (*shape, 3)
    first = (0,) * (len(shape) - 2)
    np.testing.assert_array_equal(out[first], viz.overlay(image[first], labels[first], true=labels[first]))


def test_overlay_does_not_change_its_arguments() -> None:
    image = np.full((16, 16, 3), 0.5, np.float32)
    viz.overlay(image, _square(16))
    assert (image == 0.5).all()


def test_outlines_are_readable_on_stained_tissue() -> None:
    """Every line differs from the tissue it covers, and so does the true label's from the prediction's."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    image, labels = _tissue()
    predicted, actual = (np.array(to_rgb(c)) for c in (viz.CLASS_COLOURS[1], viz.TRUE_COLOUR))
    for name, colour in ((viz.CLASS_COLOURS[1], predicted), (viz.TRUE_COLOUR, actual)):
        out = viz.overlay(image, labels, colours=("black", name), alpha=0.0).astype(float) / 255
        on_line = np.abs(out - colour).max(-1) < 0.02
        assert on_line.sum() > 1000
        below = rgb2lab(image[on_line])
        contrast = deltaE_ciede2000(below, np.broadcast_to(rgb2lab(colour), below.shape))
        assert np.percentile(contrast, 1) > 20
    assert deltaE_ciede2000(rgb2lab(predicted), rgb2lab(actual)) > 30


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": np.zeros((4, 5), int)}, r"labels: expected the image's size \(8, 8\), got \(4, 5\)"),
        ({"labels": np.zeros((8, 8))}, "labels: expected an integer array, got float64"),
        ({"true": np.zeros((9, 8), int)}, "true: expected"),
        ({"image": np.zeros((8, 8, 2))}, r"image: expected shape .* got \(8, 8, 2\)"),
        ({"alpha": 1.5}, "alpha: expected 0 to 1, got 1.5"),
        ({"colours": ("black",)}, "colours: expected"),
    ],
)
def test_bad_overlay_arguments_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        viz.overlay(**{"image": np.zeros((8, 8, 3)), "labels": np.zeros((8, 8), int), **change})
