"""Working ahead: what comes next is made while what came is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T], count: int = 1) -> Iterator[T]:
    """The items in their order, made by a thread of its own, which is so many items ahead at most.

    What goes wrong in making an item is raised where the item is asked for. Who stops asking stops the thread, too, once the
    item that it is at is made.

    Args:
        items: what makes them.
        count: how many are held ready.
    """
    ready: queue.Queue[Any] = queue.Queue(count)
    stopped = threading.Event()

    def offer(entry: Any) -> None:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                offer((item, None))
                if stopped.is_set():
                    return
            offer((_END, None))
        except BaseException as error:  # raised again by the one who asks
            offer((_END, error))

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
