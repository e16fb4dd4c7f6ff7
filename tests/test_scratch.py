"""Arrays in temporary files."""

import errno
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from ldseg import scratch as module
from ldseg.scratch import parts, release, scratch

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is told in /proc")


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@linux
def test_what_is_released_is_out_of_memory_and_keeps_its_values() -> None:
    array = scratch((2, module.LARGE // 4), np.float32)
    before = resident()
    array[:] = 7
    assert resident() - before > module.LARGE
    release(array[1, 5:])
    assert resident() - before < module.LARGE // 4
    assert array.sum(dtype=np.float64) == 7.0 * array.size


def test_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "LARGE", 1)
    array = scratch((3, 4), np.int32)
    assert array.tolist() == np.zeros((3, 4)).tolist()
    assert list(tmp_path.iterdir()) == []


def test_without_room_on_the_disk_it_lies_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    monkeypatch.setattr(module, "LARGE", 1)
    array = scratch((3, 4), np.int32)
    array += 1
    release(array)  # which has nothing to do
    assert array.sum() == 12


def test_small_ones_and_others_are_left_alone() -> None:
    for array in (scratch((3,), np.uint8), np.ones(3), np.ones((4, 4))[1:], np.frombuffer(b"abc", np.uint8)):
        release(array)
    release(None)


def test_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(60).reshape(10, 6)
    assert [len(part) for part in parts(array)] == [10]
    monkeypatch.setattr(module, "LARGE", array.nbytes // 2)
    own = scratch(array.shape, array.dtype)
    own[:] = array
    assert len(list(parts(own))) > 2
    assert np.concatenate(list(parts(own))).tolist() == array.tolist()
