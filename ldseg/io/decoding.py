"""The other process of `ldseg.io.apart`: it does with files what it is asked for, until nobody is there to ask.

It ends itself where a decoder takes too much time, and has a limit on memory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ldseg.base.scratch import slabs
from ldseg.io import apart, contract, scans
from ldseg.io.slides import kinds
from ldseg.io.slides.contract import Slide

SECONDS = 8.0
"""Of the processor, that the decoding of a picture, a frame or a tile may take, and one more for each 10 MB of values."""
_RATE = 10_000_000
_SPARE = 4 << 30
"""Bytes of address space that libraries and their threads take, beside four times the limit on decoded values."""

Answer = tuple[dict[str, Any], np.ndarray]
_NOTHING = np.zeros(0, np.uint8)
_slides: dict[str, Slide] = {}
"""The slide that is open, by its path."""


def _read(path: str, words: list[Any], are_paths: list[bool]) -> Answer:
    given: Any = [Path(word) if is_path else word for word, is_path in zip(words, are_paths, strict=True)]
    content = scans.read_content(Path(path), *given)
    geometry = content.geometry and asdict(content.geometry)
    return {"geometry": geometry} | {name: getattr(content, name) for name in apart.SIMPLE}, content.values


def _open(path: str, kind: str) -> Answer:
    _close(path)
    slide = _slides[path] = kinds.opened(Path(path), kind)
    told = {name: getattr(slide, name) for name in kinds.TOLD}
    return told | {"kind": slide.dtype.str}, _NOTHING


def _window(path: str, level: int, *place: int) -> Answer:
    slide = _slides[path]
    contract.before_decoding(place[2] * place[3] * slide.channels * slide.dtype.itemsize)
    return {}, slide.window(level, *place)


def _close(path: str) -> Answer:
    for name in list(_slides):
        _slides.pop(name).close()
    return {}, _NOTHING


DOES: dict[str, Callable[..., Answer]] = {"read": _read, "open": _open, "window": _window, "close": _close}
"""What can be asked for, each with the path of a file and more arguments: words in JSON's types, and an array."""


def serve() -> None:
    """Answer what comes in, a line each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "32"  # errors, and what is concealed: `said_by_decoder` reads them
    most = int(4 * contract.limit() * 2**30) + _SPARE
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    apart.serving()
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
        do, path, folder, *given = json.loads(line)
        os.chdir(folder)
        alive(0)
        try:
            head, values = DOES[do](path, *given)
        except MemoryError:
            _answer(out, {"error": f"{path}: not enough memory to read it", "said": said})
        except Exception as error:
            _answer(out, {"error": str(error), "said": said})
        else:
            signal.setitimer(signal.ITIMER_PROF, 0)
            values = np.ascontiguousarray(values)
            head |= {"shape": values.shape, "dtype": values.dtype.str, "said": said}
            _answer(out, head)
            for part in slabs(values.reshape(-1).view(np.uint8)):
                _write(out, part.data)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _answer(out: BinaryIO, head: dict[str, Any]) -> None:
    _write(out, json.dumps(head, default=lambda value: value.item()).encode() + b"\n")


def _write(out: BinaryIO, content: memoryview | bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[out.write(left) :]
