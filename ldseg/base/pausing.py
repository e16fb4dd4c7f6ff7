"""The collector of cycles, paused while very many objects are made that have none."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def many_objects() -> Iterator[None]:
    """Python's collector rests: of 100,000 cases, it would go through all of them again and again, half of the time.

    What is no longer used is let go as ever, but for objects that refer to each other in a circle.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
