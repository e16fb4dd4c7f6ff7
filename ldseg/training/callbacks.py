"""What happens between epochs: validation by sampling, the best weights, the checkpoint, logs, the end on time."""

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

from ldseg.base.writing import write_text
from ldseg.evaluation.collapse import SOUND, Collapse
from ldseg.training.checkpoint import save_checkpoint
from ldseg.training.clock import Clock, CommonTime, rate
from ldseg.training.stop import check_stopped

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
        clock: the time of the training; where it has a budget, it says when to validate, in place of the number of epochs.
        writes: whether this process writes; of several that train together, the first one does.
        prepare: called before each validation, whose time does not hold what it takes: at the first, compiling.

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
        clock: Clock | None = None,
        writes: bool = True,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.clock = clock or Clock()
        self.prepare = prepare
        self.writes = writes
        self.epoch = 0
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
        self.epoch = epoch + 1
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Validate within an epoch that takes too long; the checkpoint waits for its end."""
        check_stopped()
        self.clock.updated()
        if self.clock.overdue and not self.model.stop_training:
            self.history.append(self._validated(self._row(logs), logs))
            self._write_log()
            if self.writes:
                self.watch()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = self._row(logs)
        if not math.isfinite(row["loss"]):
            self.diverged = f"the loss of epoch {epoch + 1} is {row['loss']}"
            self.model.stop_training = True
            return
        due = self.clock.due if self.clock.budget else (epoch + 1) % self.validate_every == 0
        if due or epoch + 1 == self.epochs or self.model.stop_training:
            row = self._validated(row, logs)
        row["seconds"] = round(time.perf_counter() - self.started, 2)
        self.history.append(row)
        self._write_log()
        if self.writes:
            if "val_dice" in row:
                self.watch()
            done = {"epoch": epoch + 1, "history": self.history, "spent": self.clock.elapsed}
            save_checkpoint(self.checkpoint, self.model, {**self.meta, **done})
        self.clock.paused()

    def _row(self, logs: dict[str, Any] | None) -> dict[str, Any]:
        updates = keras.ops.convert_to_numpy(self.model.optimizer.iterations)  # it may lie on several devices
        terms = {name.removesuffix("_loss"): float(value) for name, value in (logs or {}).items()}
        row = {"epoch": self.epoch, "updates": int(updates)}
        return row | {name: value for name, value in terms.items() if name in COLUMNS}

    def _validated(self, row: dict[str, Any], logs: dict[str, Any] | None) -> dict[str, Any]:
        """The row with the scores of a validation, whose weights are kept where it is the best."""
        self.prepare()
        began = self.clock.now()
        scores, collapse = self.validate()
        better = scores["val_dice"] > self.best
        row = row | {**scores, "collapse": collapse.kind}
        self._warn(row["epoch"], collapse)
        if logs is not None:
            logs.update(scores)
        if better and self.writes:
            self.keep_best(row)
        self.clock.validated(self.clock.now() - began)
        return row

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        validated = [row for row in self.history if row.get("collapse")]
        if self.writes and validated and (row := validated[-1])["collapse"] != SOUND:
            logger.warning(
                "the training ends collapsed (%s at epoch %d): see collapse in %s", row["collapse"], row["epoch"], self.log
            )

    def _warn(self, epoch: int, collapse: Collapse) -> None:
        """Say that masks have collapsed, and whether that may be the beginning of a training."""
        if collapse.kind == SOUND or not self.writes:
            return
        sound = [row["epoch"] for row in self.history if row.get("collapse") == SOUND]
        what = f"they were sound at epoch {sound[-1]}" if sound else "usual at first, a collapse if it lasts"
        logger.warning("epoch %d, validation: %s; %s", epoch, collapse.said, what)

    def _write_log(self) -> None:
        if not self.writes:
            return
        text = io.StringIO()
        others = dict.fromkeys(name for row in self.history for name in row if name not in COLUMNS)
        writer = csv.DictWriter(text, [*COLUMNS, *others])
        writer.writeheader()
        writer.writerows(self.history)
        write_text(self.log, text.getvalue())


class Dispensable(keras.callbacks.Callback):
    """Another callback, which a training can do without: where it fails, that is said once, and it is called no more.

    Args:
        callback: the other one.
        name: what messages call it.
    """

    def __init__(self, callback: keras.callbacks.Callback, name: str) -> None:
        super().__init__()
        self.callback, self.name, self.lost = callback, name, False

    def _call(self, hook: str, *given: Any) -> None:
        if self.lost:
            return
        try:
            getattr(self.callback, hook)(*given)
        except Exception as error:  # of TensorFlow, of the system, of what it writes with
            self.lost = True
            logger.warning("%s is not written any more: %s", self.name, " ".join(str(error).split())[:200])

    def set_params(self, params: Any) -> None:
        super().set_params(params)
        self._call("set_params", params)

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._call("set_model", model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_epoch_end", epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_train_batch_end", batch, logs)


class Ticking(keras.callbacks.Callback):
    """Lets the common time of several processes go on, before others ask for it.

    Args:
        time: that time.
    """

    def __init__(self, time: CommonTime) -> None:
        super().__init__()
        self.time = time

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.time.tick()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.time.tick()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.time.tick()


class OnTime(keras.callbacks.Callback):
    """Ends a training of given minutes on time, with the step size fallen.

    Args:
        clock: the time of the training.
        peak: the highest step size.
        warm_up: updates up to it.
        epoch: updates of an epoch.
    """

    def __init__(self, clock: Clock, *, peak: float, warm_up: int, epoch: int) -> None:
        super().__init__()
        self.clock = clock
        self.peak = peak
        self.warm_up = warm_up
        self.epoch = epoch
        self.done = 0
        self.compiled = False
        self.planned = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.done = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self._set()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._set()  # on JAX the only place: there an epoch's variables are out of reach

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.done += 1
        if not self.compiled:
            self._tell_if_late()
        if keras.backend.backend() != "jax":
            self._set()
        if self.clock.over:
            self.model.stop_training = True
        if not self.planned and not math.isnan(self.clock.update) and self.clock.progress > 0:
            self._plan()

    def _set(self) -> None:
        self.model.optimizer.learning_rate = rate(self.peak, self.clock.progress, self.done, self.warm_up)

    def _tell_if_late(self) -> None:
        """The first update of a start holds the compiling, which may leave nothing of a few minutes."""
        self.compiled = True
        took, given = self.clock.elapsed - self.clock.spent, self.clock.budget - self.clock.spent
        if took > given / 2:
            logger.warning(
                "the first update was done after %.1f of %.1f minutes, compiling included: more minutes teach more",
                took / 60, given / 60,
            )  # fmt: skip

    def _plan(self) -> None:
        self.planned = True
        update, left = self.clock.update, self.clock.left()
        updates = round(left / update)
        logger.info(
            "%.2f s an update after compiling: about %d updates (%.1f epochs) in the %.1f minutes left, a validation every "
            "%.1f minutes",
            update, updates, updates / self.epoch, left / 60, self.clock.interval / 60,
        )  # fmt: skip
