import json
from typing import Any

import numpy as np
import pytest

from ldseg.data.preprocess import Preprocessing
from ldseg.errors import ConfigError

RANKS = [("YX", (12, 20), (31, 47)), ("TYX", (4, 8, 12), (4, 17, 23)), ("ZYX", (8, 8, 12), (13, 17, 9))]


def disc(size: tuple[int, ...]) -> np.ndarray:
    grid = np.meshgrid(*[np.linspace(-1, 1, length) for length in size], indexing="ij")
    return (np.square(grid).sum(axis=0) < 0.6).astype(np.int32)


@pytest.mark.parametrize(("axes", "size", "case"), RANKS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_constants_and_range(axes: str, size: tuple[int, ...], case: tuple[int, ...], channels: int) -> None:
    step = Preprocessing(size=size, axes=axes, channels=channels)
    image = np.random.default_rng(0).random((*case, channels), np.float32)
    small = step.image_to_grid(image)
    assert small.shape == (*size, channels)
    assert small.dtype == np.float32
    assert small.min() >= 0
    assert small.max() <= 1
    np.testing.assert_allclose(step.image_to_grid(np.full_like(image, 0.3)), 0.3, atol=1e-5)
    same = image[tuple(slice(0, 1) for _ in size)] * np.ones((*size, 1), np.float32)
    np.testing.assert_allclose(step.image_to_grid(same), same, atol=1e-6)


@pytest.mark.parametrize(("axes", "size", "case"), RANKS)
def test_a_label_survives_the_grid_and_back(axes: str, size: tuple[int, ...], case: tuple[int, ...]) -> None:
    step = Preprocessing(size=size, axes=axes)
    label = disc(case)
    grid = step.label_to_grid(label)
    assert grid.shape == size
    assert grid.dtype == np.int32
    back = step.probabilities_to_case(np.eye(2, dtype=np.float32)[grid], case)
    assert back.shape == (*case, 2)
    np.testing.assert_allclose(back.sum(-1), 1, atol=1e-5)
    found = back.argmax(-1)
    assert 2 * (found & label).sum() / (found.sum() + label.sum()) > 0.87


@pytest.mark.parametrize(
    ("axes", "size", "case", "grid"),
    [
        ("YX", (224, 224), (224, 224), (224, 224)),
        ("YX", (224, 224), (522, 775), (224, 333)),
        ("YX", (224, 224), (100, 50), (448, 224)),
        ("YX", (256, 384), (522, 775), (259, 384)),
        ("TYX", (4, 32, 32), (9, 40, 80), (9, 32, 64)),
        ("ZYX", (8, 32, 32), (20, 64, 80), (10, 32, 40)),
    ],
)
def test_the_aspect_is_kept(axes: str, size: tuple[int, ...], case: tuple[int, ...], grid: tuple[int, ...]) -> None:
    """The smallest grid of the case's own aspect into which the tile fits."""
    assert Preprocessing(size=size, axes=axes, fit="aspect").grid_of(case) == grid


def test_shrinking_averages_over_areas() -> None:
    image = np.random.default_rng(1).random((24, 40, 3), np.float32)
    means = image.reshape(12, 2, 20, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(Preprocessing(size=(12, 20)).image_to_grid(image), means, atol=1e-6)


def test_one_axis_shrinks_while_the_other_grows() -> None:
    stripes = np.zeros((40, 10, 1), np.float32)
    stripes[::2] = 1  # finer than the grid: sampling without area average would alias to 0 or 1
    grid = Preprocessing(size=(10, 30), channels=1).image_to_grid(stripes)
    np.testing.assert_allclose(grid, 0.5, atol=1e-6)


def test_growing_is_linear_and_keeps_pixel_edges_in_place() -> None:
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[None, :, None] / 8, (8, 8, 1))
    grown = Preprocessing(size=(8, 16), channels=1).image_to_grid(np.ascontiguousarray(ramp))
    expected = np.clip((np.arange(16) + 0.5) / 2 - 0.5, 0, 7) / 8
    np.testing.assert_allclose(grown[0, :, 0], expected, atol=1e-6)


def test_labels_equal_the_largest_share_of_one_hot_planes() -> None:
    label = np.random.default_rng(2).integers(0, 3, (18, 22)).repeat(3, 0).repeat(3, 1).astype(np.int32)
    step = Preprocessing(size=(27, 33), classes=("a", "b", "c"))
    planes = [step.image_to_grid((label == k).astype(np.float32)[..., None])[..., 0] for k in range(3)]
    np.testing.assert_array_equal(step.label_to_grid(label), np.argmax(planes, axis=0))
    own = label[:27, :33]
    np.testing.assert_array_equal(step.label_to_grid(own), own)


def test_many_classes_come_back_to_the_size_of_the_case() -> None:
    probabilities = np.random.default_rng(3).dirichlet(np.ones(7), (16, 24)).astype(np.float32)
    step = Preprocessing(size=(16, 24), classes=tuple("abcdefg"))
    for size in ((50, 41), (9, 60), (7, 5)):
        back = step.probabilities_to_case(probabilities, size)
        assert back.shape == (*size, 7)
        np.testing.assert_allclose(back.sum(-1), 1, atol=1e-5)


def test_it_goes_through_json() -> None:
    step = Preprocessing(size=(16, 24), channels=1, intensity="percentile", classes=("a", "b"), labels="binary")
    assert Preprocessing.from_dict(json.loads(json.dumps(step.to_dict()))) == step
    assert step.num_classes == 2
    for wrong in ({**step.to_dict(), "colour": 1}, {"channels": 3}):
        with pytest.raises(ConfigError, match="knows the keys"):
            Preprocessing.from_dict(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (16,)},
        {"size": (16, 0)},
        {"channels": 5},
        {"intensity": "max"},
        {"classes": ("one",)},
        {"classes": ("a", "a")},
        {"labels": "none"},
        {"axes": "XY"},
        {"axes": "ZYX"},
    ],
)
def test_wrong_values_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong)) if "axes" not in wrong else "axes|axis"):
        Preprocessing(**{"size": (16, 24), **wrong})


@pytest.mark.parametrize("grid", [(5, 6, 7), (9, 12, 4)])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_slabs_are_those_of_the_whole(grid: tuple[int, ...], rows: int) -> None:
    step = Preprocessing(size=grid, axes="ZYX", channels=1, classes=("a", "b", "c"))
    probabilities = np.random.default_rng(2).random((*grid, 3), dtype=np.float32)
    whole, size = step.probabilities_to_case(probabilities, (9, 11, 6)), (9, 11, 6)
    places, makers = zip(*step.slabs_of_case(probabilities, size, rows))
    parts = [make() for make in makers]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(np.concatenate([whole[place] for place in places]), whole)


def test_zoom_makes_an_aspect_finer() -> None:
    once, twice = (Preprocessing(size=(64, 64), channels=3, fit="aspect", zoom=zoom) for zoom in (1.0, 2.5))
    assert once.grid_of((1000, 1500)) == (64, 96)
    assert twice.grid_of((1000, 1500)) == (160, 240)
    assert Preprocessing.from_dict({"size": (64, 64)}).zoom == 1.0  # weights from before there was one
    with pytest.raises(ConfigError, match="zoom must be at least 1"):
        Preprocessing(size=(64, 64), channels=3, fit="aspect", zoom=0.5)
