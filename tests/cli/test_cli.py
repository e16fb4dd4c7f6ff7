import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny

from ldseg.cli import main, segment
from ldseg.cli.task import settle
from ldseg.config import Config, load_config
from ldseg.inference import Segmented, label_instances
from ldseg.io.pictures import read_image, read_label, write_image
from ldseg.segmenter import Segmenter
from ldseg.weights import WEIGHTS_FILE, Description, load_segmenter, read_description, save_weights
from ldseg.writing import LOCK

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
Spoil = Callable[[Path], object]


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    preprocessing = tiny.preprocessing()
    chosen = {"Data_Classes": preprocessing.classes, "Data_Channels": 3, "Data_Intensity": "dtype"}
    training = tiny.settings(folder, folder, **chosen, Model_Prediction="x0").to_dict()
    description = Description(spec=tiny.spec(), preprocessing=preprocessing, training=training)
    save_weights(folder, tiny.varied(Segmenter(tiny.spec())), description)
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A folder with the data set ``data/Set`` of two phantoms and the weights ``weights``."""
    tiny.phantoms(tmp_path / "data", 2)
    shutil.copytree(trained, tmp_path / "weights")
    return tmp_path


def images(place: Path) -> Path:
    return place / "data" / "Set" / "Image"


def out(place: Path) -> Path:
    return place / "data" / "Set" / "Segmentation"


def files(place: Path) -> dict[Path, tuple[bytes, int]]:
    """What a run has written, and when."""
    found = (path for path in out(place).iterdir() if path.name != LOCK)
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def run(place: Path, *overrides: str, config: Path = ROOT / "cfg.ini") -> int:
    settings = [f"Data.Root={place / 'data'}", "Data.Dataset=Set", f"Model.Weights={place / 'weights'}", *overrides]
    return main(["--config", str(config), *(word for setting in settings for word in ("--set", setting))])


QUICK = ("Sampler.Sampling_Steps=2", "Output.Diffusion=0", "Output.Overlay=False")


def spoilt(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


# ---- How a run ends


def label_without_image(place: Path) -> Path:
    path = place / "data" / "Set" / "Label" / "Lost_label.png"
    shutil.copy(path.with_name("Phantom1_label.png"), path)
    return path


def constant_image(place: Path) -> Path:
    return write_image(images(place) / "Grey.png", np.full((40, 48, 3), 7, np.uint8))


def empty_image(place: Path) -> Path:
    path = images(place) / "Empty.png"
    path.touch()
    return path


def truncated_label(place: Path) -> Path:
    path = place / "data" / "Set" / "Label" / "Phantom2_label.png"
    path.write_bytes(spoilt(path))
    return path


def label_of_another_size(place: Path) -> Path:
    path = place / "data" / "Set" / "Label" / "Phantom2_label.png"
    return write_image(path, np.zeros((8, 8), np.uint8))


def folder_in_place_of_a_mask(place: Path) -> Path:
    path = out(place) / "Phantom2_segmentation.png"
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (label_without_image, "expected an image named Lost"),
        (constant_image, "every value is 7"),
        (empty_image, "zero bytes"),
        (truncated_label, "ends early"),
        (label_of_another_size, "expected 40×48"),
        (folder_in_place_of_a_mask, "cannot be written"),
    ],
)
def test_a_problem_is_told_and_the_rest_is_done(
    spoil: Callable[[Path], Path], expected: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spoil(place)
    assert run(place, *QUICK) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem: ")]
    assert len(told) == 1
    assert str(path) in told[0]
    assert expected in told[0]
    assert (out(place) / "Phantom1_segmentation.png").is_file()
    summary = json.loads((out(place) / "metrics.json").read_text("utf-8"))["summary"]
    assert summary["segmented"] == (1 if "Phantom2" in path.name else 2)


def test_where_no_case_can_be_segmented_an_earlier_run_stays(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, *QUICK) == 0
    earlier = files(place)
    paths = sorted(images(place).iterdir())
    for path in paths:
        path.write_bytes(spoilt(path))
    capsys.readouterr()
    assert run(place, *QUICK) == 2
    printed = capsys.readouterr()
    assert [str(path) in printed.out for path in paths] == [True, True]
    (told,) = (line for line in printed.err.splitlines() if line.startswith("error: "))
    assert f"none of 2 cases could be segmented, the first: {paths[0]}" in told
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out(place).iterdir() if path.name != LOCK
    } == earlier


def weights(change: Spoil) -> Spoil:
    return lambda place: change(place / "weights" / WEIGHTS_FILE)


def no_images(place: Path) -> None:
    for path in images(place).iterdir():
        path.unlink()


def a_file(place: Path) -> None:
    """In place of a folder: what cannot be written for root either."""
    (place / "file").touch()


def nothing(place: Path) -> None: ...


TRAIN = "Parameters.Training=True"
OBJECTS = "Data.Labels=instances"  # as the phantoms number them


@pytest.mark.parametrize(
    ("spoil", "overrides", "expected"),
    [
        pytest.param(no_images, (), ("Image", "no image found", ".png"), id="empty folder"),
        pytest.param(nothing, ("Data.Dataset=Sett",), ("Sett", "no such folder (the nearest is ", "Set)"), id="no data set"),
        pytest.param(nothing, ("Data.Root={}/dat",), ("dat/Set", "(the nearest is ", "/data/Set)"), id="no root"),
        pytest.param(nothing, ("Model.Weights={}/wights",), ("wights/", "(the nearest is ", "/weights)"), id="typo"),
        pytest.param(nothing, ("Data.Cases=Other*",), ("Other*", "Phantom1, Phantom2"), id="no case matches"),
        pytest.param(weights(lambda path: path.write_bytes(b"")), (), (WEIGHTS_FILE, "empty"), id="weights of zero bytes"),
        pytest.param(weights(lambda path: path.write_bytes(spoilt(path))), (), (WEIGHTS_FILE, "damaged"), id="half weights"),
        pytest.param(weights(lambda path: path.unlink()), (), (WEIGHTS_FILE, "Training = True"), id="no weights"),
        pytest.param(a_file, ("Output.Folder={}/file/out",), ("file/out", "[Output] Folder"), id="output"),
        pytest.param(nothing, ("Sampler.Sampling_Stepps=3",), ("Sampler.Sampling_Steps",), id="misspelt key"),
        pytest.param(nothing, ("Sampel.Seed=3",), ("[Sampler]",), id="misspelt section"),
        pytest.param(nothing, ("Sampler.Sampler=DDIN",), ("Sampler.Sampler", "DDIM"), id="misspelt value"),
        pytest.param(nothing, ("Sampler.Sampling_Steps=1001",), ("Timesteps (1000)",), id="too many steps"),
        pytest.param(a_file, (TRAIN, OBJECTS, "Model.Weights={}/file/w"), ("file/w", "[Model] Weights"), id="new weights"),
        pytest.param(
            nothing, (TRAIN, OBJECTS, "Data.Cases=Phantom1"), ("Set/Image", "Phantom1", "[Data] Cases"), id="one case"
        ),
        pytest.param(
            lambda place: shutil.rmtree(place / "data" / "Set" / "Label"), (TRAIN,), ("Set", "labels"), id="no labels"
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    spoil: Spoil, overrides: tuple[str, ...], expected: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(place)
    assert run(place, *(override.format(place) for override in overrides)) == 2
    printed = capsys.readouterr()
    told = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert printed.err.endswith(told[0] + "\n")
    assert [part for part in expected if part not in told[0]] == []
    assert not out(place).exists()


def test_a_missing_file_of_settings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, config=place / "cgf.ini") == 2
    assert str(place / "cgf.ini") in capsys.readouterr().err


def test_no_mask_of_an_earlier_run_stays_for_a_case_that_is_left_out(place: Path) -> None:
    assert run(place, "Sampler.Sampling_Steps=2", "Output.Diffusion=0") == 0
    damaged = images(place) / "Phantom2.png"
    damaged.write_bytes(spoilt(damaged))
    assert run(place, *QUICK) == 1
    assert not list(out(place).rglob("Phantom2_*"))
    assert (out(place) / "Phantom1_segmentation.png").is_file()


def test_an_interruption(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(config: Config, files: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(segment, "run", interrupt)
    assert run(place) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_script_passes_the_status_on(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "LDSeg.py"), "--config", str(ROOT / "cfg.ini"), "--set", "Sampler.Seedd=1"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60)
    assert found.returncode == 2
    assert re.fullmatch(r"error: .*Sampler\.Seedd.*Sampler\.Seed\n", found.stderr)
    assert list(tmp_path.iterdir()) == []


# ---- What is written


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


def test_settings_that_the_weights_fix_are_named_and_not_used(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run(place, *QUICK) == 0
    name = "Phantom1_segmentation.png"
    plain = read_label(out(place) / name)
    assert caplog.text.count("is not used") == 0
    changed = {
        "NoiseScheduler.Beta_0": "0.001", "NoiseScheduler.Beta_T": "0.5", "NoiseScheduler.Scheduler": "linear",
        "NoiseScheduler.Timesteps": "500", "Data.Size": "64, 96", "Data.Channels": "1", "Data.Classes": "background, cell",
        "Data.Intensity": "percentile", "Model.Preset": "ldseg", "Model.Prediction": "eps",
    }  # fmt: skip
    overrides = [f"{key}={value}" for key, value in changed.items()]
    assert run(place, *QUICK, *overrides, f"Output.Folder={place / 'other'}") == 0
    for key, value in changed.items():
        assert any(f"{key} = {value} is not used" in record.message for record in caplog.records), key
    assert caplog.text.count("is not used") == len(changed)
    np.testing.assert_array_equal(read_label(place / "other" / name), plain)
    assert json.loads((place / "other" / "metrics.json").read_text("utf-8"))["run"]["config"]["Data"]["Size"] == [32, 32]


# ---- Training


def test_training_and_then_segmenting(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.phantoms(place / "data", 5)
    broken = images(place) / "Phantom4.png"
    broken.write_bytes(spoilt(broken))
    new = f"Model.Weights={place / 'new'}"
    settings = (new, "Data.Size=32, 32", "Data.Patch=", "Parameters.Epoch=2", "Training.ValidateEvery=1")
    assert run(place, TRAIN, OBJECTS, *settings, *QUICK, "Training.Augmentation=none") == 1
    printed = capsys.readouterr().out
    assert f"problem: {broken}" in printed
    assert "best: Dice" in printed
    assert (place / "new" / "training" / "curves.png").is_file()
    broken.unlink()
    assert run(place, new, *QUICK) == 1  # the label has lost its image
    assert len(list(out(place).glob("*_segmentation.png"))) == 4


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


def test_a_run_to_compare_with_is_looked_for_before_the_work(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, *QUICK, f"Output.Compare={place / 'nowhere'}") == 2
    assert "nowhere/metrics.json: expected the figures of a run" in capsys.readouterr().err
    assert not out(place).exists()


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


# ---- Ensembles


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
    left -= {"Phantom1_segmentation.png", "Phantom2_segmentation.png", "Phantom1_entropy_mine.tif"}
    assert left == {"Phantom2_entropy.tif", "Phantom2_variance.tif", "Phantom2_uncertainty.png"}


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


def test_a_default_that_the_command_line_asks_for_is_named_too(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    description = read_description(trained)
    schedule = {**description.training["NoiseScheduler"], "Scheduler": "linear"}
    linear = replace(description, training={**description.training, "NoiseScheduler": schedule})
    settle(load_config(ROOT / "cfg.ini"), linear)
    assert "is not used" not in caplog.text
    left_open = "Model.Prediction=auto", "Data.Size="
    settle(load_config(ROOT / "cfg.ini", ["NoiseScheduler.Scheduler=cosine", *left_open]), linear)
    assert "NoiseScheduler.Scheduler = cosine is not used" in caplog.text
    assert caplog.text.count("is not used") == 1
