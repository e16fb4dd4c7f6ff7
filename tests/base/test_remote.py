"""Places in object stores, spelt as paths."""

from pathlib import Path

import pytest

from ldseg.base.remote import (
    check_written_whole,
    fetch,
    is_remote,
    names_in,
    read_remote,
    remove_remote,
    send,
    spelt,
    start_of,
    url_of,
    write_remote,
)
from ldseg.errors import DataError, UnwrittenError

fsspec = pytest.importorskip("fsspec", reason="object stores need fsspec: pip install 'ldseg[archive]'")

TOP = Path("memory://bucket/test-remote")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket/a/b.png", "s3://bucket/a/b.png"),
        ("s3://bucket/a/", "s3://bucket/a"),
        ("gs://bucket", "gs://bucket"),
        ("memory://x/ä b.png", "memory://x/ä b.png"),
    ],
)
def test_an_address_is_a_path(text: str, url: str) -> None:
    assert is_remote(Path(text))
    assert url_of(Path(text)) == url
    assert url_of(Path(url) / "c") == f"{url}/c"


@pytest.mark.parametrize("text", ["a/b.png", "/a/s3:/b", "s3:", "C:/a", "a:b/c", "", "~/x", "S3://a/b"])
def test_other_paths_are_of_this_machine(text: str) -> None:
    assert not is_remote(Path(text))
    assert url_of(Path(text)) == str(Path(text))


def test_messages_have_addresses() -> None:
    assert spelt("s3:/b/x.png: as /tmp/s3:/b and (gs:/c/d)") == "s3://b/x.png: as /tmp/s3:/b and (gs://c/d)"
    assert spelt("s3://b/x.png") == "s3://b/x.png"


def test_files_go_there_and_back(tmp_path: Path) -> None:
    write_remote(TOP / "set" / "a.txt", b"one")
    (tmp_path / "b").write_bytes(b"two")
    send(tmp_path / "b", TOP / "set" / "deep" / "b")
    write_remote(TOP / "set2" / "c", b"no part of set")
    assert names_in(TOP / "set") == ["a.txt", "deep/b"]
    assert names_in(TOP / "set" / "a.txt") == [""]
    assert names_in(TOP / "none") == []
    assert read_remote(TOP / "set" / "deep" / "b") == b"two"
    assert start_of(TOP / "set" / "a.txt", 2) == b"on"
    fetch(TOP / "set", tmp_path / "whole")
    fetch(TOP / "set" / "a.txt", tmp_path / "new" / "one.txt")
    assert (tmp_path / "whole" / "deep" / "b").read_bytes() == b"two"
    assert (tmp_path / "new" / "one.txt").read_bytes() == b"one"
    remove_remote([TOP / "set" / "a.txt"])
    assert names_in(TOP / "set") == ["deep/b"]


@pytest.mark.parametrize("name", ["../../victim.png", "a/../b.png", "/etc/x.png"])
def test_names_that_lead_out_of_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    key = f"/bucket/test-remote-out/set/{name}"
    stored = fsspec.get_filesystem_class("memory").store
    fsspec.filesystem("memory").pipe_file(key, b"evil")
    try:
        with pytest.raises(DataError, match=f"^memory:/{key}: expected a name below its folder"):
            names_in(Path("memory:/bucket/test-remote-out/set"))
        with pytest.raises(DataError, match=f"^memory:/{key}: expected a name below its folder"):
            fetch(Path("memory:/bucket/test-remote-out/set"), tmp_path / "deep" / "set")
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    finally:
        del stored[key]


def test_a_place_that_leads_up_is_refused() -> None:
    write_remote(TOP / "up" / ".." / "a.png", b"x")
    with pytest.raises(DataError, match="up/../a.png: expected a name below its folder"):
        names_in(TOP / "up" / ".." / "a.png")
    remove_remote([TOP / "up" / ".." / "a.png"])


def test_markers_of_folders_are_no_files(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    write_remote(TOP / "marked" / "Image" / "1.png", b"x")
    for folder in ("marked", "marked/Image", "empty"):
        # As the console of S3 makes folders; the writers of fsspec drop the slash.
        key = f"/bucket/test-remote/{folder}/"
        memory.store[key] = type(memory.store["/bucket/test-remote/marked/Image/1.png"])(memory, key)
    assert any(name.endswith("/") for name in memory.find("/bucket/test-remote/marked"))
    assert names_in(TOP / "marked") == ["Image/1.png"]
    assert names_in(TOP / "empty") == []
    fetch(TOP / "marked", tmp_path / "here")
    assert [path for path in (tmp_path / "here").rglob("*") if path.is_file()] == [tmp_path / "here" / "Image" / "1.png"]


def test_what_cannot_be_done_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="memory://bucket/test-remote/none: no such file or folder"):
        fetch(TOP / "none", tmp_path / "x")
    with pytest.raises(DataError, match="memory://bucket/test-remote/none: cannot be read"):
        read_remote(TOP / "none")
    with pytest.raises(DataError, match=r"nope://a/b: expected a kind of place that fsspec knows"):
        names_in(Path("nope://a/b"))
    check_written_whole(TOP, "Output.Folder")
    with pytest.raises(DataError, match="Output.Folder: expected a folder, or a place of kind abfs"):
        check_written_whole(Path("sftp://host/out"), "Output.Folder")

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("the store\nis full")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pipe_file", full)
    with pytest.raises(UnwrittenError, match="memory://bucket/test-remote/a: cannot be written: the store is full"):
        write_remote(TOP / "a", b"")
