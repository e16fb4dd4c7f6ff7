"""How far work is: a bar where somebody looks, elsewhere a line of the log now and then."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOGGED = 30.0
"""Seconds between the lines of a log."""


def is_screen() -> bool:
    """Whether what goes to the standard error output can be written over: on a terminal of some width, and in a notebook."""
    if "ipykernel" in sys.modules:
        return True
    with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed, or no terminal
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    return False


def along(items: Iterable[T], total: int, words: str, unit: str = "case") -> Iterator[T]:
    """The items, while it is told how far they are; of work that is done within a second, nothing.

    Args:
        items: those to go along.
        total: their number.
        words: what is being done.
        unit: what an item is called.
    """
    screen, told, bar = is_screen(), time.monotonic(), None
    try:
        for count, item in enumerate(items, start=1):
            yield item
            if bar is not None:
                bar.update()
            elif screen and time.monotonic() - told > 1.0:
                from tqdm import tqdm  # here, as it takes a while to import

                bar = tqdm(total=total, initial=count, desc=words, unit=unit, leave=False, dynamic_ncols=True)
            elif not screen and time.monotonic() - told > LOGGED:
                told = time.monotonic()
                logger.info("%s: %s %d of %d", words, unit, count, total)
    finally:
        if bar is not None:
            bar.close()
