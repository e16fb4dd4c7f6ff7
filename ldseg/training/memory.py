"""Whether a training can fit into the memory of the machine, before it is tried."""

from __future__ import annotations

import math
import os

import keras

from ldseg.base.text import times
from ldseg.devices import gpus
from ldseg.errors import ConfigError
from ldseg.segmenter import Segmenter
from ldseg.training.plan import Plan

_KEPT = 4
"""Of all that layers give, at least this part is there at once: gradients need it."""


def memory_of_machine() -> int:
    """Bytes of memory that this process may have: of the machine, or of its control group."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            return min(found, int(file.read()))
    except (OSError, ValueError):  # none, or "max"
        return found


def memory_of_update(plan: Plan, segmenter: Segmenter) -> int:
    """Bytes that an update takes at least: a part of what the layers give for a batch, in 32 bits."""
    values = 0
    for model in (segmenter.label_encoder, segmenter.image_encoder, segmenter.denoiser, segmenter.label_decoder):
        for layer in model.layers:
            values += sum(math.prod(tensor.shape[1:]) for tensor in keras.tree.flatten(layer.output))
    return plan.batch_size * values * 4 // _KEPT


def check_memory(plan: Plan, segmenter: Segmenter) -> None:
    """An update fits into the memory of the machine; that of GPUs is not looked at.

    Raises:
        ConfigError: it does not.
    """
    if gpus("name"):
        return
    needed, there = memory_of_update(plan, segmenter), memory_of_machine()
    if needed > there:
        raise ConfigError(
            f"Data.Size, Parameters.BatchSize: an update on {plan.batch_size} of {times(plan.patch)} takes more than"
            f" {needed / 2**30:,.0f} GiB, and the machine has {there / 2**30:,.0f} GiB; choose a smaller Data.Size,"
            " Data.Patch or BatchSize"
        )
