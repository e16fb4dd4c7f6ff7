"""Arrays in temporary files."""

import errno
import mmap
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from ldseg.base import scratch as module
from ldseg.base.scratch import copy_into, ends, release, scratch, slabs

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is told in /proc")


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mapped(array: np.ndarray) -> np.ndarray:
    """An array that lies in a file; where it cannot, there is nothing to see."""
    base: object = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if not isinstance(base, mmap.mmap):
        pytest.skip(f"no room for a file, or not on a disk: {tempfile.gettempdir()}")
    return array


@linux
def test_what_is_released_is_out_of_memory_and_keeps_its_values() -> None:
    array = mapped(scratch((2, module.LARGE // 4), np.float32))
    before = resident()
    array[:] = 7
    assert resident() - before > module.LARGE
    release(array[1, 5:])
    assert resident() - before < module.LARGE // 4
    assert array.sum(dtype=np.float64) == 7.0 * array.size


def test_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "LARGE", 1)
    array = mapped(scratch((3, 4), np.int32))
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
    assert array.base is None or isinstance(array.base, np.ndarray)


@pytest.mark.parametrize("free", [799, 800])
def test_half_of_the_room_is_left_to_others(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1000, 1000 - free, free))
    monkeypatch.setattr(module, "_in_memory", lambda _: False)
    monkeypatch.setattr(os, "posix_fallocate", lambda file, start, size: asked.append(size), raising=False)
    monkeypatch.setattr(module, "_Map", lambda _, size: bytearray(size))
    monkeypatch.setattr(module, "LARGE", 1)
    assert scratch((100,), np.int32).tolist() == [0] * 100
    assert asked == ([400] if free == 800 else [])


@linux
def test_a_folder_in_memory_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("/dev/shm")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        pytest.skip("no folder in memory")
    assert module._in_memory(folder)
    assert not module._in_memory(Path("/proc"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: pytest.fail("a file was asked for"))
    assert scratch((3, 4), np.int32).sum() == 0


def test_changes_to_maps_of_others_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(mmap.PAGESIZE))
    array = np.memmap(tmp_path / "a", np.uint8, "c")
    array[:] = 7
    release(array)
    assert (array == 7).all()


def test_small_ones_and_others_are_left_alone() -> None:
    for array in (scratch((3,), np.uint8), np.ones(3), np.ones((4, 4))[1:], np.frombuffer(b"abc", np.uint8)):
        release(array)
    release(None)


def test_slabs_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(60).reshape(10, 6)
    assert [len(part) for part in slabs(array)] == [10]
    monkeypatch.setattr(module, "LARGE", array.nbytes // 2)
    own = scratch(array.shape, array.dtype)
    own[:] = array
    assert len(list(slabs(mapped(own)))) > 2
    assert np.concatenate(list(slabs(own))).tolist() == array.tolist()


@pytest.mark.parametrize("large", [1, 1 << 26])
def test_slab_by_slab_as_at_once(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(-500, 500, (10, 6))
    monkeypatch.setattr(module, "LARGE", large)
    assert ends(array) == (array.min(), array.max())
    target = np.zeros((12, 6), np.int16)
    copy_into(target, array)
    np.testing.assert_array_equal(target, np.pad(array, ((0, 2), (0, 0))))
