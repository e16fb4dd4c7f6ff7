"""What a run of the command writes: masks, figures, pictures and the report."""

import json
import logging
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from small import QUICK, ROOT, images, out, run

import ldseg
from ldseg.evaluation.quality import Quality
from ldseg.inference import Segmented, label_instances
from ldseg.io.pictures import read_image, read_label, write_image
from ldseg.weights import change_description, load_segmenter, save_weights

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


# ---- Masks


def test_the_published_file_works_unchanged(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With data as LDSeg's users have it: names with capitals and a bmp that gives a bmp."""
    for path in (place / "data" / "Set").rglob("*.png"):
        cv2.imwrite(str(path.with_name(path.name.replace("Phantom", "Case")).with_suffix(".bmp")), cv2.imread(str(path)))
        path.unlink()
    assert run(place, config=ROOT / "tests" / "config" / "published_cfg.ini") == 0
    assert sorted(path.name for path in out(place).glob("*.bmp")) == ["Case1_segmentation.bmp", "Case2_segmentation.bmp"]
    assert read_label(out(place) / "Case1_segmentation.bmp").shape == (40, 48)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(("suffix", "written"), [(".jpg", ".png"), (".JPEG", ".png"), (".tif", ".tif"), (".bmp", ".bmp")])
def test_a_mask_loses_nothing(suffix: str, written: str, place: Path) -> None:
    picture = images(place) / "Phantom1.png"
    write_image(picture.with_suffix(suffix), read_image(picture))
    picture.unlink()
    assert run(place, *QUICK) == 0
    (mask,) = out(place).glob("Phantom1_segmentation.*")
    assert mask.suffix == written
    assert set(np.unique(read_label(mask))) == {0, 1}


def test_masks_of_instances(place: Path) -> None:
    assert run(place, *QUICK) == 0
    name = "Phantom1_segmentation.png"
    classes = read_label(out(place) / name)
    assert run(place, *QUICK, "Output.Masks=instances", f"Output.Folder={place / 'other'}") == 0
    np.testing.assert_array_equal(read_label(place / "other" / name), label_instances(classes))


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_many_instances_take_16_bits(suffix: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = images(place) / "Phantom1.png"
    if suffix != ".png":
        write_image(picture.with_suffix(suffix), read_image(picture))
        picture.unlink()
    many = np.arange(40 * 48, dtype=np.int32).reshape(40, 48)
    monkeypatch.setattr(Segmented, "instances", many)
    assert run(place, *QUICK, "Output.Masks=instances", "Data.Cases=Phantom1") == 0
    mask = out(place) / "Phantom1_segmentation.png"
    assert cv2.imread(str(mask), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    np.testing.assert_array_equal(read_label(mask), many)


# ---- Figures


def test_what_an_earlier_run_drew_does_not_stay(place: Path) -> None:
    assert run(place, "Sampler.Sampling_Steps=2", "Output.Diffusion=0") == 0
    drawn = [
        out(place) / name for name in ("Overlay/Phantom1_overlay.png", "calibration.png", "calibration.json", "report.html")
    ]
    assert all(path.is_file() for path in drawn)
    shutil.rmtree(place / "data" / "Set" / "Label")
    assert run(place, *QUICK, "Output.Report=False") == 0
    assert [path.name for path in drawn if path.exists()] == []
    (first, _) = json.loads((out(place) / "metrics.json").read_text("utf-8"))["cases"]
    mask = read_label(out(place) / "Phantom1_segmentation.png")
    assert first["amounts"]["sizes"] == [np.count_nonzero(mask)] and first["amounts"]["unit"] == "pixels"


def test_the_figures_of_a_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Objects are scored where the label numbers them; the tolerance is the setting's."""
    labels = [place / "data" / "Set" / "Label" / f"Phantom{index}_label.png" for index in (1, 2)]
    numbered = np.zeros((40, 48), np.uint8)
    numbered[2:9, 2:9], numbered[20:30, 20:40] = 1, 2
    write_image(labels[0], numbered)
    write_image(labels[1], np.minimum(numbered, 1))
    assert run(place, *QUICK, "Evaluation.Tolerance=100") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^case +Dice +IoU +HD95 +F1 +predicted +seconds$", printed, re.MULTILINE)
    assert "HD95 in pixels" in printed
    assert re.search(r"^Objects pooled over the set \(not means over images\): F1 [01]\.\d{4}, Dice ", printed, re.MULTILINE)
    document = json.loads((out(place) / "metrics.json").read_text("utf-8"))
    one, two = document["cases"]
    assert set(one["objects"]) == {"object_f1", "object_dice", "object_hausdorff"} and two["objects"] is None
    assert document["summary"]["objects"]["object_f1"]["n"] == 1
    # Of one image, pooled and mean are the same.
    assert document["summary"]["objects_pooled"]["object_f1"]["value"] == pytest.approx(one["objects"]["object_f1"])
    assert document["summary"]["surface_dice"]["foreground"]["mean"] == 1
    assert document["run"]["config"]["Evaluation"]["Tolerance"] == 100
    for path in labels:
        write_image(path, np.minimum(numbered, 1))
    assert run(place, *QUICK) == 0
    assert not re.search(r"^case.* F1 |^Objects ", capsys.readouterr().out, re.MULTILINE)


def test_the_report_of_a_run_and_of_another_beside_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = place / "first", place / "second"
    assert run(place, *QUICK, f"Output.Folder={first}", "Output.Report=False") == 0
    assert not (first / "report.html").exists()
    capsys.readouterr()
    assert run(place, *QUICK, "Sampler.Seed=3", f"Output.Folder={second}", f"Output.Compare={first}") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^this run +0\.\d+ ± ", printed, re.MULTILINE)
    assert re.search(rf"^Dice against {first}: .* in 2 common cases", printed, re.MULTILINE)
    page = (second / "report.html").read_text("utf-8")
    facts = json.loads((second / "metrics.json").read_text("utf-8"))["run"]
    assert facts["machine"]["cores"] >= 1
    for told in (str(first), facts["date"], facts["python"], facts["weights_sha256"], "Sampler.Seed", "common cases"):
        assert told in page.replace("&#43;", "+"), told


@pytest.mark.parametrize("labelled", [True, False])
def test_masks_of_background_alone_are_said(labelled: bool, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not labelled:
        shutil.rmtree(place / "data" / "Set" / "Label")
    assert run(place, *QUICK) == 0
    assert "Look at the masks" not in capsys.readouterr().out
    segmenter, description = load_segmenter(place / "weights")
    kernel, bias = segmenter.label_decoder.get_weights()
    segmenter.label_decoder.set_weights([0 * kernel, np.array([1, 0])])
    save_weights(place / "weights", segmenter, description)
    assert run(place, *QUICK) == 0
    assert "Look at the masks: all masks are background alone." in capsys.readouterr().out


def test_weights_that_were_noise_when_validated_are_named(
    place: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert run(place, *QUICK) == 0
    assert "no cases of validation have checked it" in capsys.readouterr().out
    assert "not trained well" not in caplog.text + (out(place) / "report.html").read_text("utf-8")
    few = Quality(weights=(-1.0, 1.0, 0.0), empty=0.0, cases=4, error=0.1)
    change_description(place / "weights", quality=few, figures={"collapse": "noise", "updates": 1})
    assert run(place, *QUICK) == 0
    checked = "only 4 cases of validation have checked it"
    assert checked in capsys.readouterr().out
    told = "weights that are not trained well: in validation after 1 update their masks were no better ordered than noise"
    assert told in caplog.text
    page = (out(place) / "report.html").read_text("utf-8")
    assert told in page and checked in page
    facts = json.loads((out(place) / "metrics.json").read_text("utf-8"))["run"]
    assert (facts["doubts"], facts["unchecked"]) == ([told], checked)
    result = ldseg.load(place / "weights").segment(next((place / "data" / "Set" / "Image").iterdir()), steps=1)
    assert result.warnings[:2] == (told, f"predicted Dice: {checked}")


def test_the_diffusion_of_the_first_mask_with_an_object_is_drawn(place: Path) -> None:
    """Or of the last where there is none; pictures of an earlier run do not stay beside new masks."""

    def drawn() -> list[str]:
        assert run(place, *QUICK, "Output.Diffusion=1") == 0
        return sorted(path.name for path in (out(place) / "Diffusion").iterdir())

    assert drawn() == ["Phantom1_diffusion.gif", "Phantom1_diffusion.png"]
    segmenter, description = load_segmenter(place / "weights")
    kernel, bias = segmenter.label_decoder.get_weights()
    segmenter.label_decoder.set_weights([0 * kernel, np.array([1, 0])])
    save_weights(place / "weights", segmenter, description)
    assert drawn() == ["Phantom2_diffusion.gif", "Phantom2_diffusion.png"]


def test_nothing_is_drawn_where_no_picture_is_asked_for(place: Path) -> None:
    pictures = [out(place) / name for name in ("schedule.png", "calibration.png")]
    assert run(place, *QUICK) == 0
    assert [path.is_file() for path in pictures] == [True, True]
    assert run(place, *QUICK, "Output.Report=False") == 0
    assert [path.exists() for path in pictures] == [False, False]
    assert (out(place) / "calibration.json").is_file()
