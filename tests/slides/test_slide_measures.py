"""What is told of a slide beside its mask: what is told of the same picture in memory."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from light import LightEngine, in_pieces, segmented_in_memory, step
from slide_files import pyramid, tissue

from ldseg.base.regions import Regions
from ldseg.data.cases import prepare
from ldseg.evaluation.familiarity import measure as measured_tile
from ldseg.io.scans import scan_of
from ldseg.io.slides import masks
from ldseg.io.slides.kinds import open_slide
from ldseg.slides import objects, outlined, panel, run
from ldseg.slides.files import SlideResult, SlideSettings, segment_slide
from ldseg.slides.run import segment_tiles
from ldseg.writers.objects import measure, objects_of

COLOURS = ((0, 0, 0), (200, 0, 0), (0, 0, 200))
IMAGE = tissue(230, 170)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (masks, run, panel, objects):
        for name, value in (("TILE", 32), ("STRIP", 2), ("BLOCK", 64), ("SMALLEST", 64)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(outlined, "MIN_SHARE", 0.0)  # not even a speck is left out


def segmented(
    folder: Path, engine: LightEngine, microns: float | None = 0.5, regions: Regions = (), **settings: object
) -> SlideResult:
    path = pyramid(folder / "a.svs", IMAGE, levels=1, microns=microns)
    chosen = SlideSettings(microns=microns, skip_background=False, seed=1, **settings)  # type: ignore[arg-type]
    return segment_slide(
        path, engine, step(microns, regions=regions), folder / "out", "a", settings=chosen, colours=COLOURS, key={}
    )


def test_entropy_and_the_signs_of_quality(tmp_path: Path) -> None:
    found = segmented(tmp_path, LightEngine(samples=2), formats=("mask",))
    whole = segmented_in_memory(IMAGE, step(0.5), 0.5, samples=2)
    stored = tifffile.imread(found.files["entropy"])
    assert np.abs(stored / 255 - whole.entropy).max() < 0.51 / 255 + 1e-4
    assert found.entropy == pytest.approx(whole.mean_entropy, rel=1e-4)
    assert found.predicted_dice == pytest.approx(whole.signs.expected, rel=1e-4)
    segmented(tmp_path, LightEngine(), formats=("mask",))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_segmentation.ome.tif"]  # nothing of the earlier run


def test_quality_is_told_of_regions(tmp_path: Path) -> None:
    """As for images: the fit of the weights is for regions, where they have some."""
    regions = (("both", (1, 2)),)
    found = segmented(tmp_path, LightEngine(), regions=regions, formats=("mask",))
    whole = segmented_in_memory(IMAGE, step(0.5, regions=regions), 0.5)
    assert found.predicted_dice == pytest.approx(whole.signs.expected, rel=1e-4)
    classes = segmented_in_memory(IMAGE, step(0.5), 0.5).signs.expected
    assert abs(found.predicted_dice - classes) > 0.01


def test_a_slide_that_was_stopped_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_LOOKED_AT", 40)  # all there are
    path, settings = pyramid(tmp_path / "a.svs", IMAGE, levels=1), {"seed": 1, "batch_size": 3, "key": {}}
    _, whole = in_pieces(path, step(0.5), tmp_path / "whole")
    engine = LightEngine()

    def stop(tiles: int) -> None:
        if engine.tiles > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_pieces(path, step(0.5), tmp_path / "parts", engine=engine, progress=run.Progress(step=stop))
    _, again = in_pieces(path, step(0.5), tmp_path / "parts")
    assert again.sums.told() == whole.sums.told()
    with open_slide(path) as slide:  # what nobody asked for is not there
        assert again.entropy is None and again.signature is None
        known = segment_tiles(slide, LightEngine(), step(0.5), tmp_path / "known", **settings, recognise=True)  # type: ignore[arg-type]
    picture = known.plan.tiling.pad(prepare("a", scan_of(IMAGE, "YX", (0.0005, 0.0005)), step(0.5)).image)
    tiles = [picture[y : y + 64, x : x + 64] for y, x in known.plan.tiling.starts]
    assert known.signature is not None and len(tiles) < run.MOST_LOOKED_AT
    np.testing.assert_allclose(
        known.signature["features"], np.mean([tile.mean(axis=(0, 1)) for tile in tiles], axis=0), 1e-3
    )
    expected = np.mean([measured_tile(tile)["intensities"] for tile in tiles], axis=0)
    np.testing.assert_allclose(known.signature["intensities"], expected, rtol=1e-4)


@pytest.mark.parametrize("microns", [0.5, None])
def test_measurements_of_objects(tmp_path: Path, microns: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows_of(found: SlideResult) -> list[dict[str, str]]:
        with found.files["csv"].open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    found = segmented(tmp_path, LightEngine(), microns, formats=("mask", "csv"))
    rows, mask = rows_of(found), tifffile.imread(found.files["mask"]).astype(np.int32)
    whole = segmented_in_memory(IMAGE, step(microns), microns)
    spacing = None if microns is None else (microns / 1000, microns / 1000)
    common = {"axes": "YX", "classes": found.classes, "spacing": spacing, "image": IMAGE}
    expected = measure(objects_of(mask), **common, uncertainty=whole.entropy)  # type: ignore[arg-type]
    assert len(rows) == found.objects == len(expected.columns["object"])
    for row, wanted in zip(rows, expected.rows(), strict=True):
        assert (row["case"], row["class"], row["unit"]) == ("a", wanted["class"], expected.unit)
        for name in set(wanted) - {"class", "mean_uncertainty"}:
            assert float(row[name]) == pytest.approx(wanted[name], rel=1e-5, nan_ok=True), name
        assert float(row["mean_uncertainty"]) == pytest.approx(wanted["mean_uncertainty"], abs=0.51 / 255)
    monkeypatch.setattr(objects, "MOST", 4000)
    monkeypatch.setattr(outlined, "BAND", 1000)
    coarse = rows_of(segmented(tmp_path, LightEngine(), microns, formats=("csv",)))
    assert [row["class"] for row in coarse] == [row["class"] for row in rows]
    largest = max(range(len(rows)), key=lambda k: float(rows[k]["area"]))
    assert coarse[largest] != rows[largest]
    for name in ("area", "centroid_y", "centroid_x", "max_y", "max_x", "perimeter", "major_axis", "mean_intensity_1"):
        assert float(coarse[largest][name]) == pytest.approx(float(rows[largest][name]), rel=0.1, abs=2), name
