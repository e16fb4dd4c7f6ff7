"""Pictures: shapes, what is drawn where, and files written whole or not at all."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from ldseg import viz
from ldseg.errors import DataError
from ldseg.viz.canvas import Canvas
from ldseg.viz.figures import figure_to_array
from ldseg.viz.volumes import area_chart, crossing

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


def _trace(rank: int = 2, steps: int = 5, channels: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    size = (4, 24, 36)[-rank:]
    return {
        "latents": rng.standard_normal((steps + 1, *(max(1, n // 4) for n in size), channels)).astype(np.float32),
        "masks": rng.random((steps + 1, *size)).astype(np.float32),
        "times": np.linspace(1000, 0, steps + 1).astype(int),
        "image": rng.random((*size, 3)).astype(np.float32),
    }


# Overlay


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


# Legend


def test_a_legend_adds_a_strip_with_every_class_but_the_background() -> None:
    picture = np.full((40, 300, 3), 90, np.uint8)
    out = viz.legend(picture, ["background", "bone", "cartilage"], true_colour=viz.TRUE_COLOUR)
    np.testing.assert_array_equal(out[:40], picture)
    below = out[40:].astype(float) / 255
    for colour, seen in ((viz.CLASS_COLOURS[1], True), (viz.CLASS_COLOURS[2], True), (viz.TRUE_COLOUR, True)):
        assert (np.abs(below - to_rgb(colour)).max(-1) < 0.01).sum() > 10 and seen
    assert not (np.abs(below - to_rgb(viz.CLASS_COLOURS[3])).max(-1) < 0.01).any()
    assert 10 < len(below) < 40


def test_many_names_take_rows_and_a_long_one_widens_the_picture() -> None:
    picture = np.zeros((40, 160, 3), np.uint8)
    few, many = (viz.legend(picture, ["", *["structure"] * k]) for k in (1, 9))
    assert len(many) - 40 > 3 * (len(few) - 40 - 8) and many.shape[1] == 160
    wide = viz.legend(picture, ["", "a structure whose name is longer than the picture"])
    assert wide.shape[1] > 160
    np.testing.assert_array_equal(wide[:40, 160:], 255)


def test_colours_may_be_names_and_start_again() -> None:
    picture = np.zeros((10, 400, 3), np.uint8)
    below = viz.legend(picture, ["", "a", "b", "c"], ("black", "red", "#0000FF"))[10:]
    assert (below == [255, 0, 0]).all(-1).sum() > 1.7 * (below == [0, 0, 255]).all(-1).sum() > 0


@pytest.mark.parametrize(
    ("picture", "names", "words"),
    [
        (np.zeros((9, 9, 3)), ["", "a"], "picture: expected uint8"),
        (np.zeros((9, 9), np.uint8), ["", "a"], "picture: expected uint8"),
        (np.zeros((9, 9, 3), np.uint8), ["a"], "names: expected"),
    ],
)
def test_bad_legends_are_named(picture: np.ndarray, names: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        viz.legend(picture, names)


# Volumes and videos


def _stack(size: tuple[int, int, int] = (12, 24, 36)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, mask and true label: a box of class 1 with a smaller one of class 2 in it, largest in plane 8."""
    rng = np.random.default_rng(0)
    mask = np.zeros(size, np.int32)
    for k, reach in ((6, 4), (7, 5), (8, 7), (9, 3)):
        mask[k, 12 - reach : 12 + reach, 10 : 10 + 2 * reach] = 1
        mask[k, 12 - reach // 2 : 12 + reach // 2, 12:15] = 2
    return rng.random((*size, 1)).astype(np.float32), mask, np.roll(mask, 1, axis=2)


def _view(change: dict[str, Any] | None = None, **more: Any) -> viz.CaseView:
    image, mask, true = _stack()
    return viz.CaseView(**{"image": image, "mask": mask, "true": true, **(change or {}), **more})


def _pixels_of(picture: np.ndarray, colour: str) -> int:
    """How many pixels have a colour."""
    return int((np.abs(picture / 255 - np.array(to_rgb(colour))).max(-1) < 0.01).sum())


def test_a_volume_is_shown_in_three_planes_through_its_object() -> None:
    view = _view(spacing=(3, 1, 1), names=("background", "outer", "inner"), title="Case")
    assert crossing(view)[0] == 8
    picture = viz.volume_picture(view)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    for colour in (*viz.CLASS_COLOURS[1:3], viz.TRUE_COLOUR):  # outlines, and in the legend
        assert _pixels_of(picture, colour) > 100
    assert len(viz.volume_picture(_view(spacing=(3, 1, 1), title="Case", true=None, mask=0 * view.mask))) < len(picture)


def test_a_plane_across_the_slices_has_the_first_slice_below() -> None:
    image = np.zeros((12, 24, 36, 3), np.float32)
    image[0, ..., 0] = 1.0
    picture = viz.volume_picture(viz.CaseView(image=image, mask=np.zeros(image.shape[:3], int)))
    red = np.flatnonzero((picture[..., 0] > 200) & (picture[..., 1] < 90))
    black = np.flatnonzero(picture.max(-1) == 0)
    rows = [found // picture.shape[1] for found in (red, black)]
    assert rows[0].min() > np.median(rows[1])


def test_pictures_of_empty_masks_and_odd_images() -> None:
    image, mask, true = _stack()
    assert crossing(viz.CaseView(image=image, mask=0 * mask)) == [6, 12, 18]
    assert crossing(viz.CaseView(image=image, mask=0 * mask, true=true))[0] == 8
    four = np.concatenate([image * 700 - 300, *[image] * 3], axis=-1)
    for odd in (four, np.full_like(image, np.nan), np.zeros_like(image)):
        assert viz.volume_picture(viz.CaseView(image=odd, mask=mask)).std() > 1
        assert viz.video_picture(viz.CaseView(image=odd[:1], mask=mask[:1])).std() > 1


def test_dark_volumes_are_brightened() -> None:
    image, mask, _ = _stack()
    for factor in (0.01, 30.0):
        shown = viz.CaseView(image=factor * image, mask=0 * mask).shown
        assert shown.min() < 0.1 and shown.max() > 0.9


def test_a_video_is_shown_in_frames_and_areas() -> None:
    image, mask, true = _stack()
    view = viz.CaseView(image=image, mask=mask, true=true[::-1], spacing=(9, 0.5, 2))
    picture, bare = viz.video_picture(view, frames=4), viz.video_picture(replace(view, title="Case"), frames=4)
    assert picture.shape[1] == 1440 and len(bare) - len(picture) == 39
    for colour in (*viz.CLASS_COLOURS[1:3], viz.TRUE_COLOUR):
        assert _pixels_of(picture, colour) > 50
    chart = area_chart(view, [0, 11], 900)
    assert chart.shape == (360, 900, 3)
    assert _pixels_of(chart, viz.CLASS_COLOURS[2]) > 50


@pytest.mark.parametrize("write", [viz.slices_gif, viz.video_gif])
def test_a_stack_becomes_a_small_gif(write: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.gif", _view(names=("background", "outer", "inner")))
    with Image.open(path) as gif:
        assert gif.n_frames == 12 and gif.width == 480 and gif.info["loop"] == 0
        pages = []
        for k in range(12):
            gif.seek(k)
            pages.append(np.asarray(gif.convert("RGB"), int))
    left, right = pages[8][40:180, 20:230], pages[8][40:180, 256:466]
    assert np.abs(left - left.mean(-1, keepdims=True)).mean() < 3  # the image alone is gray
    assert np.abs(right - right.mean(-1, keepdims=True)).mean() > 5
    bar = [np.count_nonzero(page[25].mean(-1) < 150) for page in pages]
    assert bar == sorted(bar) and bar[-1] > 0.9 * 460
    assert path.stat().st_size < 2_000_000


def test_a_long_stack_keeps_to_its_frames_and_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    view = viz.CaseView(image=rng.random((90, 40, 30, 3)), mask=np.zeros((90, 40, 30), int), spacing=(1, 5, 1))
    path = viz.slices_gif(tmp_path / "a.gif", view, viz.Animation(max_frames=10, width=200, max_bytes=60_000))
    with Image.open(path) as gif:
        assert gif.n_frames == 10 and gif.width == 90 and gif.height < 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((12, 24))}, "image: expected two or three spatial axes"),
        ({"mask": np.zeros((12, 24, 35), int)}, "mask: expected the image's size"),
        ({"mask": np.zeros((12, 24, 36))}, "mask: expected an integer array"),
        ({"true": np.zeros((1, 24, 36), int)}, "true: expected the image's size"),
        ({"spacing": (1, 1)}, "spacing: expected 3 positive numbers"),
        ({"spacing": (1, 0, 1)}, "spacing: expected 3 positive numbers"),
    ],
)
def test_bad_views_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        _view(change)


def test_what_needs_three_axes_says_so(tmp_path: Path) -> None:
    flat = viz.CaseView(image=np.zeros((8, 9, 1)), mask=np.zeros((8, 9), int))
    for draw in (viz.volume_picture, viz.video_picture):
        with pytest.raises(DataError, match="image: expected three spatial axes"):
            draw(flat)
    for write in (viz.slices_gif, viz.video_gif):
        with pytest.raises(DataError, match="image: expected three spatial axes"):
            write(tmp_path / "x.gif", flat)
        with pytest.raises(DataError, match=r"\.gif"):
            write(tmp_path / "x.png", _view())
    assert not list(tmp_path.iterdir())


# Noise schedule


def test_schedule_figure_shows_the_curves_and_the_sampling_steps() -> None:
    alpha_bar = np.linspace(1, 0, 101)  # infinite log-SNR at both ends
    grid = np.array([100, 60, 20, 0])
    figure = viz.schedule_figure(alpha_bar, grid, "cosine")
    left, right = figure.axes
    assert "cosine" in left.get_title(loc="left")
    curves = {len(line.get_xdata()): line for line in left.lines}
    np.testing.assert_array_equal(curves[4].get_xdata(), [0, 20, 60, 100])
    np.testing.assert_allclose(left.lines[2].get_ydata(), np.sqrt(alpha_bar))
    np.testing.assert_allclose(left.lines[4].get_ydata(), np.sqrt(1 - alpha_bar))
    log_snr = right.lines[0].get_ydata()
    assert np.isnan(log_snr[[0, -1]]).all() and log_snr[50] == pytest.approx(0) and np.isfinite(log_snr[1:-1]).all()
    assert "3 sampling steps" in right.get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize(
    ("alpha_bar", "grid", "words"),
    [
        ([1.0, 1.2], [1, 0], "alpha_bar"),
        ([1.0, 0.5], [2, 0], r"0\.\.1"),
        ([1.0, 0.5], [0.5], "whole numbers"),
    ],
)
def test_bad_schedules_are_named(alpha_bar: list, grid: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        viz.schedule_figure(alpha_bar, grid, "cosine")


# Reverse diffusion


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_latents_share_one_map(channels: int) -> None:
    x = np.random.default_rng(0).standard_normal((200, 50, channels))
    out = viz.latent_to_rgb(x)
    assert out.shape == (200, 50, 3) and out.dtype == np.uint8
    np.testing.assert_array_equal(viz.latent_to_rgb(np.zeros((1, channels))), [[128, 128, 128]])
    np.testing.assert_array_equal(viz.latent_to_rgb(x[:3]), out[:3])  # no rescaling by what else is shown
    if channels != 2:
        spread = out.astype(float).std() / 127.5 * 2.5
        assert spread == pytest.approx(0.97, abs=0.04)  # unit variance, the ends cut off
    if channels == 3:
        np.testing.assert_array_equal(viz.latent_to_rgb([[2.5, 0.0, -2.5]]), [[255, 128, 0]])


@pytest.mark.parametrize("kind", ["probabilities", "classes"])
@pytest.mark.parametrize("rank", [2, 3])
def test_the_reverse_diffusion_as_a_picture(rank: int, kind: str) -> None:
    given = _trace(rank, steps=11)
    if kind == "classes":
        given["masks"] = (given["masks"] * 3).astype(np.int32)
    planes = viz.Trace(**given).planes
    plane, last = given["image"], given["latents"][-1]
    if rank == 3:
        area = (given["masks"][-1] >= (0.5 if kind == "probabilities" else 1)).sum((1, 2))
        plane, last = plane[area.argmax()], last[0]
        assert planes.name == f"image, plane {area.argmax() + 1} of 4"
    np.testing.assert_allclose(planes.image, plane)
    np.testing.assert_array_equal(planes.latent(11), viz.latent_to_rgb(last))
    wide, narrow = (viz.reverse_diffusion_picture(viz.Trace(**given, title="Case 1"), count) for count in (4, 2))
    assert wide.shape[1] - narrow.shape[1] == 2 * (210 + 9)
    assert wide.std() > 10
    assert len(wide) > len(viz.reverse_diffusion_picture(viz.Trace(**given), 4))  # without a title


@pytest.mark.parametrize("plane", [0, 3, 7])
def test_one_plane_is_shown_of_all_steps_the_largest_of_the_last(plane: int, tmp_path: Path) -> None:
    size, latent = (8, 24, 36), (4, 6, 9)
    masks = np.zeros((4, *size), np.int32)
    masks[0, 5] = 2  # noise may fill another
    masks[1:, plane, 4:20, 6:30] = 1
    masks[1:, plane, 8:12, 8:20] = 2
    latents = np.zeros((4, *latent, 1)) + np.linspace(-2, 2, 4)[:, None, None, None]  # by plane
    image = np.random.default_rng(0).random((*size, 1))
    image /= image.max()
    given = {"latents": latents, "masks": masks, "times": np.arange(4)[::-1], "image": image}
    planes = viz.Trace(**given, names=("background", "bone", "cartilage")).planes
    np.testing.assert_array_equal(planes.latent(0), viz.latent_to_rgb(latents[0, plane // 2]))
    np.testing.assert_allclose(planes.mask(3)[10, 10] / 255, to_rgb(viz.CLASS_COLOURS[2]), atol=1 / 255)
    assert planes.mask(0).std() == 0  # the first step has nothing in that plane
    assert [entry.name for entry in planes.entries()] == ["bone", "cartilage"]
    with Image.open(viz.reverse_diffusion_gif(tmp_path / "a.gif", viz.Trace(**given))) as gif:
        named = gif.height
    given["masks"] = np.minimum(masks, 1)
    with Image.open(viz.reverse_diffusion_gif(tmp_path / "b.gif", viz.Trace(**given))) as gif:
        assert gif.height < named  # two classes need no legend


def test_a_one_step_diffusion_shows_both_ends() -> None:
    trace = viz.Trace(**_trace(steps=1))
    assert [trace.planes.time(step) for step in (0, 1)] == ["t = 1000", "t = 0"]
    assert viz.reverse_diffusion_picture(trace).shape == viz.reverse_diffusion_picture(trace, 2).shape


def test_reverse_diffusion_gif(tmp_path: Path) -> None:
    pace = viz.Animation(width=450, seconds=3.5, hold=2.5)
    path = viz.reverse_diffusion_gif(tmp_path / "a" / "case.gif", viz.Trace(**_trace(steps=5)), pace)
    assert [p.name for p in path.parent.iterdir()] == ["case.gif"]
    with Image.open(path) as gif:
        assert gif.n_frames == 6 and gif.width == 450 and gif.info["loop"] == 0
        pauses, pages = [], []
        for k in range(gif.n_frames):
            gif.seek(k)
            pauses.append(gif.info["duration"])
            pages.append(np.asarray(gif.convert("RGB"), dtype=int))
    assert pauses[-1] >= 2000 and max(pauses[:-1]) <= 400
    third = 450 // 3
    change = np.abs(pages[0] - pages[-1])[40:]
    assert (change[:, : third - 10] == 0).all()  # the image stands still
    assert change[:, third:-third].mean() > 20  # the latent does not


def test_gif_keeps_its_size_limit_and_its_last_step(tmp_path: Path) -> None:
    pace = viz.Animation(width=600, max_frames=8, max_bytes=150_000)
    path = viz.reverse_diffusion_gif(tmp_path / "c.gif", viz.Trace(**_trace(steps=30)), pace)
    assert path.stat().st_size <= 150_000
    with Image.open(path) as gif:
        assert gif.n_frames == 8 and gif.width < 600


def test_colours_of_a_gif_are_those_of_its_frames(tmp_path: Path) -> None:
    """Flat colours within what five bits a channel can tell, white exactly."""
    page = np.full((40, 60, 3), 255, np.uint8)
    colours = [np.rint(255 * np.array(to_rgb(colour))).astype(int) for colour in viz.CLASS_COLOURS]
    for k, colour in enumerate(colours):
        page[8:, 8 * k : 8 * k + 8] = colour
    path = viz.Animation().save(tmp_path / "a.gif", lambda _: [page, page[::-1].copy()])
    with Image.open(path) as gif:
        found = np.asarray(gif.convert("RGB"), int)
    assert (found[0] == 255).all()
    for k, colour in enumerate(colours):
        assert np.abs(found[20, 8 * k + 4] - colour).max() <= 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masks": np.zeros((2, 24, 36))}, "masks: expected 6 masks"),
        ({"latents": np.zeros((6, 6, 9))}, "latents: expected 6 latents"),
        ({"times": np.zeros((2, 3))}, "times: expected"),
        ({"image": np.zeros((24, 36))}, "image: expected"),
    ],
)
def test_bad_traces_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        viz.Trace(**{**_trace(), **change})


# Training curves


def test_training_curves_read_a_log_with_gaps() -> None:
    rows = [
        {"epoch": "1", "loss": "2.0", "diffusion": "1.0", "learning_rate": "0.001", "val_dice": ""},
        {"epoch": "2", "loss": "nan", "diffusion": "0.5", "learning_rate": "0.001", "val_dice": "0.7"},
        {"epoch": "3", "loss": "0.5", "diffusion": None, "learning_rate": "0.001", "val_dice": "0.9"},
        {"epoch": "4", "loss": "0.4", "val_dice": "nan", "note": "resumed"},
        {"epoch": "4", "loss": "0.3", "val_dice": "0.8"},
    ]
    left, right = viz.training_curves_figure(rows).axes
    drawn = {str(line.get_label()): line for line in left.lines}
    assert list(drawn) == ["loss", "diffusion"] and left.get_yscale() == "log"
    np.testing.assert_array_equal(drawn["loss"].get_xdata(), [1, 3, 4])
    np.testing.assert_array_equal(drawn["loss"].get_ydata(), [2.0, 0.5, 0.3])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [0.7, 0.9, 0.8])
    assert right.get_legend().get_texts()[0].get_text() == "best: 0.9000 at epoch 3"


def test_long_curves_are_smoothed_without_a_shift() -> None:
    rng = np.random.default_rng(0)
    rows = [{"epoch": e, "loss": float(np.exp(0.3 * rng.standard_normal()))} for e in range(400)]
    raw, calm = viz.training_curves_figure(rows).axes[0].lines
    assert np.log(calm.get_ydata()).std() < 0.5 * np.log(raw.get_ydata()).std()
    assert np.log(calm.get_ydata()).mean() == pytest.approx(np.log(raw.get_ydata()).mean(), abs=0.02)


def test_an_early_log_still_makes_a_figure() -> None:
    figure = viz.training_curves_figure([{"epoch": 1, "loss": 0.0}])
    assert [a.texts[0].get_text() for a in figure.axes] == ["no losses logged", "not validated yet"]
    assert figure_to_array(figure).shape[-1] == 3
    with pytest.raises(DataError, match="epoch"):
        viz.training_curves_figure([{"loss": 1.0}])


# Saving


def test_saved_files_are_readable(tmp_path: Path) -> None:
    figure = viz.training_curves_figure([{"epoch": 1, "loss": 1.0, "val_dice": 0.5}])
    png = viz.save_figure(figure, tmp_path / "deep" / "curves.png", dpi=50)
    with Image.open(png) as image:
        assert image.size == (450, 190)
    assert viz.save_figure(figure, tmp_path / "curves.svg").read_text().lstrip().startswith("<?xml")
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    with Image.open(viz.save_image(picture, tmp_path / "overlay.png")) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.svg", "deep", "overlay.png"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left")])
def test_a_failed_save_names_the_path_and_keeps_the_old_file(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "o.png"
    viz.save_image(np.zeros((4, 4, 3), np.uint8), path)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(DataError, match=rf"o\.png.*{error.strerror}"):
        viz.save_image(np.ones((4, 4, 3), np.uint8), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_unfit_targets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(DataError, match="file"):
        viz.save_image(picture, tmp_path / "file" / "o.png")
    with pytest.raises(DataError, match=r"expected the suffix \.png, got '\.jpg'"):
        viz.save_image(picture, tmp_path / "o.jpg")
    with pytest.raises(DataError, match="float64"):
        viz.save_image(picture.astype(float), tmp_path / "o.png")
    with pytest.raises(DataError, match=r"'\.xyz'"):
        viz.save_figure(Figure(), tmp_path / "o.xyz")
    with pytest.raises(DataError, match=r"\.gif"):
        viz.reverse_diffusion_gif(tmp_path / "o.png", viz.Trace(**_trace()))


def test_matplotlib_waits_for_the_first_chart() -> None:
    code = (
        "import sys, numpy as np, ldseg.viz as v, ldseg.viz.report.page;"
        "image, mask = np.zeros((40, 50, 3)), np.eye(40, 50, dtype=int);"
        "v.legend(v.overlay(image, mask), ['', 'a', 'b']);"
        "v.uncertainty_picture(v.CaseView(image=image, mask=mask, title='x'), mask * 0.5, mask * 0.1, axes='YX');"
        "v.reverse_diffusion_picture(v.Trace(latents=np.zeros((1, 4, 5, 2)), masks=mask[None], times=[0], image=image));"
        "print(*sorted({'matplotlib', 'jinja2', 'scipy.ndimage', 'keras'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8")
    assert found.stdout.split() == []


def test_neither_keras_nor_pyplot_is_imported_and_the_users_style_stays() -> None:
    code = (
        "import sys, matplotlib; before = dict(matplotlib.rcParams); import ldseg.viz as v;"
        "v.training_curves_figure([{'epoch': 1, 'loss': 1.0}]); assert before == dict(matplotlib.rcParams);"
        "sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow', 'matplotlib.pyplot')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Uncertainty


def _unsure(size: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.random((*size, 1)).astype(np.float32), "mask": rng.integers(0, 2, size),
        "entropy": rng.random(size).astype(np.float32), "variance": rng.random(size).astype(np.float32) / 4,
    }  # fmt: skip


@pytest.mark.parametrize(("size", "axes", "plane"), [((40, 56), "YX", ()), ((6, 40, 20), "ZYX", 1), ((6, 20, 40), "TYX", 3)])
def test_uncertainty_of_every_rank(size: tuple[int, ...], axes: str, plane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _unsure(size)
    entropy, variance = given.pop("entropy"), given.pop("variance")
    if axes == "ZYX":
        given["mask"][:] = 0
        given["mask"][1] = 1
    words: list[str] = []
    write = Canvas.write
    monkeypatch.setattr(Canvas, "write", lambda paper, x, y, text, *more, **how: words.append(text) or write(
        paper, x, y, text, *more, **how
    ))  # fmt: skip
    view = viz.CaseView(**given, true=given["mask"], spacing=(2.0,) * len(size), title="case")
    picture = viz.uncertainty_picture(view, entropy, variance, axes=axes)
    assert {"case", "predictive entropy", "variance between members", "0.5", f"{variance[plane].max():.2g}"} <= set(words)
    named = {"YX": "image and mask", "ZYX": "image and mask, plane 2 of 6", "TYX": "image and mask, frame 4 of 6"}
    assert named[axes] in words
    assert picture.std() > 10
    # The entropy that is drawn is that of the plane.
    values = np.zeros(size, np.float32)
    values[plane] = 1.0
    bright, dark = (viz.uncertainty_picture(view, each, variance, axes=axes).astype(int) for each in (values, 0 * values))
    changed = np.abs(bright - dark).max(-1) > 30
    assert changed.sum() > 10_000


@pytest.mark.parametrize("name", ["entropy", "variance"])
def test_uncertainty_of_another_size(name: str) -> None:
    given = _unsure((8, 9))
    maps = {each: given.pop(each) for each in ("entropy", "variance")}
    maps[name] = maps[name][:, :5]
    with pytest.raises(DataError, match=f"{name}: expected the image's size"):
        viz.uncertainty_picture(viz.CaseView(**given), **maps, axes="YX")


def test_a_certain_case_is_drawn_too() -> None:
    given = _unsure((8, 9))
    entropy, variance = given.pop("entropy"), given.pop("variance")
    assert viz.uncertainty_picture(viz.CaseView(**given), entropy, 0 * variance, axes="YX").size


# Calibration


def _calibration(right: np.ndarray) -> Any:
    from ldseg.evaluation import Calibration

    confidence = np.linspace(0.5, 1, right.size, dtype=np.float32)
    found = Calibration()
    probabilities = np.stack([1 - confidence, confidence], axis=-1)
    found.add(probabilities, 1 - confidence, np.ones(right.size, int), right.astype(int))
    return found


def test_calibration_is_drawn_with_its_figures() -> None:
    report = _calibration(np.random.default_rng(0).random(3000) < 0.8).report()
    figure = viz.calibration_figure(report)
    titles = " ".join(axes.get_title(loc="left") for axes in figure.axes)
    assert f"ECE {report['ece']:.3g}" in titles
    assert f"AUROC {report['auroc']:.3g}" in titles
    assert any("3,000 pixels of 1 case" in axes.get_xlabel() for axes in figure.axes)
    assert figure_to_array(figure).std() > 10


def test_calibration_without_an_error_or_without_a_case() -> None:
    perfect = viz.calibration_figure(_calibration(np.ones(50, bool)).report())
    assert any("AUROC does not exist" in axes.get_title(loc="left") for axes in perfect.axes)
    assert figure_to_array(perfect).size
    from ldseg.evaluation import Calibration

    with pytest.raises(DataError, match="at least one labelled case"):
        viz.calibration_figure(Calibration().report())
