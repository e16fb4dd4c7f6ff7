"""Objects of a slide: whole across its pieces, valid for other programs, and drawn again they are the mask."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile
from light import SIZE, LightEngine, step
from scipy.ndimage import gaussian_filter
from skimage.measure import label
from slide_files import pyramid, tissue

from ldseg.data.preprocess import Preprocessing
from ldseg.errors import ConfigError, DataError
from ldseg.inference.engine import Drawn
from ldseg.io.slides import masks
from ldseg.io.slides.kinds import open_slide
from ldseg.io.slides.masks import MaskTiles, levels_of, write_pyramid
from ldseg.slides import objects, outlined, panel, run
from ldseg.slides.files import SlideResult, SlideSettings, segment_slide
from ldseg.slides.objects import objects_in

COLOURS = ((0, 0, 0), (200, 0, 0), (0, 0, 200))


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (masks, run, panel, objects):
        for name, value in (("TILE", 32), ("STRIP", 2), ("BLOCK", 64), ("SMALLEST", 64)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


def blobs(height: int, width: int, smooth: float, seed: int = 0) -> np.ndarray:
    field = gaussian_filter(np.random.default_rng(seed).random((height, width)), smooth)
    return np.digitize(field, np.quantile(field, (0.5, 0.75))).astype(np.uint8)


def tiles_of(folder: Path, mask: np.ndarray) -> MaskTiles:
    tiles = MaskTiles(folder, mask.shape)  # type: ignore[arg-type]
    for row in range(tiles.tiles[0]):
        for column in tiles.columns:
            tiles.write(row, column, mask[row * 32 : (row + 1) * 32, column * 32 : (column + 2) * 32])
    return tiles


@pytest.mark.parametrize("smooth", [1.0, 4.0])
def test_objects_are_whole_across_pieces(tmp_path: Path, smooth: float) -> None:
    mask = blobs(150, 203, smooth)
    found = list(objects_in([tiles_of(tmp_path, mask)], 1))
    numbers, classes = np.zeros(mask.shape, int), np.zeros(mask.shape, np.uint8)
    for number, each in enumerate(found, start=1):
        top, left, bottom, right = each.box
        assert each.shown.sum() == each.area
        assert each.shown.any(axis=0).all() and each.shown.any(axis=1)[[0, -1]].all()
        numbers[top:bottom, left:right][each.shown] = number
        classes[top:bottom, left:right][each.shown] = each.index
    np.testing.assert_array_equal(classes, mask)
    np.testing.assert_array_equal(numbers, label(mask, connectivity=1))  # numbered row by row, as scikit-image does
    assert [each.area for each in objects_in([tiles_of(tmp_path, mask)], 30)] == [e.area for e in found if e.area >= 30]


def test_an_object_too_large_is_outlined_at_a_lower_resolution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((150, 200), np.uint8)
    mask[11:140, 13:190] = 2
    mask[40:60, 50:90] = 1
    whole = tiles_of(tmp_path / "0", mask)
    levels = [whole, whole.halved(tmp_path / "1")]
    monkeypatch.setattr(objects, "MOST", 10_000)
    large, small = objects_in(levels, 1)
    assert (large.index, large.factor, small.factor) == (2, 2, 1)
    assert large.area == np.count_nonzero(mask == 2)
    assert abs(4 * large.shown.sum() - large.area) < 0.05 * large.area


def test_other_programs_read_the_pyramid(tmp_path: Path) -> None:
    mask = blobs(301, 205, 3.0)
    tiles = tiles_of(tmp_path / "tiles", mask)
    write_pyramid(tmp_path / "a.ome.tif", levels_of(tiles), (0.25, 0.5), "a")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        (series,) = file.series
        assert file.is_ome and file.is_bigtiff
        for level, part in enumerate(series.levels):
            np.testing.assert_array_equal(part.asarray(), mask[:: 2**level, :: 2**level])
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert slide.microns == (0.25, 0.5)
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(str(tmp_path / "a.ome.tif")) as slide:
        found = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., 0]
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
    np.testing.assert_array_equal(found, mask)


def segmented(folder: Path, image: np.ndarray, **settings: object) -> SlideResult:
    path = pyramid(folder / "a.svs", image, levels=1)
    chosen = SlideSettings(**{"microns": 0.5, "skip_background": False, **settings})  # type: ignore[arg-type]
    return segment_slide(path, LightEngine(), step(), folder / "out", "a", settings=chosen, colours=COLOURS, key={})


def test_a_slide_from_file_to_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapely = pytest.importorskip("shapely")
    from shapely.geometry import shape

    monkeypatch.setattr(outlined, "MIN_SHARE", 0.0)  # not even a speck is left out
    found = segmented(tmp_path, tissue(230, 170))
    mask = tifffile.imread(found.files["mask"])
    assert mask.shape == (230, 170)
    assert found.pixels == tuple(np.bincount(mask.ravel(), minlength=3))
    assert found.areas == pytest.approx({n: 0.25e-6 * c for n, c in zip(("background", "a", "b"), found.pixels)})
    parts = json.loads(found.files["geojson"].read_text("utf-8"))["features"]
    assert len(parts) == found.objects == label(mask, connectivity=1).max()
    assert {part["properties"]["classification"]["name"] for part in parts} == {"a", "b"}
    drawn = np.zeros_like(mask)
    y, x = np.mgrid[:230, :170] + 0.5
    for part in parts:
        outline = shape(part["geometry"])
        assert outline.is_valid
        inside = shapely.contains_xy(outline, x, y)
        assert part["properties"]["measurements"] == {"Area µm^2": pytest.approx(0.25 * inside.sum(), rel=1e-5)}
        drawn[inside] = ["background", "a", "b"].index(part["properties"]["classification"]["name"])
    np.testing.assert_array_equal(drawn, mask)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_objects.geojson", "a_segmentation.ome.tif"]
    assert found.image.shape == (230, 170, 3)
    np.testing.assert_array_equal(found.mask, mask)


def test_what_is_asked_for_is_written_and_no_more(tmp_path: Path) -> None:
    found = segmented(tmp_path, tissue(100, 100), formats=("geojson",))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_objects.geojson"]
    assert set(found.files) == {"geojson"}
    with pytest.raises(ConfigError, match="expected some of mask, geojson, csv for slides, got dicomseg"):
        segmented(tmp_path, tissue(100, 100), formats=("dicomseg",))
    chosen = SlideSettings()
    resize = step().from_dict({**step().to_dict(), "fit": "resize"})
    common = {"settings": chosen, "colours": COLOURS, "key": {}}
    with pytest.raises(DataError, match=r"a\.svs: the weights do not say at which resolution .*\[Slides\] Microns"):
        segment_slide(tmp_path / "a.svs", LightEngine(), resize, tmp_path, "a", **common)  # type: ignore[arg-type]


class TwoEngine(LightEngine):
    """Networks that tell outlines: bright is outside, dark the inside of an object, and what is between its outline."""

    def __init__(self) -> None:
        super().__init__()
        self.spec.classes, self.spec.outline = 2, True  # type: ignore[misc]

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        gray = inputs["image"].mean(axis=-1)[:, np.newaxis]
        parts = np.stack([gray > 0.8, gray < 0.3, (gray >= 0.3) & (gray <= 0.8)], axis=-1)
        return Drawn(probabilities=parts.astype(np.float32))


def test_objects_that_touch_are_told_apart(tmp_path: Path) -> None:
    image = np.full((150, 200, 3), 250, np.uint8)
    y, x = np.mgrid[:150, :200]
    for centre in ((60, 60), (60, 104), (110, 170)):
        away = np.hypot(y - centre[0], x - centre[1])
        image[away < 24] = 130
        image[away < 16] = 20
    path = pyramid(tmp_path / "a.svs", image, levels=1)
    chosen = SlideSettings(microns=0.5, skip_background=False)
    two = Preprocessing(size=SIZE, classes=("background", "gland"), fit="tile")
    found = segment_slide(path, TwoEngine(), two, tmp_path, "a", settings=chosen, colours=COLOURS[:2], key={})
    assert found.objects == 3
    mask = tifffile.imread(found.files["mask"])
    np.testing.assert_array_equal(mask > 0, image[..., 0] < 200)
    parts = json.loads(found.files["geojson"].read_text("utf-8"))["features"]
    areas = [part["properties"]["measurements"]["Area µm^2"] for part in parts]
    assert sum(areas) == pytest.approx(0.25 * mask.sum())
    assert max(areas) < 1.2 * min(areas)
    assert len({part["id"] for part in parts}) == 3
