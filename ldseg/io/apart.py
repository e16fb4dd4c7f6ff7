"""Decoders that may crash or hang on damaged files decode in a process of their own, where that costs one file.

A reader calls `needed` before such a decoder. `guarded` catches that, and has the file read again in the other process
(`ldseg.io.decoding`), which is kept for the next one. Ordinary files never come here. The other process ends itself where a
decoder takes too much time, and has a limit on memory; where no process can be started, files are decoded in this one.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ldseg.base.scratch import scratch, slabs
from ldseg.errors import DataError
from ldseg.io.contract import Content, said_once
from ldseg.io.geometry import Geometry

_ASLEEP = 300.0
"""Seconds without a sign of life: a decoder that waits for what never comes takes no time of the processor."""

SIMPLE = ("bits", "modalities", "lossy")
"""What the other process tells of a `Content` beside its values and its geometry."""

Read = Callable[..., Content]
T = TypeVar("T")
_state = threading.local()


class _Needed(BaseException):
    """Told from a reader to `guarded`, past all that handles errors."""


def needed() -> None:
    """What follows is to be done apart: goes on only there, or where nobody reads apart."""
    if getattr(_state, "guarded", False):
        raise _Needed


def read(do: Read, path: Path, *given: Any) -> Content:
    """What `do(path, *given)` gives, with decoders that may crash in a process of their own.

    Args:
        do: `ldseg.io.scans.read_content`, which the other process calls, too.
        path: of the file or folder.
        given: more arguments: text, paths, truth values.

    Raises:
        DataError: in one line, whatever is wrong with the file.
    """
    words = [os.fspath(word) if isinstance(word, Path) else word for word in given]

    def ask(reader: Reader) -> Content:
        head, values = reader.ask(path, "read", words, [isinstance(word, Path) for word in given])
        known: Any = head["geometry"]
        turned: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in (known or {}).items()}
        reader.give_back()
        geometry = Geometry(**turned) if known else None
        return Content(values=values, geometry=geometry, **{name: head[name] for name in SIMPLE})

    return guarded(lambda: do(path, *given), ask)


def guarded(here: Callable[[], T], there: Callable[[Reader], T]) -> T:
    """What a reader gives here, or with the other process if it calls `needed`.

    Args:
        here: reads in this process.
        there: reads with the other one, which it gives back when it is done.
    """
    if getattr(_state, "guarded", False) or getattr(_state, "serving", False):
        return here()
    _state.guarded = True
    try:
        return here()
    except _Needed:
        pass
    finally:
        _state.guarded = False
    try:
        reader = _taken()
    except OSError:  # no process can be started
        return here()
    return there(reader)


def serving() -> None:
    """This is the other process: everything is read here."""
    _state.serving = True


@contextlib.contextmanager
def said_by_decoder() -> Iterator[Callable[[], list[str]]]:
    """What gives the lines that libraries have printed since it was last asked; none but in the other process."""
    if not getattr(_state, "serving", False) or not hasattr(os, "memfd_create"):
        yield list
        return
    libc = ctypes.CDLL(None)
    kept, memory, place = os.dup(1), os.memfd_create("said"), 0

    def said() -> list[str]:
        nonlocal place
        libc.fflush(None)
        if os.fstat(memory).st_size == place:
            return []
        content = os.pread(memory, 1 << 20, place)
        place = os.fstat(memory).st_size
        return content.decode(errors="replace").splitlines()

    try:
        libc.fflush(None)
        os.dup2(memory, 1)
        try:
            yield said
        finally:
            libc.fflush(None)
            os.dup2(kept, 1)
    finally:
        os.close(kept)
        os.close(memory)


def _taken() -> Reader:
    """A process that waits, or a new one; those of a process that this one was forked from are not touched."""
    while True:
        try:
            reader = _idle.pop()
        except IndexError:
            return Reader()
        if reader.owner == os.getpid():
            return reader


class Reader:
    """The other process, from this side."""

    def __init__(self) -> None:
        start = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from ldseg.io.decoding import serve; serve()"
        self.owner = os.getpid()
        root = str(Path(__file__).resolve().parents[2])
        command = [sys.executable, "-c", start, json.dumps([root, *sys.path])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )

    def ask(self, path: Path, do: str, *given: Any) -> tuple[dict[str, Any], np.ndarray]:
        """Have something done with a file. Raises DataError; a process that is lost is not used again.

        Args:
            path: of the file.
            do: a name in `ldseg.io.decoding.DOES`.
            given: its other arguments, in the types of JSON.

        Returns:
            what it says in the types of JSON, and an array, which may be empty.
        """
        try:
            return self._asked(path, do, given)
        except (DataError, EOFError, OSError) as error:
            if isinstance(error, DataError) and self.process.poll() is None:
                if do != "window":
                    self.give_back()
                raise
            self.process.kill()
            status = self.process.wait()
            why = {-signal.SIGPROF: "took too long", -signal.SIGKILL: "gave no answer"}.get(status, "crashed")
            raise DataError(f"{path}: cannot be decoded (damaged or cut short): its decoder {why}") from error

    def give_back(self) -> None:
        """Keep the process for the next file."""
        if self.process.poll() is None:
            _idle.append(self)

    def _asked(self, path: Path, do: str, given: tuple[Any, ...]) -> tuple[dict[str, Any], np.ndarray]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([do, os.fspath(path), os.getcwd(), *given]).encode() + b"\n")
        answer = json.loads(self._line())
        for line in answer["said"]:
            said_once(line, line)
        if "error" in answer:
            raise DataError(answer["error"])
        values = scratch(answer["shape"], np.dtype(answer["dtype"]))
        whole = values.reshape(-1).view(np.uint8)
        for part in slabs(whole):
            self._into(part.data)
        return answer, values

    def _line(self) -> bytes:
        found = bytearray()
        while not found.endswith(b"\n"):
            part = bytearray(1)
            self._into(memoryview(part))
            found = bytearray() if part == b"." and not found else found + part  # a point is a sign of life
        return bytes(found)

    def _into(self, target: memoryview) -> None:
        stream = self.process.stdout
        assert stream is not None
        while target:
            if not select.select([stream], [], [], _ASLEEP)[0]:
                raise EOFError
            count = os.readv(stream.fileno(), [target])
            if not count:
                raise EOFError
            target = target[count:]


_idle: list[Reader] = []
"""Processes that wait for the next file."""


@atexit.register
def _end() -> None:
    for reader in (reader for reader in _idle if reader.owner == os.getpid()):
        with contextlib.suppress(OSError):
            reader.process.kill()
