"""Trainings that minutes or a signal end."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny

import ldseg.training.fit as fit
from ldseg.cli import training
from ldseg.training import prepare
from ldseg.training.callbacks import OnTime
from ldseg.training.checkpoint import read_meta
from ldseg.training.clock import Clock
from ldseg.training.prepare import train_config
from ldseg.training.stop import TrainingStopped, ended_in_time, farewell
from ldseg.training.validation import Validator
from ldseg.weights import WEIGHTS_FILE, read_description

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that trainings see: half a second an update, a tenth a validation, two for the first update of a start."""
    now = [0.0]
    updated, validated = Clock.updated, Validator.__call__

    def update(clock: Clock) -> None:
        now[0] += 0.5 if clock._tick or clock._first else 2.0
        updated(clock)

    def validate(validator: Validator, *given: Any) -> Any:
        now[0] += 0.1
        return validated(validator, *given)

    for module in (fit, prepare):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(Clock, "updated", update)
    monkeypatch.setattr(Validator, "__call__", validate)
    return now


@pytest.mark.slow
def test_minutes_are_kept_over_a_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture, seconds: list[float]) -> None:
    """With the rate fallen, the best weights kept, and nothing left to do at the end."""
    caplog.set_level(logging.INFO)
    tiny.phantoms(tmp_path)
    folder = tmp_path / "w"
    config = tiny.settings(tmp_path, folder, Training_Minutes=0.25, Training_Workers=0, Parameters_Epoch=1)

    def stop(result: Any) -> None:
        if read_meta(result.logs / "last.npz")["epoch"]:
            raise KeyboardInterrupt

    with pytest.raises(TrainingStopped, match=rf"best validation Dice 0\.\d+ at epoch \d+, its weights in {folder}; .*go"):
        train_config(config, watch=stop)
    left = 15 - read_meta(folder / "training" / "last.npz")["spent"]
    began = seconds[0]
    result = train_config(config)
    assert seconds[0] - began == pytest.approx(left, abs=1)
    assert "an update after compiling: about" in caplog.text
    assert "going on after epoch" in caplog.text
    assert read_meta(result.logs / "last.npz")["spent"] == pytest.approx(15, abs=1)
    assert result.history[-1]["val_dice"] is not None
    best = max((row for row in result.history if "val_dice" in row), key=lambda row: row["val_dice"])
    assert read_description(folder).figures["epoch"] == best["epoch"]
    length = len(result.history)
    assert len(train_config(config).history) == length
    assert "raise [Training] Minutes" in caplog.text


@pytest.mark.parametrize(("spent", "seconds", "told"), [(0, 70, True), (0, 50, False), (100, 15, True), (100, 5, False)])
def test_minutes_that_compiling_takes_are_told(
    spent: float, seconds: float, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    callback = OnTime(Clock(minutes=2, spent=spent, now=lambda: now[0]), peak=1.0, warm_up=1, epoch=1)
    callback.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.0), stop_training=False))
    now[0] = seconds
    callback.on_train_batch_end(0)
    callback.on_train_batch_end(1)
    said = f"after {seconds / 60:.1f} of {2 - spent / 60:.1f} minutes, compiling included"
    assert caplog.text.count(said) == told


SCRIPT = f"""
import json, os, sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
import conftest, tiny
import ldseg.training.fit as fit
from ldseg.config import Config
from ldseg.cli import training
config = Config.from_dict(json.loads(sys.argv[1]))
save = fit.save_weights
def save_and_die(*arguments):
    save(*arguments)
    os.kill(os.getpid(), 9)
fit.save_weights = save_and_die
with tiny.tiny_networks():
    training.run(config)
"""


@pytest.mark.slow
def test_a_kill_between_the_first_weights_and_their_checkpoint(tmp_path: Path) -> None:
    """The next start goes on with that training, and ends as if nothing had happened."""
    tiny.phantoms(tmp_path)
    config = tiny.settings(tmp_path, tmp_path / "w", Training_ValidateEvery=1, Training_Workers=0)
    command = [sys.executable, "-c", SCRIPT, json.dumps(config.to_dict())]
    killed = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "w" / WEIGHTS_FILE).is_file()
    assert read_meta(tmp_path / "w" / "training" / "last.npz")["epoch"] == 0
    whole = train_config(config.with_values({"Model.Weights": str(tmp_path / "whole")}))
    result = train_config(config)
    assert [row["loss"] for row in result.history] == pytest.approx([row["loss"] for row in whole.history], rel=1e-6)
    assert [row["val_dice"] for row in result.history] == [row["val_dice"] for row in whole.history]
    assert sorted(os.listdir(tmp_path / "w")) == sorted(os.listdir(tmp_path / "whole"))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_training_with_what_there_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.phantoms(tmp_path)
    save = fit.save_weights

    def save_and_signal(*arguments: Any) -> None:
        save(*arguments)
        os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr(fit, "save_weights", save_and_signal)
    # However slow the machine is: else these tests would end with the training.
    monkeypatch.setattr(training, "ended_in_time", partial(ended_in_time, patience=600))
    # A shell that starts tests in the background ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as stopped:
            training.run(tiny.settings(tmp_path, tmp_path / "w", Training_ValidateEvery=1))
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(stopped.value, TrainingStopped)
    told = capsys.readouterr().err
    assert "training stopped in epoch 1 of 4; nothing was validated yet" in told
    assert "Checkpoint = True" in told


def test_what_a_stopped_training_says() -> None:
    rows = [{"epoch": 1, "val_dice": 0.5}, {"epoch": 2, "val_dice": 0.75}, {"epoch": 3}]
    text = farewell(Path("w"), rows, 4, 10, 0.62)
    assert "stopped in epoch 4 of 10; best validation Dice 0.7500 at epoch 2, its weights in w" in text
    assert "goes on after epoch 3; its step size was still 62% of the highest" in text
    assert "step size" not in farewell(Path("w"), rows, 4, 10, 0.02)
    assert "no weights" in farewell(Path("w"), [], 1, 0, 1.0)


def test_a_training_that_goes_on_says_what_has_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tiny.phantoms(tmp_path)
    changes: dict[str, Any] = {"Training_Workers": 0, "Training_ValidateEvery": 1}
    train_config(tiny.settings(tmp_path, tmp_path / "w", Parameters_Epoch=1, **changes))
    assert "going on" not in caplog.text
    assert "compiling: 0 of 2 updates, left ?" in caplog.messages
    train_config(tiny.settings(tmp_path, tmp_path / "w", Parameters_Epoch=2, Parameters_LearningRate=2e-3, **changes))
    assert "going on after epoch 1, best validation Dice 0." in caplog.text
    changed = "changed since its last start: Parameters.Epoch = 2 (was 1), Parameters.LearningRate = 0.002 (was 0.001)\n"
    assert changed in caplog.text
