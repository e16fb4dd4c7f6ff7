"""What a training costs, before it begins: seconds of an update on a processor."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from ldseg import devices

CORE_SECONDS: dict[tuple[str, str], float] = {
    ("lean", "YX"): 1.6e-6,
    ("lean", "TYX"): 2.4e-6,
    ("lean", "ZYX"): 1.7e-6,
    ("small", "YX"): 1.0e-6,
    ("tiny", "YX"): 7.0e-6,
}
"""Seconds of one core for each position of each sample of an update, by preset and axes, measured on a common processor.

The first minute of a training measures what it really takes: this is for choices, which need the order of magnitude.
"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a training runs on.

    Attributes:
        cores: of the processor that this process may use.
        gpu: whether there is a GPU that does the work.
    """

    cores: int
    gpu: bool

    def update(self, preset: str, axes: str, positions: float) -> float:
        """Seconds of an update of so many positions, all samples together; NaN where nothing was measured."""
        each = CORE_SECONDS.get((preset, axes), math.nan)
        return math.nan if self.gpu else each * positions / min(self.cores, 8)


def this_machine() -> Machine:
    """The machine at hand."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cores=cores, gpu=bool(devices.gpus("name")))
