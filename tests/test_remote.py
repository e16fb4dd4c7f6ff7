"""Places in object stores, spelt as paths."""

from pathlib import Path

import pytest

from ldseg.errors import DataError, UnwrittenError
from ldseg.remote import (
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
