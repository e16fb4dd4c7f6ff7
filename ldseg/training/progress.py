"""How far a training is: one bar where somebody looks, else lines of the log."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
from tqdm import tqdm

from ldseg.base.bars import LOGGED, is_screen
from ldseg.training.clock import Clock

logger = logging.getLogger(__name__)

COMPILING, TRAINING = "compiling", "training"

DRAWN = 1.0
"""Seconds after which a bar is drawn anew."""


class Bar(tqdm):
    """A progress bar that asks, whenever it is drawn, what is being done and how much time is left."""

    def __init__(self, asked: Callable[[], dict[str, str]], **options: Any) -> None:
        self.asked = asked
        super().__init__(**options)

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the text of the bar is made of."""
        return {**super().format_dict, **self.asked()}


class Progress(keras.callbacks.Callback):
    """Tells what a training does, how far it is, and the time left: that of a ``Clock``, with the validations to come.

    On a terminal and in a notebook it is one bar, drawn anew every ``DRAWN`` seconds, also while networks are compiled and
    cases are validated. Elsewhere it is a line of the log after every validation, and where none was written for ``LOGGED``
    seconds.

    Args:
        updates: of the whole training; 0 where minutes decide.
        done: updates of earlier runs.
        history: the rows that ``Epochs`` keeps.
        clock: the time of the training.
        validate_every: epochs between validations.
        length: updates of an epoch.
        tells: whether this process tells it; of several that train together, the first one does.
    """

    FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, left {left}{postfix}]"

    def __init__(
        self,
        updates: int,
        done: int,
        history: list[dict[str, Any]],
        clock: Clock | None = None,
        validate_every: int = 0,
        length: int = 1,
        tells: bool = True,
    ) -> None:
        super().__init__()
        self.updates = updates
        self.done = done
        self.history = history
        self.clock = clock or Clock()
        self.validate_every = validate_every
        self.length = length
        self.tells = tells
        self.epoch = 0
        self.bar: Any = None
        self._words, self._began = COMPILING, time.monotonic()
        self._case = self._cases = 0
        self._logged = math.inf
        self._validated = len(self._scores)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def doing(self, words: str) -> Iterator[None]:
        """Tell that something else than training is done within."""
        before = self._words
        self._begin(words)
        try:
            yield
        finally:
            self._begin(before)

    def case(self, number: int, total: int) -> None:
        """So many cases are done of what is being done, and so many there are."""
        self._case, self._cases = number, total

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self.tells:
            return
        self._begin(COMPILING)  # which the first update holds
        if is_screen():
            total = self.updates or None
            self.bar = Bar(self._asked, total=total, initial=self.done, bar_format=self.FORMAT, dynamic_ncols=True)
        else:
            self._log()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.done += 1
        if self._words == COMPILING:
            self._begin(TRAINING)
        if self.clock.budget and not math.isnan(self.clock.update):
            self.updates = self.done + round(max(self.clock.left() - self.clock.reserve, 0) / self.clock.update)
        self._tell_validation()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._tell_validation()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it is; also where a training does not come to its end."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self.bar is not None:
            self._count()
            self.bar.close()

    @property
    def said(self) -> str:
        """What is being done, with its cases, or its seconds where it does not say how far it is."""
        if self._words == TRAINING:
            return TRAINING
        if self._cases:
            return f"{self._words}, case {min(self._case + 1, self._cases)} of {self._cases}"
        seconds = int(time.monotonic() - self._began)
        return f"{self._words}, {seconds} s" if seconds else self._words

    @property
    def left(self) -> float:
        """Seconds left; NaN while that is not known."""
        todo = max(self.updates - self.done, 0)
        left = self.clock.left(todo, self._validations, -(-todo // self.length))
        if self.clock.budget or not self._cases:
            return left
        # What the validation that goes on still takes; before the first is done, the others will take as long.
        each = (time.monotonic() - self._began) / self._case if self._case else math.nan
        known = not math.isnan(self.clock.validation)
        return left + each * (self._cases - self._case) + (0 if known else self._validations * each * self._cases)

    @property
    def _validations(self) -> int:
        """Those to come, but for one that goes on."""
        todo = max(self.updates - self.done, 0)
        return -(-todo // (self.validate_every * self.length)) if self.validate_every else 0

    @property
    def _scores(self) -> list[float]:
        return [row["val_dice"] for row in self.history if row.get("val_dice") is not None]

    def _asked(self) -> dict[str, str]:
        """What a bar and a line are made of."""
        left, scores = self.left, self._scores
        losses = [row["loss"] for row in self.history[-1:] if "loss" in row]
        parts = [f"epoch {self.epoch}"] if self.epoch else []
        parts += [f"loss {loss:.4f}" for loss in losses]
        parts += [f"val Dice {scores[-1]:.4f}, best {max(scores):.4f}"] if scores else []
        unknown = not self.clock.budget and math.isnan(self.clock.validation) and self._validations and not self._cases
        time_left = "?" if math.isnan(left) else f"{'>' if unknown else ''}{tqdm.format_interval(left)}"
        return {"prefix": self.said, "left": time_left, "postfix": ", ".join(parts)}

    def _begin(self, words: str) -> None:
        self._case = self._cases = 0
        self._words, self._began = words, time.monotonic()

    def _run(self) -> None:
        while not self._over.wait(DRAWN):
            if self.bar is not None:
                self._count()
                self.bar.refresh()
            elif time.monotonic() - self._logged >= LOGGED:
                self._log()

    def _count(self) -> None:
        self.bar.n, self.bar.total = self.done, self.updates or None

    def _tell_validation(self) -> None:
        """In a log, each of them has a line."""
        if self._thread is not None and self.bar is None and len(self._scores) > self._validated:
            self._log()

    def _log(self) -> None:
        self._logged, self._validated = time.monotonic(), len(self._scores)
        asked, updates = self._asked(), f"{self.done} of {self.updates or '?'} updates"
        logger.info(
            "%s", ", ".join(filter(None, (f"{asked['prefix']}: {updates}", asked["postfix"], f"left {asked['left']}")))
        )
