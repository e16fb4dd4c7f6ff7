"""The screen: what is printed never ends a run, and names of files cannot steer a terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys, among it what turns the direction of a text."""


class Steady:
    """A stream that writes to another one as long as that takes it.

    A character that the other stream cannot show is written as its code, and so is a control character, but for the ends of
    lines and tabs. Where the other stream is closed or full, what is written is lost, and no error is raised.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = False

    def write(self, text: str) -> int:
        """Write a text, as far as that can be done."""
        shown = _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
        encoding = self._stream.encoding or "utf-8"
        shown = shown.encode(encoding, "backslashreplace").decode(encoding)
        self._try(lambda: self._stream.write(shown))
        return len(text)

    def flush(self) -> None:
        """Let what was written reach its end."""
        self._try(self._stream.flush)

    def _try(self, do: Any) -> None:
        if not self.lost:
            try:
                do()
            except (OSError, ValueError):  # a closed pipe, a full disk, a stream that is closed
                self.lost = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Above(logging.StreamHandler[Any]):
    """What is logged is written above a progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        bars = getattr(sys.modules.get("tqdm"), "tqdm", None)  # not imported here, as it takes a while
        with contextlib.nullcontext() if bars is None else bars.external_write_mode(self.stream):
            super().emit(record)


class OneLine(logging.Formatter):
    """What is logged, a line each, whatever the names of files in it; of Python's warnings without the line of code."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        from ldseg.base.text import one_line  # here, as it imports NumPy

        text = super().format(record).rstrip("\n")
        return one_line(text.partition("\n")[0] if record.name == "py.warnings" else text)


@contextlib.contextmanager
def steady_output() -> Iterator[None]:
    """Make both streams of the program steady."""
    given = sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:
        # None where the program was started without them.
        before = [stream or opened.enter_context(open(os.devnull, "w", encoding="utf-8")) for stream in given]
        try:
            yield from _steady(before)
        finally:
            sys.stdout, sys.stderr = given


def _steady(before: list[TextIO]) -> Iterator[None]:
    streams: list[Any] = [Steady(stream) for stream in before]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream in streams:
            stream.flush()
        for own, stream in zip(streams, before, strict=True):
            if own.lost:  # what is left in its buffer would be an error again when the program ends
                with contextlib.suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
