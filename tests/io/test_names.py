"""What stands in a folder, and that a listing is not older than the folder."""

import os
from pathlib import Path

import pytest

from ldseg.io import names
from ldseg.io.names import Listed, suffix_of, visible


@pytest.fixture(autouse=True)
def old_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "YOUNG", -1e9)
    monkeypatch.setattr(names, "_LISTED", {})


def test_the_listing_is_in_natural_order_and_knows_folders(tmp_path: Path) -> None:
    for name in ("b10.png", "b9.png", ".hidden", "__MACOSX"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    (tmp_path / "d.png").symlink_to(tmp_path / "c.png")
    (tmp_path / "e.png").symlink_to(tmp_path / "nowhere")
    found = visible(tmp_path)
    assert [path.name for path in found] == ["b9.png", "b10.png", "c.png", "d.png", "e.png"]
    plain = [Path(path) for path in map(os.fspath, found)]
    assert found == plain and [hash(path) for path in found] == [hash(path) for path in plain]
    assert [path.is_dir() for path in found] == [path.is_dir() for path in plain] == [False, False, True, True, False]
    assert [path.is_file() for path in found] == [path.is_file() for path in plain] == [True, True, False, False, False]
    assert [suffix_of(path) for path in found] == [".png", ".png", "", "", ".png"]
    made = found[0].with_name("c.png")
    assert made.is_dir() and not made.is_file()  # asked of the disk


def test_a_listing_is_made_once_for_a_folder_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    first = visible(tmp_path)
    first.clear()  # a list of one's own
    asked: list[str] = []
    made = Listed.of
    monkeypatch.setattr(Listed, "of", classmethod(lambda cls, entry: asked.append(entry.name) or made(entry)))
    assert len(visible(tmp_path)) == 1 and asked == []
    (tmp_path / "b").touch()
    os.utime(tmp_path, ns=(1, 1))
    assert len(visible(tmp_path)) == 2 and asked == ["a", "b"] or asked == ["b", "a"]
    (tmp_path / "a").unlink()
    assert [path.name for path in visible(tmp_path)] == ["b"]


def test_another_thread_may_drop_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dropped(dict):  # type: ignore[type-arg]
        """Has whatever it is asked for, and no longer when that is fetched."""

        def __contains__(self, key: object) -> bool:
            return True

    monkeypatch.setattr(names, "_LISTED", Dropped())
    (tmp_path / "a").touch()
    assert [path.name for path in visible(tmp_path)] == ["a"]


def test_few_listings_are_kept_and_none_of_a_young_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(names.KEPT + 2):
        (tmp_path / f"{index}").mkdir()
        visible(tmp_path / f"{index}")
    assert len(names._LISTED) == names.KEPT and tmp_path / f"{names.KEPT + 1}" in names._LISTED
    monkeypatch.setattr(names, "YOUNG", 3600.0)
    monkeypatch.setattr(names, "_LISTED", {})
    visible(tmp_path)
    assert names._LISTED == {}
