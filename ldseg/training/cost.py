"""What a training costs, before it begins: seconds of an update on a processor."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from ldseg import devices
from ldseg.training.clock import SHARE

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

EACH_UPDATE = 0.1
"""Seconds of one core that an update takes besides, however small its samples: hundreds of small weights and operations.

Processor time between updates of a training, batch 4, the median of 38 (``time.process_time`` in ``Clock.updated``, beside
other work, which makes it more): ``lean`` 0.146 s at 32x32, 0.168 s at 64x64 and 0.231 s at 96x96, where the positions alone
would be 0.007, 0.026 and 0.059 s; ``small`` 0.160 s at 64x64. On two idle cores 1,440 updates at 96x128 took two minutes
(docs/results.md), 0.04 s of each of them besides the positions.
"""

EACH_CORES = 2
"""Cores that share this: one thread has a third of it, which no other can take over."""

STARTING = 20.0
"""Seconds before the first update, on idle cores: Keras is imported, networks are compiled."""


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
        return self.growing(preset, axes, positions) + EACH_UPDATE / min(self.cores, EACH_CORES)

    def growing(self, preset: str, axes: str, positions: float) -> float:
        """The part of them that grows with the positions: a smaller grid or batch saves nothing else."""
        each = CORE_SECONDS.get((preset, axes), math.nan)
        return math.nan if self.gpu else each * positions / min(self.cores, 8)

    def updates(self, minutes: float, seconds: float) -> float:
        """Updates of so many seconds that a training of given minutes comes to, validations left aside."""
        return max(60 * minutes * (1 - SHARE) - STARTING, 0.0) / seconds


def this_machine() -> Machine:
    """The machine at hand."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cores=cores, gpu=bool(devices.gpus("name")))
