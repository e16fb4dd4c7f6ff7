"""The progress bar of a training."""

from __future__ import annotations

import math
from typing import Any

import keras
from tqdm import tqdm

from ldseg.training.clock import Clock


class Bar(tqdm):
    """A progress bar whose time left is that of a ``Clock``: without the compiling, with the validations to come."""

    left = math.nan

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the text of the bar is made of."""
        shown = super().format_dict
        return {**shown, "left": "?" if math.isnan(self.left) else tqdm.format_interval(self.left)}


class Progress(keras.callbacks.Callback):
    """One progress bar over all updates of a training, with the loss and the last validation Dice beside it.

    Args:
        updates: of the whole training; 0 where minutes decide.
        done: updates of earlier runs.
        history: the rows that ``Epochs`` keeps.
        clock: the time of the training.
        validate_every: updates between validations.
    """

    FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, left {left}{postfix}]"

    def __init__(
        self, updates: int, done: int, history: list[dict[str, Any]], clock: Clock | None = None, validate_every: int = 0
    ) -> None:
        super().__init__()
        self.updates = updates
        self.done = done
        self.history = history
        self.clock = clock or Clock()
        self.validate_every = validate_every
        self.bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        total = self.updates or None
        self.bar = Bar(total=total, initial=self.done, desc="compiling", mininterval=1.0, bar_format=self.FORMAT)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.bar.set_description_str("training", refresh=False)  # the first update holds the compiling
        if self.clock.budget and not math.isnan(self.clock.update):
            self.bar.total = self.bar.n + 1 + round(max(self.clock.left() - self.clock.reserve, 0) / self.clock.update)
        todo = max(self.updates - self.bar.n - 1, 0)
        validations = -(-todo // self.validate_every) if self.validate_every else 0
        self.bar.left = self.clock.left(todo, validations)
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = self.history[-1] if self.history else {}
        scores = [entry["val_dice"] for entry in self.history if entry.get("val_dice") is not None]
        shown = {"epoch": epoch + 1, "loss": f"{row.get('loss', math.nan):.4f}"}
        if scores:
            shown |= {"val_dice": f"{scores[-1]:.4f}", "best": f"{max(scores):.4f}"}
        self.bar.set_postfix(shown)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it is; also where a training does not come to its end."""
        if self.bar is not None:
            self.bar.close()
