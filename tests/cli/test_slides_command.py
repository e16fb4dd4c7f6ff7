"""``ldseg segment`` on slides, from the file that a scanner wrote to mask, objects and overlay."""

import json
import shutil
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import tiny
from slide_files import SVS, pyramid, tissue

import ldseg
from ldseg.cli import main
from ldseg.cli.slides import settings_of
from ldseg.cli.task import Task
from ldseg.config import Config
from ldseg.description import Description, read_description
from ldseg.errors import ConfigError
from ldseg.evaluation.quality import Quality
from ldseg.io.slides import kinds
from ldseg.segmenter import Segmenter
from ldseg.weights import save_weights

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks of a few weights that see 24 µm per pixel."""
    folder, preprocessing = tmp_path_factory.mktemp("weights"), tiny.preprocessing()
    chosen = {"Data_Classes": preprocessing.classes, "Data_Channels": 3, "Data_Intensity": "dtype"}
    training = tiny.settings(folder, folder, **chosen, Model_Prediction="x0").to_dict()
    description = Description(spec=tiny.spec(), preprocessing=preprocessing, training=training, microns=24.0)
    save_weights(folder, tiny.varied(Segmenter(tiny.spec())), description)
    return folder


@pytest.mark.parametrize("regions", [(), (("all", (1,)),)])
def test_the_fit_of_quality_is_for_the_regions_of_the_weights(regions: tuple[tuple[str, tuple[int, ...]], ...]) -> None:
    classes = "background", "rim", "cup"
    quality = Quality(weights=(0.0, 1.0, 0.0), empty=0.0, cases=9, error=0.1)
    description = Description(
        spec=tiny.spec(), preprocessing=replace(tiny.preprocessing(), classes=classes), quality=quality
    )
    config = Config().with_values({"Data.Regions": regions, "Parameters.BatchSize": 1})
    opened = types.SimpleNamespace(description=description)
    task = Task(config=config, cases=(), problems=(), opened=opened)  # type: ignore[arg-type]
    assert settings_of(task).quality == (None if regions else quality)


def test_a_real_slide_from_end_to_end(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(SVS, tmp_path / "skin.svs")
    cv2.imwrite(str(tmp_path / "picture.png"), tissue(40, 50))
    out = tmp_path / "out"
    common = ["--weights", str(weights), "--out", str(out), "--steps", "1", "--seed", "3"]
    files = [str(tmp_path / "skin.svs"), str(tmp_path / "picture.png")]
    assert main(["segment", *files, *common, "--formats", "mask,geojson,csv"]) == 0
    mask = tifffile.imread(out / "skin_segmentation.ome.tif")
    assert mask.shape == (2967, 2220)
    assert 0.01 < (mask == 1).mean() < 0.99
    assert json.loads((out / "skin_objects.geojson").read_text("utf-8"))["features"]
    record = json.loads((out / "metrics.json").read_text("utf-8"))
    assert [(case["name"], case["mask"]) for case in record["cases"]] == [
        ("picture", "picture_segmentation.png"),
        ("skin", "skin_segmentation.ome.tif"),
    ]
    assert all(0 < case["predicted_dice"] < 1 and 0 < case["entropy"] < 1 for case in record["cases"])
    cases = [row.partition(",")[0] for row in (out / "objects.csv").read_text("utf-8").splitlines()]
    assert cases.count("skin") == len((out / "skin_objects.csv").read_text("utf-8").splitlines()) - 1 > 0
    picture = cv2.imread(str(out / "Overlay" / "skin_overlay.png"))
    assert picture.shape[:2] == (1484, 1110) and picture.std() > 10
    assert (out / "report.html").exists()
    assert not list(out.glob("*.parts"))
    capsys.readouterr()
    # In Python the same seed gives the same mask.
    model = ldseg.load(weights)
    found = model.segment_slide(tmp_path / "skin.svs", tmp_path / "python", steps=1, seed=3, formats=["mask"])
    np.testing.assert_array_equal(tifffile.imread(found.files["mask"]), mask)
    assert found.seen_at == pytest.approx((24, 24), rel=0.03)
    assert found.areas is not None and sum(found.areas.values()) == pytest.approx(mask.size * 0.499**2 * 1e-6)


def test_what_does_not_go_with_slides_is_said(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pyramid(tmp_path / "a.svs", tissue(120, 130), levels=1)
    pyramid(tmp_path / "b.svs", tissue(120, 130), levels=1, microns=None)
    cv2.imwrite(str(tmp_path / "picture.png"), tissue(40, 50))
    files = [str(tmp_path / name) for name in ("a.svs", "b.svs", "picture.png")]
    common = ["--weights", str(weights), "--out", str(tmp_path / "out"), "--steps", "1", "--masks", "instances"]
    assert main(["segment", *files, *common, "--formats", "mask,omezarr"]) == 1
    told = capsys.readouterr().out
    assert "problem: a: not written as omezarr, which slides are not" in told
    assert "problem: a: its mask has classes" in told
    assert "b.svs: it does not say its µm per pixel" in told
    assert "2 segmented, 1 skipped" in told
    assert main(["segment", *files, *common, "--set", "Slides.ImageMicrons=0.5", "--set", "Sampler.Sigma=0.1"]) == 1
    assert "a.svs: noise is not added to slides" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="fusion: expected mean for a slide, got vote"):
        ldseg.load(weights).segment_slide(files[0], tmp_path, samples=2, fusion="vote")


def test_a_large_tiff_is_a_slide_where_the_resolution_is_known(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tissue(120, 130)
    pyramid(tmp_path / "a.tif", image, levels=1, microns=2.0)
    monkeypatch.setattr(kinds, "LARGE", 10_000)
    common = ["segment", str(tmp_path / "a.tif"), "--steps", "1", "--set", "Output.Report=False"]
    assert main([*common, "--weights", str(weights), "--out", str(tmp_path / "known")]) == 0
    assert (tmp_path / "known" / "a_segmentation.ome.tif").exists()
    segmenter, description = tiny.varied(Segmenter(tiny.spec())), read_description(weights)
    save_weights(tmp_path / "w", segmenter, replace(description, microns=None))
    assert main([*common, "--weights", str(tmp_path / "w"), "--out", str(tmp_path / "unknown")]) == 0
    assert (tmp_path / "unknown" / "a_segmentation.tif").exists()
    assert read_description(tmp_path / "w").microns is None
    assert read_description(weights).microns == 24.0
