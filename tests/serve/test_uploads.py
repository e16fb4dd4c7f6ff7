"""What is sent: names, archives, and which image it is."""

import fcntl
import io
import zipfile
from pathlib import Path

import pytest

from ldseg.errors import DataError
from ldseg.serve import uploads
from ldseg.serve.uploads import image_in, room, safe_name, save


def packed(**parts: bytes) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return content


def folder_of(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.png", "a.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\scans\\b.nii.gz", "b.nii.gz"),
        (".hidden", "hidden"),
        ("a\n:b?.tif", "a__b_.tif"),
        ("..", "image"),
        ("ä" * 500 + ".nii.gz", "ä" * 193 + ".nii.gz"),
    ],
)
def test_no_name_leads_anywhere(sent: str, kept: str) -> None:
    assert safe_name(sent) == kept


def test_an_archive_is_unpacked_into_one_folder_and_nowhere_else(tmp_path: Path) -> None:
    parts = {"s/a.dcm": b"1", "t/a.dcm": b"2", "../../b.dcm": b"3", "__MACOSX/._a.dcm": b"4", "s/.DS_Store": b"5"}
    inner = save([("knee.zip", packed(**parts))], tmp_path)
    assert inner == tmp_path / "knee"
    assert {path.name: path.read_bytes() for path in inner.iterdir()} == {"a.dcm": b"1", "t_a.dcm": b"2", "b.dcm": b"3"}
    assert list(tmp_path.iterdir()) == [inner]


def test_what_is_no_archive_or_one_that_bursts_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    with pytest.raises(DataError, match=r"a\.zip: expected a ZIP archive that can be unpacked"):
        save([("a.zip", io.BytesIO(b"no archive"))], tmp_path / "1")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(80 << 20))
    (tmp_path / "2").mkdir()
    with pytest.raises(DataError, match="far more than its"):
        save([("a.zip", bomb)], tmp_path / "2")


def test_two_files_of_one_name_and_none_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png: expected files of different names"):
        save([("a.png", io.BytesIO(b"1")), ("x/a.png", io.BytesIO(b"2"))], tmp_path)
    with pytest.raises(DataError, match="expected an image, got none"):
        save([], tmp_path)


def test_which_image_it_is(tmp_path: Path) -> None:
    assert image_in(folder_of(tmp_path, "a.png"), "YX").name == "a.png"
    with pytest.raises(DataError, match=r"expected one image \(yx\).*got a.png, b.png"):
        image_in(folder_of(tmp_path, "b.png"), "YX")


def test_slices_are_their_folder_and_headers_go_before_voxels(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "pair").mkdir()
    assert image_in(folder_of(tmp_path / "series", "1.dcm", "2.dcm"), "ZYX") == tmp_path / "series"
    assert image_in(folder_of(tmp_path / "pair", "a.img", "a.hdr"), "ZYX").name == "a.hdr"
    with pytest.raises(DataError, match="got nothing"):
        (tmp_path / "none").mkdir()
        image_in(tmp_path / "none", "ZYX")


def test_the_folder_is_gone_at_the_end_and_so_is_that_of_a_server_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(uploads.tempfile, "tempdir", str(tmp_path))
    dead, alive, other = tmp_path / "ldseg-serve-dead", tmp_path / "ldseg-serve-alive", tmp_path / "ldseg-serve-other"
    for folder in (dead, alive, other):
        folder.mkdir()
    for folder in (dead, alive):
        (folder / ".lock").touch()
    with (alive / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with room() as folder:
            (folder / "upload").write_bytes(b"private")
            assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, alive.name, other.name])
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, other.name}
