"""A training that is stopped: by Ctrl-C, or by the SIGTERM of a system that ends it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class TrainingStopped(KeyboardInterrupt):
    """A training was stopped; its text says where it was, what there is, and how to go on."""


_asked = threading.Event()


def _interrupt(*_: Any) -> None:
    _asked.set()
    raise KeyboardInterrupt


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as SIGINT does, where the main thread trains; elsewhere nothing changes.

    Python drops an exception that is raised in what cleans up memory; ``check_stopped`` raises it again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        wanted.append(signal.SIGINT)
    inner = signal.getsignal(signal.SIGTERM) is _interrupt
    before = {number: signal.signal(number, _interrupt) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if not inner:
            _asked.clear()


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
    parts.append(f"start it again with the same settings ([Parameters] Checkpoint = True) and it goes on {where}")
    if fallen > 0.1:
        parts.append(
            f"its step size was still {fallen:.0%} of the highest: trained to the end, where it has fallen, Dice gains"
        )
    return "; ".join(parts)
