"""Tiles over grids of any rank: everything is covered, seams do not show."""

import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from ldseg.data.cases import LoadedCase
from ldseg.data.preprocess import Preprocessing
from ldseg.inference import TiledCase
from ldseg.inference.tiles import OVERLAP, cover

GRIDS = [
    ((48, 70), (32, 32), (8, 8)),
    ((32, 32), (32, 32), (8, 8)),
    ((20, 100), (32, 32), (8, 8)),
    ((1, 32, 33), (4, 32, 32), (1, 8, 8)),
    ((26, 32, 32), (8, 32, 32), (1, 8, 8)),
    ((47, 59, 43), (32, 48, 32), (4, 4, 4)),
]
EVERY_GRID = pytest.mark.parametrize(("grid", "size", "strides"), GRIDS)


@EVERY_GRID
def test_tiles_cover_the_grid(grid: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...]) -> None:
    tiling = cover(grid, size, strides)
    seen = np.zeros(tiling.padded, int)
    for start in tiling.starts:
        assert all(place % stride == 0 for place, stride in zip(start, strides))
        seen[tiling.window(start)] += 1
    assert seen.min() >= 1
    assert len(set(tiling.starts)) == len(tiling.starts)
    for axis, (whole, part, stride) in enumerate(zip(grid, size, strides)):
        steps = np.diff(sorted({start[axis] for start in tiling.starts}))
        assert (steps <= part * (1 - OVERLAP)).all()
        assert max(whole, part) <= tiling.padded[axis]
        # No more than the strides ask for.
        assert tiling.padded[axis] - max(whole, part) < stride * max(len(steps), 1)


@EVERY_GRID
def test_padding_is_taken_back(grid: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random((*grid, 2))
    tiling = cover(grid, size, strides)
    padded = tiling.pad(values)
    assert padded.shape == (*tiling.padded, 2)
    np.testing.assert_array_equal(tiling.crop(padded), values)
    assert set(np.unique(padded)) == set(np.unique(values))


def tiled(grid: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...]) -> TiledCase:
    """A case of the grid's size under an engine that only draws noise."""
    axes = {2: "YX", 3: "TYX" if strides[0] == 1 else "ZYX"}[len(grid)]
    image = np.random.default_rng(1).random((*grid, 1)).astype("float32")
    predictor = SimpleNamespace(
        spec=SimpleNamespace(size=size, outline=False),
        strides=strides,
        draw_noise=lambda seed, name, latent: np.random.default_rng(seed).random((1, 1, 1, *latent, 4), "float32"),
    )
    step = Preprocessing(size=size, axes=axes, channels=1, fit="tile")
    return TiledCase(LoadedCase(name="a", image=image, label=None, size=grid, digest="a"), step, predictor, seed=3)  # type: ignore[arg-type]


@EVERY_GRID
def test_what_tiles_agree_on_comes_out(grid: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...]) -> None:
    case = tiled(grid, size, strides)
    for start in case.tiling.starts:
        tile = case.tile(start)
        assert tile["noise"].shape == (1, 1, 1, *(n // d for n, d in zip(size, strides)), 4)
        first = np.concatenate([tile["image"], 1 - tile["image"]], axis=-1)
        case.add(start, np.stack([first, first / 2]))
    assert case.left == 0
    one, other = case.members()
    np.testing.assert_allclose(one[..., :1], case.tiling.crop(case.image), atol=1e-6)
    np.testing.assert_allclose(other, one / 2, atol=1e-6)
    assert not case.totals


def test_tiles_share_the_noise_where_they_overlap() -> None:
    case = tiled((64, 64), (32, 32), (8, 8))
    first, second = (case.tile(start)["noise"] for start in ((0, 0), (0, 16)))
    np.testing.assert_array_equal(first[..., 2:, :], second[..., :2, :])


def test_a_seam_does_not_show() -> None:
    """Tiles that disagree, each by a level of its own, meet without a step."""
    case = tiled((32, 160), (32, 32), (8, 8))
    rng = np.random.default_rng(0)
    for start in case.tiling.starts:
        case.add(start, np.full((1, 32, 32, 1), rng.random(), np.float32))
    (blended,) = case.members()
    row = blended[16, :, 0]
    levels = np.abs(np.diff(row)).max()
    # Without the blend the steps are those between the levels, about 0.3; the bump rises over half a tile.
    assert levels < 0.12
    assert np.ptp(row) > 0.3


def test_a_short_video_fills_the_window_with_its_own_frames() -> None:
    case = tiled((1, 32, 32), (4, 32, 32), (1, 8, 8))
    tile = case.tile((0, 0, 0))["image"]
    np.testing.assert_array_equal(tile, np.repeat(tile[:1], 4, axis=0))


def test_what_is_let_go_of_is_freed() -> None:
    case = tiled((64, 64), (32, 32), (8, 8))
    held = [weakref.ref(case.image), weakref.ref(case.noise)]
    case.let_go()
    assert [array() for array in held] == [None, None]
