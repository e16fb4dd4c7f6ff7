"""Working ahead: what comes next is made while what came is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T], count: int = 1, patient: Callable[[T], bool] = lambda item: False) -> Iterator[T]:
    """The items in their order, made by a thread of its own, which is so many items ahead at most.

    What goes wrong in making an item is raised where the item is asked for. Who stops asking stops the thread, too, once the
    item that it is at is made.

    Args:
        items: what makes them.
        count: how many are held ready.
        patient: whether the one after an item is not begun before it is asked for.
    """
    ready: queue.Queue[Any] = queue.Queue(count)
    stopped, asked = threading.Event(), threading.Condition()
    requests = 0

    def offer(entry: Any) -> None:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for number, item in enumerate(items, start=1):
                offer((item, None))
                if patient(item):
                    with asked:
                        asked.wait_for(lambda number=number: requests > number or stopped.is_set())  # type: ignore[misc]
                if stopped.is_set():
                    return
            offer((_END, None))
        except BaseException as error:  # raised again by the one who asks
            offer((_END, error))

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            with asked:
                requests += 1
                asked.notify()
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        with asked:
            asked.notify()
        thread.join()
