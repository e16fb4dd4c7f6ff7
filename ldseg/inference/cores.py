"""How many cores there are to work on."""

from __future__ import annotations

import os

THREADS = "OMP_NUM_THREADS"
"""The variable by which libraries are told how many threads to use."""


def cores() -> int:
    """The cores that this process may use: no more than OMP_NUM_THREADS, which a cluster sets for each of its processes."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get(THREADS, "")
    return min(there, int(asked)) if asked.isdecimal() and int(asked) > 0 else there
