"""A decoder that crashes, hangs or takes all memory costs one file."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ldseg.errors import DataError
from ldseg.io import apart
from ldseg.io.contract import Content
from ldseg.io.scans import read_scan, read_scan_label

ROOT = Path(__file__).parents[2]


def picture(path: Path) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (24, 30, 3)).astype(np.uint8)
    Image.fromarray(values).save(path, lossless=True)
    return values


def test_what_is_read_apart_is_what_is_read_here(tmp_path: Path) -> None:
    values = picture(tmp_path / "a.webp")
    (tmp_path / "bad.webp").write_bytes((tmp_path / "a.webp").read_bytes()[:-9])
    apart._idle.clear()
    np.testing.assert_array_equal(read_scan(tmp_path / "a.webp", "YX").values, values)
    assert len(apart._idle) == 1
    with pytest.raises(DataError, match=r"bad\.webp: .*ends early"):
        read_scan(tmp_path / "bad.webp", "YX")
    Image.fromarray(values[..., 0]).save(tmp_path / "label.jp2", irreversible=False)
    np.testing.assert_array_equal(read_scan_label(tmp_path / "label.jp2", "YX")[0], values[..., 0])
    with pytest.raises(DataError, match=r"a\.webp: a label needs one plane"):
        read_scan_label(tmp_path / "a.webp", "YX")
    assert len(apart._idle) == 1  # one process for all of them


def test_a_video_and_several_threads(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (32, 24))
    for level in range(4):
        writer.write(np.full((24, 32, 3), 60 * level, np.uint8))
    writer.release()
    found: list[tuple[int, ...]] = []
    threads = [
        threading.Thread(target=lambda: found.append(read_scan(tmp_path / "v.avi", "TYX").values.shape)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(4, 24, 32, 3)] * 3


def test_ordinary_files_are_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_taken", lambda: pytest.fail("a process for an ordinary file"))
    for suffix in ("png", "jpg", "bmp", "tif", "gif"):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / f"a.{suffix}")
        assert read_scan(tmp_path / f"a.{suffix}", "YX").values.size


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGSEGV, "crashed"), (signal.SIGPROF, "took too long"), (signal.SIGABRT, "crashed")]
)
def test_a_process_that_is_lost_costs_one_file(number: int, said: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.webp")
    apart._idle.clear()
    read_scan(tmp_path / "a.webp", "YX")
    (reader,) = apart._idle
    os.kill(reader.process.pid, number)
    reader.process.wait()
    with pytest.raises(DataError, match=rf"a\.webp: cannot be decoded \(damaged or cut short\): its decoder {said}$"):
        read_scan(tmp_path / "a.webp", "YX")
    assert read_scan(tmp_path / "a.webp", "YX").values.shape == (24, 30, 3)


def test_where_no_process_can_be_started_files_are_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(apart, "_taken", refuse)
    values = picture(tmp_path / "a.webp")
    np.testing.assert_array_equal(read_scan(tmp_path / "a.webp", "YX").values, values)


def test_a_decoder_without_end_is_ended(tmp_path: Path) -> None:
    """The other process, with a reader that never comes back."""
    code = (
        "import sys; from ldseg.io import decoding, scans; decoding.SECONDS = 0.2\n"
        "def endless(*given):\n while True: pass\n"
        "scans.read_content = endless; decoding.serve()"
    )
    ask = json.dumps(["read", str(tmp_path), str(tmp_path), ["YX", False, None], [False] * 3]).encode() + b"\n"
    done = subprocess.run([sys.executable, "-c", code], input=ask, cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGPROF


def test_a_reader_that_is_guarded_already_is_called(tmp_path: Path) -> None:
    given: list[object] = []

    def do(path: Path, *more: object) -> Content:
        given.append(more)
        return Content(values=np.zeros((1, 1, 1)))

    apart.read(do, tmp_path, "YX", True)
    assert given == [("YX", True)]
