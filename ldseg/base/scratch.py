"""Large arrays that lie in a temporary file, so that they are in memory only where they are used."""

from __future__ import annotations

import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

LARGE = 1 << 26
"""Bytes from which on an array is large."""

_MEMORY = ("tmpfs", "ramfs")
"""File systems whose files lie in memory."""


class _Map(mmap.mmap):
    """The file of a `scratch` array; maps of others are none of ours."""


def scratch(shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An array of zeros; a large one in a file that is gone with it.

    What is used of it comes into memory and stays there until `release`. The array lies in memory as any other where the
    folder for temporary files has less than twice the room for it, as others need some, too; where that folder itself lies
    in memory; and where the system cannot keep room for a file.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < LARGE or not hasattr(os, "posix_fallocate"):
        return np.zeros(shape, kind)
    try:
        folder = Path(tempfile.gettempdir())
        if shutil.disk_usage(folder).free < 2 * size or _in_memory(folder):
            return np.zeros(shape, kind)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # now, as later there would be no error but a crash
            memory = _Map(file.fileno(), size)
    except OSError:
        return np.zeros(shape, kind)
    return np.frombuffer(memory, kind).reshape(shape)


def _in_memory(folder: Path) -> bool:
    """Whether what is written to a folder lies in memory, as far as the system tells (proc(5), mountinfo)."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:  # not Linux
        return False
    kinds = [line.partition(" - ")[2].split()[0] for line in mounts if line.split()[2] == number]
    return any(kind in _MEMORY for kind in kinds)


def release(array: np.ndarray | None) -> None:
    """Let a `scratch` array, or what a part of it belongs to, out of memory; its values stay.

    Others are left as they are.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, _Map) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def slabs(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array, a large one in slabs along its first axis, each of which is released when the next is asked for."""
    if array.nbytes < LARGE:
        yield array
        return
    rows = max(1, LARGE // 4 * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
        release(array)


def copy_into(target: np.ndarray, source: np.ndarray) -> None:
    """Copy an array to where another, at least as long along its first axis, begins, slab by slab."""
    place = 0
    for slab in slabs(source):
        target[place : place + len(slab)] = slab
        place += len(slab)
        release(target)


def ends(array: np.ndarray) -> tuple[Any, Any]:
    """The lowest and the highest value."""
    found = [(slab.min(), slab.max()) for slab in slabs(array)]
    return min(low for low, _ in found), max(high for _, high in found)
