"""Several masks of a case, calibration, and several annotators."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from small import QUICK, out, run

from ldseg.io.pictures import read_image, read_label, write_image

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("fusion", ["mean", "vote", "staple"])
def test_what_is_written_of_several_members(fusion: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, *QUICK, "Sampler.Samples=5", f"Sampler.Fusion={fusion}", "Parameters.BatchSize=2") == 0
    for name in ("Phantom1", "Phantom2"):
        entropy, variance = (read_image(out(place) / f"{name}_{kind}.tif")[..., 0] for kind in ("entropy", "variance"))
        assert entropy.dtype == variance.dtype == np.float32
        assert entropy.shape == variance.shape == read_label(out(place) / f"{name}_segmentation.png").shape == (40, 48)
        assert 0 < entropy.max() <= 1
        assert 0 < variance.max() <= 0.25
        assert (out(place) / "Uncertainty" / f"{name}_uncertainty.png").is_file()
    report = json.loads((out(place) / "calibration.json").read_text("utf-8"))
    assert (report["samples"], report["fusion"], report["cases"], report["pixels"]) == (5, fusion, 2, 2 * 40 * 48)
    assert 0 <= report["ece"] <= 1
    assert 0 <= report["auroc"] <= 1
    assert "energy_distance" not in report
    assert (out(place) / "calibration.png").is_file()
    assert f"(ECE) {report['ece']:.4f}" in capsys.readouterr().out


def test_maps_of_an_earlier_ensemble_do_not_stay_beside_new_masks(place: Path) -> None:
    assert run(place, *QUICK, "Sampler.Samples=2") == 0
    (out(place) / "Phantom1_entropy_mine.tif").touch()
    assert run(place, *QUICK, "Data.Cases=Phantom1") == 0
    left = {path.name for folder in (out(place), out(place) / "Uncertainty") for path in folder.glob("*_*.*")}
    assert left == {"Phantom1_segmentation.png", "Phantom1_entropy_mine.tif"}
    # Of a case that this run does not have, its mask and its maps are kept together.
    earlier = [path for folder in ("Earlier", "Earlier/Uncertainty") for path in (out(place) / folder).glob("*_*.*")]
    kinds = ("segmentation.png", "entropy.tif", "variance.tif", "uncertainty.png")
    assert {path.name for path in earlier} == {f"Phantom2_{kind}" for kind in kinds}


def test_one_member_is_calibrated_and_has_no_maps(place: Path) -> None:
    shutil.rmtree(place / "data" / "Set" / "Label")
    assert run(place, *QUICK) == 0
    assert not list(out(place).glob("calibration*"))
    tiny.phantoms(place / "data", 2)
    assert run(place, *QUICK) == 0
    assert json.loads((out(place) / "calibration.json").read_text("utf-8"))["samples"] == 1
    assert not list(out(place).glob("*.tif"))
    assert not (out(place) / "Uncertainty").exists()


def test_several_annotators(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One says what the first member says, the other nothing: the distance is known."""
    labels = place / "data" / "Set" / "Label"
    assert run(place, *QUICK, "Data.Cases=Phantom1") == 0
    mask = read_label(out(place) / "Phantom1_segmentation.png")
    assert mask.any()
    (labels / "Phantom1_label.png").unlink()
    write_image(labels / "Phantom1_label_1.png", mask.astype(np.uint8))
    write_image(labels / "Phantom1_label_2.png", np.zeros((40, 48), np.uint8))
    assert run(place, *QUICK) == 0
    report = json.loads((out(place) / "calibration.json").read_text("utf-8"))
    # 2 (0 + 1) / 2 - 0 - (0 + 1 + 1 + 0) / 4
    assert report["energy_distance"] == {"mean": 0.5, "cases": {"Phantom1": 0.5}}
    assert "annotators: 0.5000" in capsys.readouterr().out
    metrics = json.loads((out(place) / "metrics.json").read_text("utf-8"))
    assert metrics["cases"][0]["dice"]["gland"] == 1
    write_image(labels / "Phantom1_label_2.png", np.zeros((8, 8), np.uint8))
    assert run(place, *QUICK) == 1
    assert "Phantom1_label_2.png: label of size 8×8" in capsys.readouterr().out
