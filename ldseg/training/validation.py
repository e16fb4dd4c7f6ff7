"""Validation: held-back cases, segmented by the sampler with the moving average of the weights."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from ldseg.base.shards import Shard, whole
from ldseg.data.cases import Case
from ldseg.data.preprocess import Preprocessing
from ldseg.devices.together import on_device, own_devices
from ldseg.errors import DataError
from ldseg.evaluation.collapse import Collapse
from ldseg.evaluation.metrics import dice, iou, scored
from ldseg.evaluation.objects import ObjectSums, object_sums, pooled
from ldseg.evaluation.quality import Quality, Signs, fit_quality
from ldseg.evaluation.record import foreground
from ldseg.evaluation.report import mean_foreground, mean_of
from ldseg.group import Group
from ldseg.inference import Engine, segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.inference.spread import spread
from ldseg.segmenter import Segmenter
from ldseg.training.clock import SHARE
from ldseg.training.plan import Plan
from ldseg.training.stop import check_stopped
from ldseg.training.trainer import Trainer

logger = logging.getLogger(__name__)

FEWEST = 8
"""Cases that are validated on, however long they take."""


class Validator:
    """Segments the validation cases of a plan with the moving average of a trainer's weights.

    Processes of a group share them out, and so do the devices of each. A case that cannot be read is left out, told once,
    and put down in ``problems``. Where the first validation would take more than ``SHARE`` of the minutes of a training, the
    cases that it has come to by then stand for all from then on: a sample by chance, of ``FEWEST`` or more.

    Args:
        plan: the training.
        cases: those to validate on.
        group: the processes that train together.
        reached: of how many cases the validations of an earlier start were; None before the first.

    Attributes:
        cases: those to validate on, by chance in another order where a training has minutes.
        problems: by name, what was wrong with cases that could not be read, one line each.
        quality: what tells the Dice of a mask without a label, fitted in the last validation; None with too few cases.
    """

    def __init__(
        self, plan: Plan, cases: Sequence[Case], group: Group | None = None, reached: int | None = None
    ) -> None:  # fmt: skip
        self.plan = plan
        self.cases = list(cases)
        if plan.minutes:
            order = np.random.default_rng(plan.seed).permutation(len(cases))
            self.cases = [self.cases[index] for index in order[: None if reached is None else max(reached, FEWEST)]]
        self._seconds = 60 * plan.minutes * SHARE if plan.minutes and reached is None else math.inf
        self.group = group or Group()
        self.devices = own_devices(plan.several_devices)
        with on_device(self.devices[0]):
            self.copies = [Segmenter(plan.spec)]
        self.quality: Quality | None = None
        self._warm = False
        self.problems: dict[str, str] = {}

    @property
    def segmenter(self) -> Segmenter:
        """The networks with the averaged weights, on the grid of whole cases."""
        return self.copies[0]

    @cached_property
    def predictor(self) -> Engine:
        """What draws the masks. Networks of more devices are made here: first, they would change the first weights."""
        options: dict[str, Any] = {"sampler": self.plan.sampler, "steps": self.plan.steps}

        def make(index: int) -> Predictor:
            if index:
                self.copies.append(Segmenter(self.plan.spec))
            predictor = Predictor(self.copies[index], **options)
            predictor.compile()
            return predictor

        return spread(make, self.devices, **options)

    def warm_up(self) -> None:
        """Compile what draws the masks, once: neither planned time nor the number of cases are to rest on that."""
        if not self._warm:
            self.predictor.warm_up(self._batch)
            self._warm = True
            check_stopped()

    @property
    def _batch(self) -> int:
        """Cases at a time, for each device."""
        return -(-self.plan.batch_size // (len(self.devices) * self.group.count))

    def __call__(
        self, trainer: Trainer, tell: Callable[[int, int], None] = lambda done, total: None
    ) -> tuple[dict[str, float], Collapse]:
        """The scores of ``validation_scores`` for the weights of now.

        Args:
            trainer: whose weights they are.
            tell: called with the number of cases that are done, and of all; at first with 0.

        Raises:
            DataError: if no case can be read.
        """
        predictor = self.predictor
        for name, copy in zip(self.devices, self.copies, strict=True):
            with on_device(name):
                trainer.copy_average(copy)
        own = Shard(self.group.index + 1, self.group.count).of(self.cases)
        measured = self._in_time(rows_of(own, self.plan.preprocessing, predictor, self._batch), len(own), tell)
        rows, bad, before = [], {}, len(self.cases)
        found_of = zip(self.cases, whole(self.group.gather("a validation", measured)), strict=True)
        reached = list(itertools.takewhile(lambda pair: pair[1], found_of))  # the first ones, so that a number tells which
        self.cases, self._seconds = [case for case, _ in reached], math.inf
        if len(reached) < before and self.group.first:
            logger.warning("validation is slow: on %d of %d cases from now on", len(reached), before)
        for case, row in reached:
            if "problem" not in row:
                rows.append(row)
            else:
                bad[case.name] = row["problem"]
                if case.name not in self.problems and self.group.first:
                    logger.error("left out %s", row["problem"])
        self.problems |= bad
        if not rows:
            raise DataError(f"none of {len(bad)} cases can be validated on, the first: {next(iter(bad.values()))}")
        found, collapse, self.quality = validation_scores(rows, self.plan.preprocessing, self.plan.spec.strides)
        return found, collapse

    def _in_time(self, rows: Iterator[dict[str, Any]], count: int, tell: Callable[[int, int], None]) -> list[dict[str, Any]]:
        """As many rows as there is time for, and empty ones in place of the others."""
        since, found = time.perf_counter(), []
        tell(0, count)
        for row in rows:
            found.append(row)
            tell(len(found), count)
            if len(found) >= FEWEST and time.perf_counter() - since > self._seconds:
                break
        return found + [{}] * (count - len(found))


def rows_of(
    cases: Sequence[Case], preprocessing: Preprocessing, predictor: Engine, batch_size: int
) -> Iterator[dict[str, Any]]:
    """What ``validation_scores`` takes of each case: plain values that one process can tell another; or its ``problem``.

    Args:
        cases: those to segment.
        preprocessing: from a case to the grid of the network.
        predictor: what segments them.
        batch_size: tiles at a time, for each device.
    """
    spec = predictor.spec
    for result in segment_cases(predictor, cases, preprocessing, batch_size=batch_size, seed=0, learning=True):
        check_stopped()
        if result.loaded is None or result.loaded.label is None:
            yield {"problem": f"{result.case.image}: cannot be validated on: {result.problem or 'it has no label'}"}
            continue
        pair = result.mask, result.loaded.label, spec.classes, preprocessing.unions
        sums = None
        if spec.outline and result.loaded.instances is not None:
            video = preprocessing.axes.startswith("T")
            sums = object_sums(result.instances, result.loaded.instances, result.loaded.spacing, frames=video)
        collapse = Collapse(preprocessing.classes, spec.strides)
        grid = preprocessing.grid_of(result.loaded.size, result.loaded.spacing)
        collapse.add(result.mask, result.loaded.label, grid, result.mean_entropy)
        yield {
            "dice": scored(dice, *pair).tolist(),
            "iou": scored(iou, *pair).tolist(),
            "signs": asdict(result.signs),
            "objects": None if sums is None else asdict(sums),
            "collapse": collapse.counts(),
        }


def validation_scores(
    rows: Sequence[dict[str, Any]], preprocessing: Preprocessing, strides: Sequence[int]
) -> tuple[dict[str, float], Collapse, Quality | None]:
    """Mean Dice and IoU over the foreground classes of every case, segmented by the sampler at its own size.

    ``val_dice`` and ``val_iou`` are means over the cases of the mean over their classes, as reports have them;
    ``val_dice_<class>`` over all cases; with regions, of these in place of the classes. A class absent from a case and from
    its mask does not count. Of networks that tell outlines there are ``val_object_f1`` and ``val_object_dice`` as well,
    pooled over the objects of all cases whose label numbers them. Beside the scores, whether the masks have collapsed, and
    the fit that tells the Dice of a mask without a label.

    Args:
        rows: of all cases in their order, see ``rows_of``.
        preprocessing: of the training.
        strides: of the latent.
    """
    dices, ious = [row["dice"] for row in rows], [row["iou"] for row in rows]
    sums = [ObjectSums(**row["objects"]) for row in rows if row["objects"] is not None]
    signs = [Signs(**row["signs"]) for row in rows]
    collapse = Collapse(preprocessing.classes, strides)
    for row in rows:
        collapse.take(row["collapse"])
    by_class = {name: mean_of(row[k] for row in dices) for k, name in enumerate(preprocessing.structures)}
    found = {
        "val_dice": mean_foreground(dices),
        "val_iou": mean_foreground(ious),
        **{f"val_dice_{name}": by_class[name] for name in preprocessing.structures[1:]},
    }
    if sums:
        found["val_object_f1"], found["val_object_dice"], _ = pooled(sums)
    return found, collapse, fit_quality(signs, [foreground(row) for row in dices])
