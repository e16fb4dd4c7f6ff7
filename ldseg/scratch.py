"""Large arrays that lie in a temporary file, so that they are in memory only where they are used."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import DTypeLike

LARGE = 1 << 26
"""Bytes from which on an array is large."""


def scratch(shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An array of zeros; a large one in a file that is gone with it.

    What is used of it comes into memory and stays there until `release`. Where the folder for temporary files has no room
    for it, or the system cannot keep room for it there, the array lies in memory as any other.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < LARGE or not hasattr(os, "posix_fallocate"):
        return np.zeros(shape, kind)
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)  # now, as later there would be no error but a crash
            memory = mmap.mmap(file.fileno(), size)
    except OSError:
        return np.zeros(shape, kind)
    return np.frombuffer(memory, kind).reshape(shape)


def release(array: np.ndarray | None) -> None:
    """Let a `scratch` array, or what a part of it belongs to, out of memory; its values stay.

    Others are left as they are.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array, a large one in parts along its first axis, each of which is released when the next is asked for."""
    if array.nbytes < LARGE:
        yield array
        return
    rows = max(1, LARGE // 4 * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
        release(array)
