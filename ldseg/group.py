"""Processes that train together: what they tell each other, and how the end of one ends the others.

The first process listens, the others connect to it and stay connected. Arrays of an update do not go this way, but what is
decided: the plan, scores of a validation, the time. Messages are JSON: nothing that comes over the network is ever executed.
A connection that breaks tells at once that a process has died, also while all wait for an update.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from ldseg.errors import ConfigError, DataError, LDSegError
from ldseg.hosts import Place
from ldseg.version import __version__

logger = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds that processes wait for each other when they start."""

_ALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))
"""A machine that loses its power or its cable says no farewell: it is asked, and counts as gone after 30 s."""

_INTRODUCTION = 10.0
"""Seconds in which one that connects says who it is."""

_GRACE = 10.0
"""Seconds in which the death of another process is heard of, where it was the reason for an error."""

STOPPED, INTERRUPTED = 2, 130
"""Exit status of a process that ends because of an error or another process, and of one that was interrupted."""


class Group:
    """A process that trains alone, and what those of several have in common.

    Attributes:
        index: which process this is, from 0; the first one writes.
        count: how many there are.
        host: the name or the address of the first process; empty where there is one.
    """

    index, count, host = 0, 1, ""

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.index == 0

    def gather(self, what: str, value: Any) -> list[Any]:
        """The plain values of all processes, in their order; each gives its own and waits for the others.

        Args:
            what: is told, the same in all processes.
            value: anything that JSON can hold.
        """
        return [value]

    def share(self, what: str, value: Any = None) -> Any:
        """The plain value of the first process; see ``gather``."""
        return value


class Connected(Group):
    """One of several processes.

    Args:
        place: which.
        links: connections: of the first process to all others, in their order; of the others to the first.
    """

    def __init__(self, place: Place, links: list[Connection]) -> None:
        self.index, self.count, self.host = place.index, place.count, place.host
        self._links = links
        self._heard: list[queue.Queue[dict[str, Any]]] = [queue.Queue() for _ in links]
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="group", daemon=True)
        self._thread.start()

    def gather(self, what: str, value: Any) -> list[Any]:
        """See ``Group``.

        Raises:
            DataError: another process is not where this one is.
        """
        if not self.first:
            self._tell(self._links, {"what": what, "value": value})
            return list(self._next(0, what))
        found = [json.loads(json.dumps(value)), *(self._next(number, what) for number in range(len(self._links)))]
        self._tell(self._links, {"what": what, "value": found})
        return found

    def share(self, what: str, value: Any = None) -> Any:
        """See ``Group``. Raises DataError as ``gather`` does."""
        if not self.first:
            return self._next(0, what)
        self._tell(self._links, {"what": what, "value": value})
        return json.loads(json.dumps(value))

    def close(self) -> None:
        """The end of the work: all come to it, then nobody listens any more."""
        self.gather("the end", None)
        self._closing.set()

    def fail(self, error: BaseException) -> None:
        """End the others because of an error here, which goes its way; this process then leaves without waiting for them.

        Where the error comes of the end of another process, it is that end which is told.
        """
        if not isinstance(error, (LDSegError, KeyboardInterrupt, SystemExit)):
            time.sleep(_GRACE)  # the listener ends this process if it hears of one
        self._closing.set()
        interrupted = isinstance(error, KeyboardInterrupt)
        why = "was stopped" if interrupted else " ".join(f"has failed: {error or type(error).__name__}".split())
        with contextlib.suppress(OSError):
            self._tell(self._links, {"failed": f"process {self.index} of {self.count} {why}"})
        # What libraries do at the end of a process waits for the others, which are gone.
        atexit.register(_leave, INTERRUPTED if interrupted else STOPPED)

    def _tell(self, links: list[Connection], message: dict[str, Any]) -> None:
        content = json.dumps(message).encode()
        for link in links:
            try:
                link.send_bytes(content)
            except OSError:
                if self._closing.is_set():
                    continue
                time.sleep(_GRACE)  # in which the listener hears of the end, and ends this process
                raise

    def _next(self, number: int, what: str) -> Any:
        message = self._heard[number].get()
        if message["what"] != what:
            raise DataError(
                f"GPU.Hosts: process {self.index} of {self.count} is at {what}, another one at {message['what']}; start all "
                "of them with the same settings"
            )
        return message["value"]

    def _listen(self) -> None:
        """What the others tell, until one of them ends."""
        numbers = {link: number for number, link in enumerate(self._links)}
        while not self._closing.is_set():
            for link in wait(self._links, timeout=1.0):
                assert isinstance(link, Connection)
                try:
                    message = json.loads(link.recv_bytes())
                except (OSError, EOFError, ValueError):
                    self._end(f"process {numbers[link] + 1 if self.first else 0} of {self.count} is gone")
                    return
                if "failed" in message:
                    self._end(message["failed"])
                    return
                self._heard[numbers[link]].put(message)

    def _end(self, why: str) -> None:
        """End this process, as another has ended: whatever it is doing waits for that one."""
        if self._closing.is_set():
            return
        if self.first:
            with contextlib.suppress(OSError):
                self._closing.set()
                self._tell(self._links, {"failed": why})
        logger.error(
            "error: %s, so process %d stops, too; start all of them again, as many as you like, and the training goes on "
            "from its last checkpoint", why, self.index,
        )  # fmt: skip
        _leave(STOPPED)


def _leave(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


@contextlib.contextmanager
def joined(place: Place | None, patience: float = PATIENCE) -> Iterator[Group]:
    """Work together with the other processes: wait for them, end with them, and end them where this one fails.

    Args:
        place: which this one is; None for one that is alone.
        patience: seconds to wait for the others at the start.

    Raises:
        ConfigError: they do not come, or are not of this version.
    """
    if place is None:
        yield Group()
        return
    links = _welcome(place, patience) if place.index == 0 else [_connect(place, patience)]
    group = Connected(place, links)
    try:
        yield group
        group.close()
    except BaseException as error:
        group.fail(error)
        raise


def _kept_alive(link: socket.socket) -> Connection:
    link.settimeout(None)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in _ALIVE:
        if hasattr(socket, name):  # not everywhere
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(link.detach())


def _welcome(place: Place, patience: float) -> list[Connection]:
    """The first process waits for all others."""
    both = socket.has_dualstack_ipv6()
    try:
        server = socket.create_server(
            ("", place.port),
            family=socket.AF_INET6 if both else socket.AF_INET,
            backlog=place.count,
            dualstack_ipv6=both,
        )
    except OSError as error:
        raise ConfigError(f"GPU.Hosts: expected a free port, got {place.port}: {error.strerror or error}") from error
    there: dict[int, Connection] = {}
    until = time.monotonic() + patience
    with server:
        while len(there) < place.count - 1:
            server.settimeout(max(until - time.monotonic(), 0.01))
            try:
                link = _kept_alive(server.accept()[0])
            except TimeoutError:
                missing = [str(index) for index in range(1, place.count) if index not in there]
                named = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
                wanted = f"expected {place.count} processes, of which {named} did not come within {patience:g} s"
                raise ConfigError(f"GPU.Hosts: {wanted}; this one waited at port {place.port}") from None
            said = _introduction(link, min(_INTRODUCTION, until - time.monotonic()))
            if said is None:
                link.close()
                continue
            wrong = _unlike(said, place, there)
            link.send_bytes(json.dumps({"refused": wrong}).encode())
            if wrong:
                raise ConfigError(f"GPU.Hosts: {wrong}")
            there[said["index"]] = link
    return [there[index] for index in range(1, place.count)]


def _introduction(link: Connection, seconds: float) -> dict[str, Any] | None:
    """What one that connects says of itself; None if it is nobody of ours."""
    with contextlib.suppress(OSError, EOFError, ValueError):
        said = _first_message(link, seconds)
        if isinstance(said, dict) and {"ldseg", "index", "count"} <= set(said):
            return said
    return None


def _first_message(link: Connection, seconds: float) -> Any:
    """What the other side says first. A connection waits for the rest of a message for ever, so it is ended here in time.

    Raises:
        OSError, EOFError, ValueError: nothing whole came in these seconds, or nothing of ours.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        with contextlib.suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)

    with socket.socket(fileno=os.dup(link.fileno())) as same:
        timer = threading.Timer(max(seconds, 0.01), end)
        timer.daemon = True
        timer.start()
        try:
            content = link.recv_bytes(4096)
        except (OSError, EOFError):
            if late.is_set():
                raise TimeoutError("no answer") from None
            raise
        finally:
            timer.cancel()
            timer.join()
    if late.is_set():  # just now
        raise TimeoutError("no answer")
    return json.loads(content)


def _unlike(said: dict[str, Any], place: Place, there: dict[int, Connection]) -> str:
    """What is wrong with one that connects; empty if nothing is."""
    index = said["index"]
    if said["ldseg"] != __version__:
        return f"process {index} is of LDSeg {said['ldseg']}, process 0 of {__version__}"
    if said["count"] != place.count:
        return f"process {index} is one of {said['count']}, process 0 one of {place.count}"
    if not isinstance(index, int) or not 0 < index < place.count or index in there:
        return f"there are two processes {index}"
    return ""


def _connect(place: Place, patience: float) -> Connection:
    """The others find the first process, which may start later."""
    until = time.monotonic() + patience
    while True:
        try:
            link = _kept_alive(socket.create_connection((place.host, place.port), timeout=10))
            link.send_bytes(json.dumps({"ldseg": __version__, "index": place.index, "count": place.count}).encode())
            refused = _first_message(link, until - time.monotonic())["refused"]
            if refused:
                raise ConfigError(f"GPU.Hosts: {refused}")
            return link
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            why = str(getattr(error, "strerror", None) or error or type(error).__name__)
        if time.monotonic() > until:
            where = f"{place.host}:{place.port} within {patience:g} s"
            raise ConfigError(f"GPU.Hosts: expected the first of {place.count} processes at {where}: {why}")
        time.sleep(0.2)
