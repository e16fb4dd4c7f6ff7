"""Decoders that may crash or hang on damaged files decode in a process of their own, where that costs one file.

A reader calls `needed` before such a decoder. `read` catches that, and reads the file again in the other process, which is
kept for the next one. Ordinary files never come here. The other process ends itself where a decoder takes too much time, and
has a limit on memory; where no process can be started, files are decoded in this one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ldseg.errors import DataError
from ldseg.io import contract
from ldseg.io.contract import Content, said_once
from ldseg.io.geometry import Geometry

SECONDS = 8.0
"""Of the processor, that the decoding of a picture or a frame may take, and one more for each 10 MB of values."""
_RATE = 10_000_000
_ASLEEP = 300.0
"""Seconds without a sign of life: a decoder that waits for what never comes takes no time of the processor."""
_SPARE = 4 << 30
"""Bytes of address space that libraries and their threads take, beside four times the limit on decoded values."""

Read = Callable[..., Content]
_state = threading.local()


class _Needed(BaseException):
    """Told from a reader to `read`, past all that handles errors."""


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
    if getattr(_state, "guarded", False) or _state.__dict__.get("serving"):
        return do(path, *given)
    _state.guarded = True
    try:
        return do(path, *given)
    except _Needed:
        pass
    finally:
        _state.guarded = False
    try:
        reader = _taken()
    except OSError:  # no process can be started
        return do(path, *given)
    found = reader.ask(path, given)
    _idle.append(reader)
    return found


def _taken() -> _Reader:
    """A process that waits, or a new one; those of a process that this one was forked from are not touched."""
    while True:
        try:
            reader = _idle.pop()
        except IndexError:
            return _Reader()
        if reader.owner == os.getpid():
            return reader


class _Reader:
    """The other process, from this side."""

    def __init__(self) -> None:
        start = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from ldseg.io.apart import serve; serve()"
        self.owner = os.getpid()
        root = str(Path(__file__).resolve().parents[2])
        command = [sys.executable, "-c", start, json.dumps([root, *sys.path])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )

    def ask(self, path: Path, given: tuple[Any, ...]) -> Content:
        """Have a file read. Raises DataError; a process that is lost is not used again."""
        try:
            return self._asked(path, given)
        except (DataError, EOFError, OSError) as error:
            if isinstance(error, DataError) and self.process.poll() is None:
                _idle.append(self)
                raise
            self.process.kill()
            status = self.process.wait()
            why = {-signal.SIGPROF: "took too long", -signal.SIGKILL: "gave no answer"}.get(status, "crashed")
            raise DataError(f"{path}: cannot be decoded (damaged or cut short): its decoder {why}") from error

    def _asked(self, path: Path, given: tuple[Any, ...]) -> Content:
        assert self.process.stdin is not None
        words = [os.fspath(word) if isinstance(word, Path) else word for word in given]
        paths = [isinstance(word, Path) for word in given]
        self.process.stdin.write(json.dumps([os.fspath(path), words, paths, os.getcwd()]).encode() + b"\n")
        answer = json.loads(self._line())
        for line in answer["said"]:
            said_once(line, line)
        if "error" in answer:
            raise DataError(answer["error"])
        values = np.empty(answer["shape"], np.dtype(answer["dtype"]))
        self._into(values.reshape(-1).view(np.uint8).data)
        known: Any = answer["geometry"]
        turned: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in (known or {}).items()}
        geometry = Geometry(**turned) if known else None
        return Content(values=values, geometry=geometry, bits=answer["bits"], modalities=answer["modalities"])

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


_idle: list[_Reader] = []
"""Processes that wait for the next file."""


@atexit.register
def _end() -> None:
    for reader in (reader for reader in _idle if reader.owner == os.getpid()):
        with contextlib.suppress(OSError):
            reader.process.kill()


def serve() -> None:
    """What the other process does: read what it is asked for, until nobody is there to ask."""
    from ldseg.io.scans import read_content

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print
    most = int(4 * contract.limit() * 2**30) + _SPARE
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    _state.serving = True
    said: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger = logging.getLogger("ldseg")
    logger.addHandler(Kept())
    logger.propagate = False
    told = [time.monotonic()]

    def alive(size: int) -> None:
        """Time for what is decoded next."""
        signal.setitimer(signal.ITIMER_PROF, SECONDS + size / _RATE)
        if time.monotonic() - told[0] > 1:
            told[0] = time.monotonic()
            out.write(b".")

    contract.before_decoding = alive
    for line in sys.stdin.buffer:
        said.clear()
        path, words, paths, folder = json.loads(line)
        os.chdir(folder)
        alive(0)
        given: Any = [Path(word) if is_path else word for word, is_path in zip(words, paths, strict=True)]
        try:
            content = read_content(Path(path), *given)
        except MemoryError:
            _answer(out, {"error": f"{path}: not enough memory to read it", "said": said})
        except Exception as error:
            _answer(out, {"error": str(error), "said": said})
        else:
            signal.setitimer(signal.ITIMER_PROF, 0)
            values = np.ascontiguousarray(content.values)
            head = {"shape": values.shape, "dtype": values.dtype.str, "bits": content.bits, "modalities": content.modalities}
            geometry = content.geometry and asdict(content.geometry)
            _answer(out, {**head, "geometry": geometry, "said": said}, values.reshape(-1).view(np.uint8).data)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _answer(out: BinaryIO, head: dict[str, Any], content: memoryview | bytes = b"") -> None:
    for part in (json.dumps(head, default=lambda value: value.item()).encode() + b"\n", content):
        left = memoryview(part)
        while left:
            left = left[out.write(left) :]
