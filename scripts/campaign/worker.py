"""A process that does one thing after the other, and is replaced where it dies or takes too long."""

from __future__ import annotations

import multiprocessing
import os
import queue
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 10
"""Of the processor, that a call may take."""
ASLEEP = 20
"""Times as many on the clock: one that waits takes no time of the processor."""
MEMORY = 4 << 30
"""Bytes of address space that a process may take: the libraries and twice the limit on decoded values would be more."""


def _work(do: Callable[..., str], inbox: Any, outbox: Any, memory: int) -> None:
    """Does what comes, until nothing does."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    while (item := inbox.get()) is not None:
        outbox.put(do(*item))


class Worker:
    """Calls a function in a process of its own, whose crash, hang or greed is an answer too.

    Args:
        do: the function, of a module; it gives what is wrong as text, empty where nothing is.
        warm: arguments of a first call, whose time does not count.
        seconds: of the processor, that a call may take.
        memory: bytes of address space that it may take.
    """

    def __init__(
        self, do: Callable[..., str], warm: tuple[Any, ...], seconds: float = SECONDS, memory: int = MEMORY
    ) -> None:
        self.do, self.warm, self.seconds, self.memory = do, warm, seconds, memory
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.inbox, self.outbox = context.Queue(), context.Queue()
        self.process = context.Process(target=_work, args=(self.do, self.inbox, self.outbox, self.memory), daemon=True)
        self.process.start()
        self.inbox.put(self.warm)
        self.outbox.get(timeout=300)

    def __call__(self, *given: Any) -> str:
        """What the function gives, or what became of its process."""
        self.inbox.put(given)
        began, end = self._spent(), time.monotonic() + ASLEEP * self.seconds
        while self._spent() - began < self.seconds and time.monotonic() < end:
            try:
                return str(self.outbox.get(timeout=0.2))
            except queue.Empty:
                if not self.process.is_alive():
                    status = self.process.exitcode
                    self._start()
                    return f"the interpreter died with status {status}"
        self.process.kill()
        self._start()
        return f"no answer in {self.seconds:g} s"

    def _spent(self) -> float:
        """Seconds of the processor, which do not grow where other processes are busy."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process."""
        self.inbox.put(None)
        self.process.join()
