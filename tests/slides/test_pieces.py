"""A slide in pieces gives the mask of the same picture in memory, whatever the pieces, and goes on where it was stopped."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile
from light import LightEngine, in_memory, in_pieces, step
from slide_files import pyramid, tissue

from ldseg.errors import DataError
from ldseg.inference.engine import Drawn
from ldseg.io.slides import masks
from ldseg.io.slides.kinds import open_slide
from ldseg.slides import panel, run
from ldseg.slides.plan import at_resolution, plan_slide
from ldseg.slides.resample import Axis, resampled
from ldseg.slides.run import Progress


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Masks in tiles of 96 pixels, two to a strip: several panels of several rows for a small picture."""
    for module in (masks, run, panel):
        for name, value in (("TILE", 96), ("STRIP", 2), ("_WIDE", 70)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    yield


@pytest.mark.parametrize("microns", [0.5, 0.8, 0.3, 2.0, 30.0])
@pytest.mark.usefixtures("small_tiles")
def test_a_slide_gives_the_mask_of_the_picture(tmp_path: Path, microns: float) -> None:
    image = tissue(301, 405)
    path = pyramid(tmp_path / "a.tif", image, levels=1)
    chosen = step(microns)
    found, done = in_pieces(path, chosen, tmp_path / "parts")
    expected = in_memory(image, chosen, 0.5)
    assert len(np.unique(expected)) == 3
    wrong = np.count_nonzero(found != expected)
    assert wrong == 0 if microns == 0.5 else wrong <= 3  # resampled, sums come in another order
    assert done.of == done.tiles


@pytest.mark.parametrize("options", [{"samples": 2, "flips": True}, {"sampler": "DDPM"}])
@pytest.mark.usefixtures("small_tiles")
def test_members_copies_and_the_noise_of_steps(tmp_path: Path, options: dict[str, object]) -> None:
    image = tissue(200, 310, seed=3)
    path = pyramid(tmp_path / "a.tif", image, levels=1, microns=None)
    found, _ = in_pieces(path, step(), tmp_path / "parts", engine=LightEngine(**options))
    assert np.count_nonzero(found != in_memory(image, step(), None, **options)) <= 3
    again, _ = in_pieces(path, step(), tmp_path / "again", engine=LightEngine(**options), batch_size=1)
    np.testing.assert_array_equal(found, again)
    other, _ = in_pieces(path, step(), tmp_path / "other", engine=LightEngine(**options), seed=2)
    assert (found != other).mean() > 0.01


def test_the_level_of_the_resolution_is_read(tmp_path: Path) -> None:
    image = tissue(260, 380)
    path = pyramid(tmp_path / "a.tif", image, levels=3)
    found, done = in_pieces(path, step(1.0), tmp_path / "parts")
    assert (done.plan.level, done.plan.grid) == (1, (130, 190))
    # The mask of the level by itself, brought to the full resolution.
    with tifffile.TiffFile(path) as file:
        level = file.series[0].levels[1].asarray()
    expected = in_memory(level, step(1.0), 1.0)
    np.testing.assert_array_equal(found[1::2, 1::2].shape, expected.shape)
    assert (found[::2, ::2] == expected).mean() > 0.97  # but for edges, between two pixels of the level


@pytest.mark.usefixtures("small_tiles")
def test_intensities_are_those_of_the_whole_slide(tmp_path: Path) -> None:
    image = (tissue(150, 220).astype(np.uint16) * 7 + 100)[..., :1]
    image = np.concatenate([image, image[::-1] * 3, image[:, ::-1]], axis=-1)
    path = pyramid(tmp_path / "a.tif", image, levels=1, microns=None)
    for intensity, window in (("dtype", ()), ("percentile", ()), ("zscore", ()), ("window", (300.0, 2500.0))):
        chosen = step(None, intensity=intensity, window=window)
        found, _ = in_pieces(path, chosen, tmp_path / intensity)
        assert np.count_nonzero(found != in_memory(image, chosen, None)) <= 2, intensity


@pytest.mark.usefixtures("small_tiles")
def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    path = pyramid(tmp_path / "a.tif", tissue(420, 350), levels=1, microns=None)
    engine = LightEngine()
    whole, _ = in_pieces(path, step(), tmp_path / "whole", engine=engine)

    class Stopped(Exception):
        pass

    steps, done = [], 0

    def stop(count: int) -> None:
        nonlocal done
        done += count
        if steps[-1][0] == "segmenting" and done > 60 + steps[0][1]:
            raise Stopped

    watching = Progress(begin=lambda what, count: steps.append((what, count)), step=stop)
    with pytest.raises(Stopped):
        in_pieces(path, step(), tmp_path / "parts", progress=watching)
    again = LightEngine()
    total: list[int] = []
    counting = Progress(begin=lambda what, count: total.append(count), step=lambda count: total.append(-count))
    found, _ = in_pieces(path, step(), tmp_path / "parts", engine=again, progress=counting)
    np.testing.assert_array_equal(found, whole)
    assert 0 < again.tiles < engine.tiles - 30
    assert sum(total) == 0  # what was announced was done, no more and no less
    # Another seed is another run.
    other = LightEngine()
    in_pieces(path, step(), tmp_path / "parts", engine=other, seed=2)
    assert other.tiles == engine.tiles


@pytest.mark.usefixtures("small_tiles")
def test_background_is_left_out_and_nothing_else_changes(tmp_path: Path) -> None:
    image = np.full((400, 700, 3), 241, np.uint8)
    image[..., 2] = 239
    image += np.random.default_rng(0).integers(0, 4, image.shape).astype(np.uint8)  # glass is not quite even
    image[60:300, 40:200] = tissue(240, 160)
    image[120:220, 90:140] = 241  # a lumen: glass that tissue encloses
    image[:, 416:] = 0  # not scanned
    path = pyramid(tmp_path / "a.tif", image, levels=1, microns=None)
    every, skipping = LightEngine(), LightEngine()
    whole, _ = in_pieces(path, step(), tmp_path / "whole", engine=every)
    found, done = in_pieces(path, step(), tmp_path / "parts", engine=skipping, skip=True)
    assert skipping.tiles < 0.6 * every.tiles
    assert done.tiles < 0.6 * done.of
    here = np.zeros(whole.shape, bool)
    here[32:320, 16:224] = True  # whole cells of 16 pixels, and one around
    np.testing.assert_array_equal(found[60:300, 40:200], whole[60:300, 40:200])
    assert not found[~here & (np.arange(700) < 400)].any()
    assert not found[:, 440:].any()


def test_gray_without_background_is_segmented_whole(tmp_path: Path) -> None:
    image = tissue(150, 150)[..., 0]
    path = pyramid(tmp_path / "a.tif", image, levels=1, microns=None)
    found, done = in_pieces(path, step(), tmp_path / "parts", skip=True)
    assert done.tiles == done.of
    np.testing.assert_array_equal(found, in_memory(image, step(), None))


def test_windows_of_a_resampled_picture_do_not_depend_on_the_window() -> None:
    rng = np.random.default_rng(0)
    for source, target in ((100, 37), (37, 100), (64, 32), (50, 50), (1, 3), (7, 1), (1000, 999)):
        rows, columns = Axis(source, target), Axis(40, 23)
        values = rng.random((source, 40, 2), dtype=np.float32)
        whole = resampled(values, rows, columns, (0, target, 0, 23))
        for _ in range(20):
            top, bottom = sorted(rng.choice(target + 1, 2, replace=False))
            (y0, y1), (x0, x1) = rows.support(top, bottom), columns.support(5, 19)
            part = resampled(values[y0:y1, x0:x1], rows, columns, (top, bottom, 5, 19))
            np.testing.assert_array_equal(part, whole[top:bottom, 5:19])


def test_the_resolution_has_to_be_known(tmp_path: Path) -> None:
    path = pyramid(tmp_path / "a.tif", tissue(80, 90), levels=1, microns=None)
    with open_slide(path) as slide:
        with pytest.raises(
            DataError, match=r"a\.tif: it does not say its µm per pixel.*1 µm per pixel.*\[Slides\] ImageMicrons"
        ):
            plan_slide(slide, step(1.0), (8, 8))
        assert plan_slide(slide, step(1.0), (8, 8), image_microns=0.5).grid == (40, 45)
    resize = step().from_dict({**step().to_dict(), "fit": "resize"})
    assert at_resolution(resize, None) is None
    assert at_resolution(resize, 2.0) == step(2.0)
    assert at_resolution(step(1.0), None) == step(1.0)


def test_weights_that_give_no_numbers(tmp_path: Path) -> None:
    """The mask would be background, without a word."""

    class Damaged(LightEngine):
        def run(self, inputs: Mapping[str, np.ndarray], **options: bool) -> Drawn:
            drawn = super().run(inputs, **options)
            drawn.probabilities.flat[7] = np.nan
            return drawn

    path = pyramid(tmp_path / "a.tif", tissue(150, 130), levels=1, microns=None)
    with pytest.raises(DataError, match="a.tif: the weights give what is no number"):
        in_pieces(path, step(), tmp_path / "out", engine=Damaged())
