"""A training that is stopped: by Ctrl-C, or by the SIGTERM of a system that ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ldseg.group import INTERRUPTED


class TrainingStopped(KeyboardInterrupt):
    """A training was stopped; its text says where it was, what there is, and how to go on."""


PATIENCE = 5.0
"""Seconds that a training has to end by itself, once it was asked to."""

_GOES_ON = "start it again with the same settings ([Parameters] Checkpoint = True) and it goes on"

AGAIN = f"{_GOES_ON} there"

_asked = threading.Event()

_texts: list[Callable[[], str]] = []

_told: list[str] = []


def _interrupt(*_: Any) -> None:
    _asked.set()
    raise KeyboardInterrupt


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as SIGINT does, where the main thread trains; elsewhere nothing changes.

    Python drops an exception that is raised in what cleans up memory, and would print it; ``check_stopped`` raises it again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        wanted.append(signal.SIGINT)
    inner = signal.getsignal(signal.SIGTERM) is _interrupt
    before = {number: signal.signal(number, _interrupt) for number in wanted}
    told = sys.unraisablehook

    def quiet(dropped: Any) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            told(dropped)

    sys.unraisablehook = quiet
    try:
        yield
    finally:
        sys.unraisablehook = told
        for number, handler in before.items():
            signal.signal(number, handler)
        if not inner:
            _asked.clear()


@contextlib.contextmanager
def saying(text: Callable[[], str]) -> Iterator[None]:
    """What a stop says that comes within: KeyboardInterrupt becomes ``TrainingStopped`` with this text.

    Args:
        text: made when it is needed, maybe in another thread.
    """
    _texts.append(text)
    try:
        yield
    except TrainingStopped:
        raise
    except KeyboardInterrupt as stop:
        _told.append(text())
        raise TrainingStopped(_told[-1]) from stop
    finally:
        _texts.remove(text)


@contextlib.contextmanager
def ended_in_time(tell: Callable[[str], None], patience: float = PATIENCE) -> Iterator[None]:
    """A signal ends this process within seconds, whatever the main thread waits for.

    Python raises KeyboardInterrupt only when the library that it is in comes back; where networks are compiled, or sampled
    in a long loop, that may take minutes. Who has not left this block by then is ended as by ``kill -9``: what is written is
    whole or not there, see ``ldseg.base.writing``. It is for a command: it would end a notebook, too.

    Args:
        tell: called from another thread with what ``saying`` has there is to say, before the end.
        patience: seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _told.clear()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if os.read(reader, 1)[0] in (signal.SIGINT, signal.SIGTERM) and not over.wait(patience):
                try:
                    # What is put in order after a stop may take long, too.
                    text = _told[-1] if _told else _texts[-1]()
                except Exception:  # JAX has no step size amid an epoch
                    text = f"training stopped; {AGAIN}"
                try:
                    tell(text)
                finally:
                    os._exit(INTERRUPTED)

    thread = threading.Thread(target=watch, name="ended in time", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        over.set()
        os.write(writer, b"\0")
        thread.join()
        os.close(reader)
        os.close(writer)


def check_stopped() -> None:
    """Raise KeyboardInterrupt if a signal came since ``terminated_as_interrupted`` began."""
    if _asked.is_set():
        raise KeyboardInterrupt


def farewell(folder: Path, history: list[dict[str, Any]], epoch: int, epochs: int, fallen: float) -> str:
    """What to say to whoever stopped a training.

    Args:
        folder: of the weights.
        history: a row for each epoch that is done.
        epoch: the one that was going on.
        epochs: as many as there were to be; 0 where minutes decide.
        fallen: the step size as a share of its peak.
    """
    scored = [row for row in history if row.get("val_dice") is not None]
    of = f" of {epochs}" if epochs else ""
    parts = [f"training stopped in epoch {epoch}{of}"]
    if scored:
        best = max(scored, key=lambda row: row["val_dice"])
        parts.append(f"best validation Dice {best['val_dice']:.4f} at epoch {best['epoch']}, its weights in {folder}")
    else:
        parts.append("nothing was validated yet, so there are no weights")
    where = f"after epoch {epoch - 1}" if epoch > 1 else "at its beginning"
    parts.append(f"{_GOES_ON} {where}")
    if fallen > 0.1:
        parts.append(
            f"its step size was still {fallen:.0%} of the highest: trained to the end, where it has fallen, Dice gains"
        )
    return "; ".join(parts)
