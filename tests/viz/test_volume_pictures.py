"""Volumes and videos as pictures and as animations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ldseg import viz
from ldseg.errors import DataError
from ldseg.viz.volumes import area_chart, crossing


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
