"""After a training: the number of sampling steps and of masks that pay, by the cases of validation."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.bars import along
from ldseg.base.text import counted
from ldseg.data.cases import Case
from ldseg.evaluation.metrics import dice, scored
from ldseg.evaluation.report import mean_foreground
from ldseg.inference import segment_cases
from ldseg.inference.opening import Opened, open_weights
from ldseg.training.plan import Plan
from ldseg.training.stop import check_stopped
from ldseg.weights import change_description

logger = logging.getLogger(__name__)

MOST_CASES = 48
"""Cases of validation that are segmented for it, spread over all."""

STEPS = (5, 1, 2, 15)
"""Numbers of steps that are tried, in this order, as far as the time goes."""

SAMPLES = 4
"""Masks of each image that are tried, at the best number of steps."""

TOLERATED = 0.002
"""Dice that fewer steps may lack."""

GAIN = 0.005
"""Dice that several masks must gain, as they take their number of times as long."""


Held = tuple[Opened, Sequence[Case]]
"""Weights, and cases that they did not learn from."""


def pick_sampling(plan: Plan, cases: Sequence[Case], folder: Path, seconds: float = math.inf) -> dict[str, Any]:
    """Try numbers of steps, then several masks, with the weights in a folder, and store with them what pays.

    Args:
        plan: of the training.
        cases: those that it validated on.
        folder: of the weights.
        seconds: what is not begun within them is left out.

    Returns:
        ``steps`` and ``samples``; ``tried``, the Dice of each that was tried, by ``<steps>x<samples>``; ``cases``, their
        number. Empty if nothing could be tried.

    Raises:
        WeightsError: if the weights cannot be read or written.
    """
    sampling = sampling_of(
        plan, [(open_weights(folder, preset=plan.spec.own, multiple=plan.several_devices), cases)], seconds
    )
    if sampling:
        change_description(folder, plan.spec.own, sampling=sampling)
    return sampling


def sampling_of(plan: Plan, held_back: Sequence[Held], seconds: float = math.inf) -> dict[str, Any]:
    """What ``pick_sampling`` stores, by weights and the cases that they did not learn from, one pair for each fold."""
    every = math.ceil(sum(len(cases) for _, cases in held_back) / MOST_CASES)
    some = [(opened, cases[::every]) for opened, cases in held_back]

    def measure(steps: int, samples: int) -> float:
        rows = (row for opened, part in some for row in _dices(plan, opened, part, steps, samples))
        what = f"trying {counted(steps, 'step')} and {counted(samples, 'mask')}"
        scores = list(along(rows, sum(len(part) for _, part in some), what))
        return float(np.nan_to_num(mean_foreground(scores)))

    found = tried(measure, plan.spec.schedule.timesteps, seconds)
    if not found:
        return {}
    steps, samples = chosen(found)
    cases = sum(len(part) for _, part in some)
    sampling = {
        "steps": steps,
        "samples": samples,
        "tried": {f"{of}x{masks}": round(value, 4) for (of, masks), value in found.items()},
        "cases": cases,
    }
    dices = ", ".join(f"{counted(of, 'step')} {found[of, 1]:.4f}" for of in sorted({of for of, _ in found}))
    several = f"; {SAMPLES} masks {found[steps, SAMPLES]:.4f}" if (steps, SAMPLES) in found else ""
    logger.info(
        "sampling: %s and %s pay (Dice on %s: %s%s); stored with the weights for Sampling_Steps = auto",
        counted(steps, "step"), counted(samples, "mask"), counted(cases, "case"), dices, several,
    )  # fmt: skip
    return sampling


def tried(
    measure: Callable[[int, int], float],
    most: int,
    seconds: float = math.inf,
    now: Callable[[], float] = time.perf_counter,
) -> dict[tuple[int, int], float]:
    """The Dice of each number of steps and, at the best, of several masks, as far as the time goes.

    Args:
        measure: from steps and masks to a mean Dice.
        most: steps that there can be.
        seconds: what would probably end after them is not begun.
        now: a clock.
    """
    since, found, each = now(), {}, 0.0

    def afford(evaluations: float) -> bool:
        return now() - since + each * evaluations < seconds

    for steps in (count for count in STEPS if count <= most):
        if afford(steps):
            began = now()
            found[steps, 1] = measure(steps, 1)
            each = max(each, (now() - began) / (steps + 1))
    if found:
        best, _ = chosen(found)
        if afford(SAMPLES * (best + 1)):
            found[best, SAMPLES] = measure(best, SAMPLES)
    return found


def chosen(found: dict[tuple[int, int], float]) -> tuple[int, int]:
    """The fewest steps that are about as good as any, and several masks only where they gain."""
    single = {steps: value for (steps, samples), value in found.items() if samples == 1}
    steps = min(count for count, value in single.items() if value >= max(single.values()) - TOLERATED)
    gain = found.get((steps, SAMPLES), -math.inf) - single[steps]
    return steps, SAMPLES if gain >= GAIN else 1


def _dices(plan: Plan, opened: Opened, cases: Sequence[Case], steps: int, samples: int) -> list[list[float]]:
    engine = opened.engine(sampler=plan.sampler, steps=steps, samples=samples, at_once=plan.batch_size)
    segmented = segment_cases(engine, cases, plan.preprocessing, batch_size=plan.batch_size, seed=0, learning=True)
    found = []
    for item in segmented:
        check_stopped()
        if item.loaded is not None and item.loaded.label is not None:
            pair = item.mask, item.loaded.label, plan.spec.classes, plan.preprocessing.unions
            found.append(scored(dice, *pair).tolist())
    return found
