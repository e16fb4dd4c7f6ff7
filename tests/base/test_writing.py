"""Files are written whole or not at all, whatever fails on the way."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import faulty
import numpy as np
import pytest

from ldseg.base.writing import append_text, held_folder, move, write_bytes, write_file, write_text, written_folder
from ldseg.errors import DataError, UnwrittenError
from ldseg.io.frames import write_frames

ROOT = Path(__file__).parents[2]


def bytes_(path: Path) -> object:
    return write_bytes(path, b"new" * 100)


def arrays(path: Path) -> object:
    return write_file(path, lambda stream: np.savez(stream, one=np.arange(9), two=np.ones(4)))


@pytest.mark.parametrize("write", [bytes_, arrays])
@pytest.mark.parametrize("lasting", [False, True])
def test_a_disk_that_is_full_at_any_call(write: Callable[[Path], object], lasting: bool, tmp_path: Path) -> None:
    path = tmp_path / "below" / "file"
    with faulty.full_disk() as disk:
        write(path)
    assert len(disk.calls) >= 4
    for moment in range(len(disk.calls)):
        path.write_bytes(b"old")
        with (
            faulty.full_disk(moment, lasting=lasting),
            pytest.raises(UnwrittenError, match=r"file: cannot be written: No space left on device$"),
        ):
            write(path)
        assert path.read_bytes() == b"old"
        assert list(path.parent.iterdir()) == [path]
        write(path)
        assert path.read_bytes() != b"old"


def test_a_folder_of_frames_is_whole_or_not_there(tmp_path: Path) -> None:
    folder, old, new = tmp_path / "frames", np.zeros((2, 4, 5), np.uint8), np.ones((2, 4, 5), np.uint8)
    write_frames(folder, old, ["a", "b"])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with faulty.full_disk() as disk:
        write_frames(tmp_path / "other", new, ["a", "b"])
    for moment in range(len(disk.calls)):
        with faulty.full_disk(moment), pytest.raises(UnwrittenError, match="cannot be written"):
            write_frames(folder, new, ["a", "b"])
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert faulty.left_over(tmp_path) == []
    write_frames(folder, new, ["a", "b"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} != before


@pytest.mark.parametrize("stop", [OSError("no room"), KeyboardInterrupt()])
def test_a_folder_stays_that_is_being_replaced(stop: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, renames = tmp_path / "folder", []
    folder.mkdir()
    (folder / "old").touch()

    def rename(source: Path, target: Path) -> None:
        renames.append(target)
        if len(renames) == 2:  # the old one has made room, the new one is not in place
            raise stop
        os.rename(source, target)

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(os, "replace", rename)
    with pytest.raises((DataError, KeyboardInterrupt)), written_folder(folder) as place:
        (place / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["old"]
    assert faulty.left_over(tmp_path) == []


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_takes_the_place_of_a_file_or_a_link(link: bool, tmp_path: Path) -> None:
    path = tmp_path / "folder"
    if link:
        path.symlink_to(tmp_path)
    else:
        path.touch()
    with written_folder(path) as place:
        (place / "new").touch()
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
    assert [entry.name for entry in path.iterdir()] == ["new"]


def test_a_line_is_put_behind_others_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    write_text(path, "one\n")
    append_text(path, "two\n")
    with faulty.full_disk(0), pytest.raises(UnwrittenError, match="journal: cannot be written: No space left"):
        append_text(path, "lost\n")  # at the sync, when the bytes are in the file
    append_text(path, "three\n")
    assert path.read_text("utf-8") == "one\ntwo\nthree\n"


def test_a_move_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnwrittenError, match=r"new: cannot be written: No such file"):
        move(tmp_path / "none", tmp_path / "new")


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.write_bytes(b"theirs")
    (tmp_path / "place").mkdir()
    write_frames(folder, np.zeros((1, 2, 2), np.uint8), ["a"])
    (tmp_path / "link").symlink_to(outside)
    write_bytes(tmp_path / "link", b"mine")
    assert outside.read_bytes() == b"theirs"
    assert not (tmp_path / "link").is_symlink()
    (tmp_path / "linked").symlink_to(tmp_path / "place")
    write_frames(tmp_path / "linked", np.zeros((1, 2, 2), np.uint8), ["a"])
    assert list((tmp_path / "place").iterdir()) == []
    assert not (tmp_path / "linked").is_symlink()
    assert faulty.left_over(tmp_path) == []


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".json")
    write_bytes(path, b"content")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_gets_the_permissions_that_the_user_asks_for(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        path = write_bytes(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from ldseg.base.writing import held_folder, write_file\n"
        "def killed(stream): stream.write(b'half'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "with held_folder(Path(sys.argv[1]), 'x'): write_file(Path(sys.argv[1]) / 'Overlay' / 'mask.png', killed)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert len(faulty.left_over(tmp_path)) == 1
    with held_folder(tmp_path, "x"):
        assert faulty.left_over(tmp_path) == []
        with (
            pytest.raises(DataError, match=rf"another run of LDSeg \(process {os.getpid()}\) writes to it now"),
            held_folder(tmp_path, "x"),
        ):
            pass
