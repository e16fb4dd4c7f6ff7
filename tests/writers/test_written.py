"""Formats in use: results that are saved, and runs."""

import csv
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from written_cases import case_of

import ldseg
from ldseg.cli import main
from ldseg.config import load_config
from ldseg.errors import ConfigError, DataError
from ldseg.io.pictures import read_image, read_label, write_image
from ldseg.outputs import RESULTS
from ldseg.writers.table import WRITERS, check_formats, write_formats

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "data" / "GlaS" / "Image" / "HE_HighGrade1.png"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    return write_image(folder / "part.png", read_image(next(IMAGE.parent.glob("HE_HighGrade1.*")))[:96, :128])


@pytest.fixture(scope="module")
def result(image: Path) -> ldseg.Result:
    return ldseg.load("GlaS", engine="onnx").segment(image, steps=1)


def test_a_result_is_saved_in_the_formats_that_are_named(result: ldseg.Result, tmp_path: Path) -> None:
    assert set(result.save(tmp_path / "plain", overlay=False)) == {"mask"}
    files = result.save(tmp_path, formats=["geojson", "csv"])
    assert {kind: path.name for kind, path in files.items()} == {
        "geojson": "part_objects.geojson",
        "csv": "part_objects.csv",
        "overlay": "part_overlay.png",
    }
    found = json.loads(files["geojson"].read_text("utf-8"))["features"]
    assert found[0]["properties"]["classification"] == {"name": "gland", "color": [0, 158, 115]}
    with files["csv"].open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(float(row["area"]) for row in rows) == (result.mask > 0).sum()
    stored = read_image(result.source or Path())
    inside = result.mask > 0
    mean = sum(float(row["area"]) * float(row["mean_intensity_1"]) for row in rows) / inside.sum()
    assert mean == pytest.approx(stored[inside][:, 0].mean(), rel=1e-4)  # in the numbers of the file
    numbered = result.save(tmp_path, formats="geojson", masks="instances", overlay=False)["geojson"]
    assert len(json.loads(numbered.read_text("utf-8"))["features"]) == result.instances.max()


def test_formats_that_are_none_are_refused(result: ldseg.Result, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Output\.Formats: expected some of mask, geojson.*'geojsn'"):
        result.save(tmp_path, formats=["geojsn"])
    with pytest.raises(ConfigError, match=r"Output\.Formats: expected some of .*; the nearest valid value is geojson"):
        load_config(None, ["Output.Formats=geojsn"])


def test_a_format_that_fails_keeps_no_other_from_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path, case: object) -> Path:
        raise ValueError("no\nsuch thing")

    broken = type(WRITERS["csv"])(about="", files="_objects.none", write=fails, needs=("ldseg_nothing",), extra="none")
    monkeypatch.setitem(WRITERS, "broken", broken)
    files, missing = write_formats(tmp_path, case_of(np.ones((4, 4))), ["broken", "csv"])
    assert list(files) == ["csv"]
    assert missing == ["a.1: not written as broken: no such thing"]
    with pytest.raises(ConfigError, match=r"broken needs ldseg_nothing: pip install 'ldseg\[none\]'"):
        check_formats(["mask", "broken"])


def test_every_file_of_a_case_is_known_as_one() -> None:
    assert {entry.files.split(".")[0].removeprefix("_") for entry in WRITERS.values()} <= set(RESULTS)


def there(out: Path) -> set[str]:
    return {path.name for path in out.iterdir() if path.name.startswith(("part", "objects", "classes"))}


def test_a_run_leaves_nothing_of_an_earlier_one_behind(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plain = [str(image), "--weights", "GlaS", "--steps", "1", "--out", str(out), "--set", "Output.Diffusion=0"]
    plain += ["--set", "GPU.Engine=onnx"]
    shown = "What was measured of the objects"
    assert main(["segment", *plain, "--formats", "mask, geojson, csv"]) == 0
    assert shown in (out / "report.html").read_text("utf-8")
    names = {path.name for path in out.iterdir() if path.name.startswith(("part", "objects", "classes"))}
    assert names == {
        "part_segmentation.png",
        "part_objects.geojson",
        "part_objects.csv",
        "objects.csv",
        "objects.png",
        "classes.csv",
    }
    assert (out / "objects.csv").read_text("utf-8") == (out / "part_objects.csv").read_text("utf-8")
    assert read_label(out / "part_segmentation.png").any()
    assert main(["segment", *plain, "--formats", "geojson"]) == 0
    assert {path.name for path in out.iterdir() if path.name.startswith(("part", "objects", "classes"))} == {
        "part_objects.geojson"
    }
    assert shown not in (out / "report.html").read_text("utf-8")
    assert json.loads((out / "metrics.json").read_text("utf-8"))["cases"][0]["mask"] is None


def test_a_case_that_has_not_what_a_format_needs_is_named(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom", reason="writes DICOM Segmentations")
    ray = sitk.GetImageFromArray(read_image(image).mean(axis=-1).astype(np.uint16)[np.newaxis])
    sitk.WriteImage(ray, tmp_path / "ray.dcm")
    out = tmp_path / "out"
    given = [str(image), str(tmp_path / "ray.dcm"), "--weights", "GlaS", "--steps", "1", "--out", str(out)]
    given += ["--set", "Output.Diffusion=0", "--set", "Output.Overlay=False", "--set", "Output.Report=False"]
    assert main(["segment", *given, "--formats", "dicomseg,csv,mask", "--set", "GPU.Engine=onnx"]) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem")]
    assert told == [
        "problem: part: not written as dicomseg: expected an image that is DICOM, as a DICOM segmentation refers to it,"
        " got part.png"
    ]
    for name in ("part_segmentation.png", "part_objects.csv", "ray_segmentation.nii.gz", "ray_segmentation.dcm"):
        assert (out / name).is_file(), name
    assert pydicom.dcmread(out / "ray_segmentation.dcm").SegmentSequence[0].SegmentLabel == "gland"


def test_a_case_that_none_of_the_formats_can_hold_is_a_problem(
    result: ldseg.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(folder: Path, case: object) -> Path:
        raise DataError("part: expected more")

    monkeypatch.setitem(WRITERS, "broken", type(WRITERS["csv"])(about="", files="_objects.none", write=fails))
    with pytest.raises(DataError, match="part: expected more"):
        result.save(tmp_path, formats=["broken"])
    assert set(result.save(tmp_path, formats=["broken", "csv"], overlay=False)) == {"csv"}
