"""What a person sees of a training, where somebody looks and where nobody does."""

import logging
import math
import time
from types import SimpleNamespace
from typing import Any

import pytest

from ldseg.training import progress
from ldseg.training.clock import Clock
from ldseg.training.progress import Progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress and clocks are given."""
    found = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: found[0]))
    return found


def updated(told: Progress, count: int = 1, seconds: float = 0.0, now: Any = None) -> None:
    for _ in range(count):
        if now is not None:
            now[0] += seconds
        told.clock.updated()
        told.on_train_batch_end(0)


def test_what_is_done_and_for_how_long(now: list[float]) -> None:
    told = Progress(40, 0, [], Clock(now=lambda: now[0]), validate_every=2, length=10)
    told.on_epoch_begin(0)
    assert told.said == "compiling"
    now[0] = 12
    assert told.said == "compiling, 12 s"
    updated(told)
    assert told.said == "training"
    with told.doing("compiling what validates"):
        now[0] += 3
        assert told.said == "compiling what validates, 3 s"
    with told.doing("validating"):
        said = []
        for done in range(4):
            told.case(done, 3)
            said.append(told.said)
    assert said == [f"validating, case {number} of 3" for number in (1, 2, 3, 3)]
    assert told.said == "training"


def test_the_time_left_of_given_epochs_has_the_validations_as_soon_as_one_tells(now: list[float]) -> None:
    told = Progress(40, 0, [], Clock(now=lambda: now[0]), validate_every=2, length=10)
    now[0] = 60
    updated(told)
    assert math.isnan(told.left) and told._asked()["left"] == "?"
    updated(told, 9, 0.5, now)
    now[0] += 2
    told.clock.paused()
    assert told.left == 15 + 3 * 2  # three epochs, each with a checkpoint
    assert told._asked()["left"] == ">00:21"  # with a validation that may take any time
    updated(told)
    updated(told, 9, 0.5, now)
    assert told.left == 10 + 2 * 2
    with told.doing("validating"):
        told.case(0, 4)
        assert told._asked()["left"] == "?"
        now[0] += 2
        told.case(1, 4)
        assert told.left == 14 + 6 + 8  # updates, the rest of this validation, the next one
        now[0] += 6
        told.case(4, 4)
        told.clock.validated(8)
    assert told.left == 14 + 8
    assert told._asked()["left"] == "00:22"


def test_the_time_left_of_given_minutes_is_known_while_networks_are_compiled(now: list[float]) -> None:
    told = Progress(0, 0, [], Clock(minutes=2, now=lambda: now[0]))
    now[0] = 30
    assert told.said == "compiling, 30 s"
    assert told._asked()["left"] == "01:30"
    updated(told, 21, 0.5, now)
    assert told.updates - told.done == round((79.5 - told.clock.reserve) / 0.5)
    assert told._asked()["left"] == "01:19"


def test_one_bar_tells_of_all_on_a_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Drawn by itself while the training stands still."""
    monkeypatch.setattr(progress, "is_screen", lambda: True)
    monkeypatch.setattr(progress, "DRAWN", 0.01)
    history: list[dict[str, Any]] = []
    told = Progress(4, 0, history, validate_every=2)
    shown = ""

    def drawn(text: str) -> None:
        nonlocal shown
        ends = time.monotonic() + 10
        while text not in shown.rpartition("\r")[2] and time.monotonic() < ends:
            time.sleep(0.01)
            shown += capsys.readouterr().err
        assert text in shown.rpartition("\r")[2]

    told.on_train_begin()
    drawn("compiling:   0%")
    told._began -= 70
    drawn("compiling, 70 s:   0%")
    told.on_epoch_begin(0)
    updated(told, 2)
    drawn("training:  50%")
    with told.doing("validating"):
        told.case(2, 9)
        drawn("validating, case 3 of 9:  50%")
    history.append({"epoch": 1, "loss": 0.5, "val_dice": 0.75})
    told.on_epoch_end(0)
    drawn("epoch 1, loss 0.5000, val Dice 0.7500, best 0.7500]")
    told.on_train_end()
    assert "\n" not in shown  # a second bar would begin a line


def test_lines_of_a_log(
    now: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the beginning, after each validation, and where nothing was said for long."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "is_screen", lambda: False)
    monkeypatch.setattr(progress, "DRAWN", 0.001)
    history: list[dict[str, Any]] = []
    told = Progress(40, 0, history, Clock(now=lambda: now[0]), validate_every=2, length=10)

    def logged(count: int) -> str:
        ends = time.monotonic() + 10
        while len(caplog.messages) < count and time.monotonic() < ends:
            time.sleep(0.001)
        assert len(caplog.messages) == count
        return caplog.messages[-1]

    told.on_train_begin()
    assert logged(1) == "compiling: 0 of 40 updates, left ?"
    now[0] += progress.LOGGED
    assert logged(2) == "compiling, 30 s: 0 of 40 updates, left ?"
    told.on_epoch_begin(0)
    updated(told, 20, 0.5, now)
    with told.doing("validating"):
        told.case(4, 9)
        now[0] += progress.LOGGED
        assert logged(3).startswith("validating, case 5 of 9: 20 of 40 updates, epoch 1, left ")
    told.clock.validated(30)
    history.append({"epoch": 1, "loss": 0.5, "val_dice": 0.75})
    told.on_epoch_end(0)
    assert logged(4) == "training: 20 of 40 updates, epoch 1, loss 0.5000, val Dice 0.7500, best 0.7500, left 00:40"
    told.close()
    assert capsys.readouterr().err == ""


def test_other_processes_of_a_group_say_nothing(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    told = Progress(4, 0, [], tells=False)
    told.on_train_begin()
    updated(told, 2)
    told.on_train_end()
    assert not caplog.messages and not capsys.readouterr().err
