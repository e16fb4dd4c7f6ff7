"""Signals that end a training."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from ldseg.training import sampling, validation
from ldseg.training.stop import TrainingStopped, check_stopped, saying, terminated_as_interrupted

DEAF = """
import hashlib, sys
from ldseg.training.stop import ended_in_time, saying, terminated_as_interrupted
told = lambda text: print(text, flush=True)
with terminated_as_interrupted(), ended_in_time(told, patience=0.2), saying(lambda: "outer"):
    try:
        with saying(lambda: "stopped in epoch 3"):
            print("begun", flush=True)
            {}
    finally:
        {}
"""
LONG = 'hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)'
"""Minutes, in which Python runs no handler."""


def raised(number: int) -> None:
    """A signal, in a place that drops what its handler raises."""
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        threading.Event().wait(5)  # Python runs the handler here


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_memory_is_cleaned_up_is_not_printed(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Python prints what is raised there, and drops it; other errors are still printed."""

    class Cleaned:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)
            threading.Event().wait(5)

    class Broken:
        def __del__(self) -> None:
            raise OSError("told")

    given, hook = signal.signal(signal.SIGINT, signal.default_int_handler), sys.unraisablehook
    sys.unraisablehook = sys.__unraisablehook__  # without that of pytest
    try:
        with terminated_as_interrupted():
            Cleaned()
            assert capsys.readouterr().err == ""
            with pytest.raises(KeyboardInterrupt):
                check_stopped()
            Broken()
            assert "OSError: told" in capsys.readouterr().err
        assert sys.unraisablehook is sys.__unraisablehook__  # as before
    finally:
        signal.signal(signal.SIGINT, given)
        sys.unraisablehook = hook


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_not_lost_with_its_exception(number: int) -> None:
    usual = signal.getsignal(signal.SIGTERM)
    given = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    try:
        with terminated_as_interrupted():
            check_stopped()
            with terminated_as_interrupted():  # a fold in a training of several
                raised(number)
            with pytest.raises(KeyboardInterrupt):
                check_stopped()
        check_stopped()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is usual
    finally:
        signal.signal(signal.SIGINT, given)


def test_another_thread_changes_nothing() -> None:
    usual, seen = signal.getsignal(signal.SIGTERM), []

    def train() -> None:
        with terminated_as_interrupted():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [usual]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("steps", [(LONG, "pass"), ("import time; time.sleep(60)", LONG)], ids=["work", "order"])
def test_a_signal_ends_a_training_whose_library_does_not_come_back(number: int, steps: tuple[str, str]) -> None:
    """Such as one that compiles, or that takes long to put things in order after a stop."""
    script = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{DEAF.format(*steps)}"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, encoding="utf-8") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        time.sleep(0.2)
        running.send_signal(number)
        try:
            assert running.wait(20) == 130
        finally:
            running.kill()
        assert running.stdout.read() == "stopped in epoch 3\n"


def test_what_a_stop_says_is_what_the_innermost_has_to_say() -> None:
    with pytest.raises(TrainingStopped, match="inner"), saying(lambda: "outer"), saying(lambda: "inner"):
        raise KeyboardInterrupt
    with pytest.raises(TrainingStopped, match="outer"), saying(lambda: "outer"):
        with saying(lambda: "inner"):
            pass
        raise KeyboardInterrupt


def test_validation_looks_for_a_signal_at_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does what picks steps; neither begins another case."""
    begun: list[str] = []

    def segment_cases(*_: Any, **__: Any) -> Any:
        for name in ("first", "second"):
            begun.append(name)
            yield SimpleNamespace(loaded=None, problem="empty", case=SimpleNamespace(image=name))

    for module in (validation, sampling):
        monkeypatch.setattr(module, "segment_cases", segment_cases)
    anything: Any = SimpleNamespace(spec=None, sampler=None, batch_size=1, preprocessing=None, engine=lambda **_: None)
    with terminated_as_interrupted():
        rows = validation.rows_of([], anything, anything, 1)
        assert "empty" in next(rows)["problem"]
        raised(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            next(rows)
        with pytest.raises(KeyboardInterrupt):
            sampling._dices(anything, anything, [], 1, 1)
    assert begun == ["first", "second", "first"]
