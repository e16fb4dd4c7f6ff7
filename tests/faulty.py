"""A disk that is full, at the write, the sync or the rename of one's choice; how often each is called in a run."""

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ldseg.base import writing


class Disk:
    """Counts what is done to files by `ldseg.base.writing`, and fails once, or from then on.

    Args:
        fails_at: which call fails, from 0; none where it is negative.
        lasting: whether all calls after it fail, too.
    """

    def __init__(self, fails_at: int = -1, lasting: bool = False) -> None:
        self.fails_at, self.lasting = fails_at, lasting
        self.calls: list[str] = []

    def call(self, what: str) -> None:
        """Count a call, and fail if its turn has come."""
        self.calls.append(what)
        at = len(self.calls) - 1
        if at == self.fails_at or (self.lasting and 0 <= self.fails_at < at):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @property
    def failed(self) -> bool:
        """Whether a call has failed."""
        return 0 <= self.fails_at < len(self.calls)


class _File(io.FileIO):
    disk: Disk

    def write(self, content: object) -> int:
        """Write the first half where the disk is full: as disks do."""
        data = bytes(memoryview(content))  # type: ignore[arg-type]
        try:
            self.disk.call(f"write {Path(str(self.name)).name}")
        except OSError:
            super().write(data[: len(data) // 2])
            raise
        return super().write(data)


@contextlib.contextmanager
def full_disk(fails_at: int = -1, *, lasting: bool = False) -> Iterator[Disk]:
    """A disk that is full at one call, or from it on."""
    disk = Disk(fails_at, lasting)

    def opened(path: Path) -> io.BufferedWriter:
        disk.call(f"open {path.name}")
        file = _File(path, "xb")
        file.disk = disk
        return io.BufferedWriter(file)

    class System:
        """The module `os` with calls that fail."""

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        @staticmethod
        def fsync(descriptor: int) -> None:
            disk.call("sync")
            os.fsync(descriptor)

        @staticmethod
        def replace(source: Path, target: Path) -> None:
            disk.call(f"replace {Path(target).name}")
            os.replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_opened", opened)
        patch.setattr(writing, "os", System())
        yield disk


def left_over(folder: Path) -> list[Path]:
    """Temporary files below a folder."""
    return [path for path in folder.rglob(".*") if path.name.endswith((".tmp", ".old"))]
