"""How runs of the command end: what is told, what is written, and the status."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from small import QUICK, ROOT, files, images, out, run, spoilt

from ldseg.base.writing import LOCK
from ldseg.cli import segment
from ldseg.config import Config
from ldseg.io.pictures import write_image
from ldseg.weights import WEIGHTS_FILE

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Spoil = Callable[[Path], object]


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


def test_a_run_to_compare_with_is_looked_for_before_the_work(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, *QUICK, f"Output.Compare={place / 'nowhere'}") == 2
    assert "nowhere/metrics.json: expected the figures of a run" in capsys.readouterr().err
    assert not out(place).exists()


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
