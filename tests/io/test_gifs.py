"""GIF, whose parts are looked at one by one."""

import io
from pathlib import Path

import numpy as np
import pytest
from video_files import save_video, video

from ldseg.errors import DataError
from ldseg.io.scans import read_scan


def test_what_is_behind_a_gif(tmp_path: Path) -> None:
    path = save_video(tmp_path / "a.gif", video())
    frames = read_scan(path, "TYX").values
    path.write_bytes(path.read_bytes() + b"\r\n" + b"x" * 90)
    np.testing.assert_array_equal(read_scan(path, "TYX").values, frames)


def test_a_gif_with_a_hole(tmp_path: Path) -> None:
    """What looks like an end within is none: nothing but zeros may lie between its parts."""
    path = save_video(tmp_path / "a.gif", video())
    content, refused = bytearray(path.read_bytes()), 0
    assert len(read_scan(path, "TYX").values) == len(video())
    places = range(900, len(content) - 60, 97)
    for place in places:
        damaged = bytearray(content)
        damaged[place : place + 8] = b"\0\0\0\0\0ab;"
        (tmp_path / "b.gif").write_bytes(damaged)
        try:
            assert len(read_scan(tmp_path / "b.gif", "TYX").values) == len(video())
        except DataError as error:
            assert "b.gif: not a readable video" in str(error)
            refused += 1
    assert 0 < refused < len(places)


def test_a_gif_is_not_held_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames go to an array of `scratch`, of which those that were read are let out of memory."""
    monkeypatch.setattr("ldseg.io.videos._HELD", 2)
    made: list[np.ndarray] = []
    released: list[np.ndarray] = []
    monkeypatch.setattr("ldseg.io.videos.scratch", lambda shape, kind: made.append(np.zeros(shape, kind)) or made[-1])
    monkeypatch.setattr("ldseg.io.videos.release", released.append)
    found = read_scan(save_video(tmp_path / "a.gif", video()), "TYX").values
    assert found is made[0] or np.shares_memory(found, made[0])
    assert len(released) == len(video()) // 2


def test_a_gif_is_read_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the file itself no more is in memory than what is looked at."""
    path = save_video(tmp_path / "a.gif", video())
    frames = read_scan(path, "TYX").values
    # A comment of 1 MiB before the end mark: a reader that takes all of it at once holds it.
    comment = b"\x21\xfe" + (b"\xff" + b"x" * 255) * 4096 + b"\0"
    path.write_bytes(path.read_bytes()[:-1] + comment + b"\x3b")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read whole"))
    most, opened = [], Path.open

    class Counting(io.BufferedReader):
        def read(self, count: int | None = -1) -> bytes:
            found = super().read(count)
            most.append(len(found))
            return found

    def counting(self: Path, mode: str = "r", *more: object) -> object:
        return Counting(opened(self, mode, *more).detach()) if mode == "rb" else opened(self, mode, *more)

    monkeypatch.setattr(Path, "open", counting)
    np.testing.assert_array_equal(read_scan(path, "TYX").values, frames)
    assert most and max(most) < 1 << 17
