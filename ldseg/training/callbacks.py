"""What happens between epochs: validation by sampling, the best weights, the checkpoint, logs, the progress bar."""

from __future__ import annotations

import csv
import io
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from ldseg.evaluation.collapse import SOUND, Collapse
from ldseg.training.checkpoint import save_checkpoint
from ldseg.writing import write_text

logger = logging.getLogger(__name__)

COLUMNS = (
    "epoch", "updates", "loss", "segmentation", "diffusion", "autoencoder", "val_dice", "val_iou", "collapse", "seconds",
)  # fmt: skip
"""What every log has; ``collapse`` is the kind of ``ldseg.evaluation.collapse.Collapse``."""


class Epochs(keras.callbacks.Callback):
    """Keeps the history of a training, validates, and keeps the best and the last state.

    Every row of the history, one for each epoch, is in ``log.csv`` and in the checkpoint; an interrupted training that
    goes on continues both. The checkpoint is written last, so that what it says was done has been done.

    Args:
        validate: segments the validation cases with the moving average of the weights and gives the mean scores
            ``{"val_dice", "val_iou"}`` and whatever else belongs into the log, and whether the masks have collapsed.
        keep_best: saves the weights just validated, with their figures.
        watch: called after each validation, once its row is in the history.
        validate_every: epochs between validations; the last epoch is always validated.
        epochs: the length of the training.
        checkpoint: where the last state goes.
        log: where the CSV log goes.
        history: rows so far.
        meta: more plain values for the checkpoint.

    Attributes:
        diverged: why the training was stopped before its end, with the last checkpoint kept; empty if it was not.
    """

    def __init__(
        self,
        *,
        validate: Callable[[], tuple[dict[str, float], Collapse]],
        keep_best: Callable[[dict[str, Any]], None],
        watch: Callable[[], None],
        validate_every: int,
        epochs: int,
        checkpoint: Path,
        log: Path,
        history: list[dict[str, Any]],
        meta: dict[str, Any],
    ) -> None:
        super().__init__()
        self.validate = validate
        self.keep_best = keep_best
        self.watch = watch
        self.validate_every = validate_every
        self.epochs = epochs
        self.checkpoint = checkpoint
        self.log = log
        self.history = history
        self.meta = meta
        self.started = 0.0
        self.diverged = ""

    @property
    def best(self) -> float:
        """The best sampled validation Dice so far; minus infinity before the first."""
        scores = [row["val_dice"] for row in self.history if row.get("val_dice") is not None]
        return max(scores, default=-math.inf)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        updates = keras.ops.convert_to_numpy(self.model.optimizer.iterations)  # it may lie on several devices
        row: dict[str, Any] = {"epoch": epoch + 1, "updates": int(updates)}
        terms = {name.removesuffix("_loss"): float(value) for name, value in (logs or {}).items()}
        row |= {name: value for name, value in terms.items() if name in COLUMNS}
        if not math.isfinite(row["loss"]):
            self.diverged = f"the loss of epoch {epoch + 1} is {row['loss']}"
            self.model.stop_training = True
            return
        if (epoch + 1) % self.validate_every == 0 or epoch + 1 == self.epochs:
            scores, collapse = self.validate()
            better = scores["val_dice"] > self.best
            row |= {**scores, "collapse": collapse.kind}
            self._warn(epoch + 1, collapse)
            if logs is not None:
                logs.update(scores)
            if better:
                self.keep_best(row)
        row["seconds"] = round(time.perf_counter() - self.started, 2)
        self.history.append(row)
        self._write_log()
        if "val_dice" in row:
            self.watch()
        save_checkpoint(self.checkpoint, self.model, {**self.meta, "epoch": epoch + 1, "history": self.history})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        validated = [row for row in self.history if row.get("collapse")]
        if validated and (row := validated[-1])["collapse"] != SOUND:
            logger.warning(
                "the training ends collapsed (%s at epoch %d): see collapse in %s", row["collapse"], row["epoch"], self.log
            )

    def _warn(self, epoch: int, collapse: Collapse) -> None:
        """Say that masks have collapsed, and whether that may be the beginning of a training."""
        if collapse.kind == SOUND:
            return
        sound = [row["epoch"] for row in self.history if row.get("collapse") == SOUND]
        what = f"they were sound at epoch {sound[-1]}" if sound else "usual at first, a collapse if it lasts"
        logger.warning("epoch %d, validation: %s; %s", epoch, collapse.said, what)

    def _write_log(self) -> None:
        text = io.StringIO()
        others = dict.fromkeys(name for row in self.history for name in row if name not in COLUMNS)
        writer = csv.DictWriter(text, [*COLUMNS, *others])
        writer.writeheader()
        writer.writerows(self.history)
        write_text(self.log, text.getvalue())


class Progress(keras.callbacks.Callback):
    """One progress bar over all updates of a training, with the loss and the last validation Dice beside it.

    Args:
        updates: of the whole training.
        done: updates of earlier runs.
        history: the rows that ``Epochs`` keeps.
    """

    def __init__(self, updates: int, done: int, history: list[dict[str, Any]]) -> None:
        super().__init__()
        self.updates = updates
        self.done = done
        self.history = history
        self.bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.bar = tqdm(total=self.updates, initial=self.done, unit="update", desc="training", mininterval=1.0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = self.history[-1] if self.history else {}
        scores = [entry["val_dice"] for entry in self.history if entry.get("val_dice") is not None]
        shown = {"epoch": epoch + 1, "loss": f"{row.get('loss', math.nan):.4f}"}
        if scores:
            shown |= {"val_dice": f"{scores[-1]:.4f}", "best": f"{max(scores):.4f}"}
        self.bar.set_postfix(shown)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.bar.close()
