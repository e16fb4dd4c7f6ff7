"""``StepSweep = 1, 2, …``: what masks gain by more steps and by the sampler, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ldseg.base.text import number
from ldseg.cli.trials import Trial, prepared
from ldseg.config import Config
from ldseg.diffusion import SAMPLERS
from ldseg.outputs import Outputs
from ldseg.viz import sweep_figure


def run(config: Config) -> int:
    """Segment the labelled cases with every sampler and number of steps and write ``Sweep/sweep.*`` in the output folder.

    Returns:
        the number of problems.

    Raises:
        LDSegError: if nothing can be done.
    """
    steps = sorted(set(config.evaluation.step_sweep))
    conditions: list[dict[str, Any]] = [{"sampler": sampler, "steps": count} for sampler in SAMPLERS for count in steps]
    # Seconds and memory of two machines say nothing of each other.
    depends = ("Parameters.BatchSize", "processor", "cores", "gpus", "memory_of")
    with prepared(config, Outputs(config.output_folder).sweep, conditions, depends=depends) as trial:
        for _ in trial.told(_masks(trial, conditions), len(trial.left(conditions))):
            pass
        return trial.write(
            {
                "sampler": str,
                "steps": str,
                "seconds": lambda seconds: number(seconds, 3),
                "memory": lambda size: f"{number(size and size / 2**20, 0)} MB",
            },
            sweep_figure,
            "What more sampling steps bring and cost",
            "Seconds for a case: the median. Memory: the peak, on top of what was held before.",
        )


def _masks(trial: Trial, conditions: Sequence[dict[str, Any]]) -> Iterator[object]:
    """What is left to be segmented, condition by condition, so that those of one are timed together."""
    for condition in conditions:
        if work := trial.left([condition]):
            yield from trial.segment(trial.task.predictor(**condition), work)
