"""What a training makes of its data: cases left out, labels without an object, data that changed while it was stopped."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from ldseg.errors import DataError
from ldseg.training.checkpoint import read_meta
from ldseg.training.prepare import train_config
from ldseg.weights import WEIGHTS_FILE, read_description

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


def test_going_on_after_the_data_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tiny.phantoms(tmp_path, 3)
    changes: dict[str, Any] = {"Parameters_Epoch": 1, "Training_Workers": 0}
    config = tiny.settings(tmp_path, tmp_path / "w", **changes)
    train_config(config)
    assert "not in the split" not in caplog.text
    tiny.phantoms(tmp_path, 5)
    train_config(config)
    assert "2 cases are not in the split of the training that goes on: Phantom4, Phantom5; Checkpoint = False" in caplog.text
    for path in (tmp_path / "Set").glob("*/Phantom1*"):
        path.unlink()
    with pytest.raises(DataError, match=r"not in the data folder.*: Phantom1; put .* Checkpoint = False"):
        train_config(config)
    for checkpoint in (True, False):
        broken = config.with_values({"Data.LabelMap": ((0, 0), (7, 1)), "Parameters.Checkpoint": checkpoint})
        with pytest.raises(DataError, match=r"none of 4 labels can be read, the first: .*Phantom\d_label"):
            train_config(broken)


def test_cases_that_cannot_be_read_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny.phantoms(tmp_path, 5)
    image, label = tmp_path / "Set" / "Image" / "Phantom2.png", tmp_path / "Set" / "Label" / "Phantom4_label.png"
    image.write_bytes(image.read_bytes()[:200])
    label.write_bytes(b"")
    config = tiny.settings(tmp_path, tmp_path / "w", Parameters_Epoch=1, Training_Workers=0)
    result = train_config(config)
    assert len(result.problems) == 2
    for path in (image, label):
        assert any(str(path) in problem for problem in result.problems)
        assert str(path) in caplog.text
    named = read_meta(result.logs / "last.npz")["split"]
    names = [name for part in ("training", "validation") for group in named[part].values() for name in group]
    assert sorted(names) == ["Phantom1", "Phantom3", "Phantom5"]


@pytest.mark.parametrize(("part", "count"), [("train on", 3), ("validate on", 1)])
def test_labels_of_background_alone(part: str, count: int, tmp_path: Path) -> None:
    tiny.phantoms(tmp_path, 4)
    emptied = ("Phantom1", "Phantom2", "Phantom3") if count == 3 else ("Phantom4",)
    for name in emptied:
        path = tmp_path / "Set" / "Label" / f"{name}_label.png"
        Image.fromarray(np.zeros_like(np.asarray(Image.open(path)))).save(path)
    config = tiny.settings(tmp_path, tmp_path / "w", Training_Validation=("Phantom4",))
    with pytest.raises(DataError, match=f"one label to {part}, found background alone: {', '.join(emptied)}$"):
        train_config(config)
    assert not (tmp_path / "w" / WEIGHTS_FILE).exists()


def test_what_was_chosen_from_the_data_stays_when_a_training_goes_on(tmp_path: Path) -> None:
    tiny.phantoms(tmp_path, 3)
    left_open: dict[str, Any] = {"Data_Size": (), "Data_Patch": (), "Data_Intensity": "auto", "Training_Workers": 0}
    train_config(tiny.settings(tmp_path, tmp_path / "w", Parameters_Epoch=1, **left_open))
    before = read_description(tmp_path / "w")
    for path in (tmp_path / "Set" / "Image").iterdir():
        Image.open(path).convert("RGB").resize((96, 80)).save(path)
    for path in (tmp_path / "Set" / "Label").iterdir():
        Image.open(path).resize((96, 80), Image.Resampling.NEAREST).save(path)
    result = train_config(tiny.settings(tmp_path, tmp_path / "w", Parameters_Epoch=2, **left_open))
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert read_description(tmp_path / "w").spec == before.spec
    assert read_meta(result.logs / "last.npz")["chosen"]["Data.Size"] == list(before.spec.size)
