import os
from pathlib import Path

import pytest

from ldseg.base.paths import named_path, nearest_folder, require_folder
from ldseg.base.shipped import shipped_weights
from ldseg.errors import ConfigError, DataError, WeightsError
from ldseg.published import find_weights


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``data/GlaS`` and ``data/Cine``, of which only the first holds weights, and a file ``data/Gla``."""
    for name in ("GlaS", "Cine"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "GlaS" / "weights.h5").touch()
    (tmp_path / "data" / "Gla").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "nearest"),
    [
        ("data/GlaSS", "data/GlaS"),
        ("data/glas", "data/GlaS"),
        ("dat/GlaS", "data/GlaS"),
        ("dta/Cine", "data/Cine"),
        ("data/Mine", ""),
        ("dat/Glas", ""),
        ("elsewhere/GlaS", ""),
        ("data/Gla/S", ""),
    ],
)
def test_what_was_meant(folder: str, nearest: str, place: Path) -> None:
    expected = f" (the nearest is {nearest})" if nearest else ""
    assert nearest_folder(Path(folder)) == expected
    absolute = f" (the nearest is {place / nearest})" if nearest else ""
    assert nearest_folder(place / folder) == absolute


def test_only_what_holds_the_file_is_proposed(place: Path) -> None:
    assert nearest_folder(Path("data/GlaSS"), "weights.h5") == " (the nearest is data/GlaS)"
    assert nearest_folder(Path("data/Cinee"), "weights.h5") == ""


def test_a_folder_that_is_there(place: Path) -> None:
    require_folder(Path("data"), "a data set")
    require_folder(place / "data", "a data set")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("data/GlaSS", r"^data/GlaSS: no such folder \(the nearest is data/GlaS\), expected a data set$"),
        ("data/Gla", r"^data/Gla: is a file, expected a data set$"),
        ("data/Gla/S", r"^data/Gla/S: no such folder, expected a data set$"),
        ("data/" + "x" * 300, r"x: cannot be looked at \(.+\), expected a data set$"),
    ],
)
def test_a_folder_that_is_not_there(folder: str, message: str, place: Path) -> None:
    with pytest.raises(DataError, match=message):
        require_folder(Path(folder), "a data set")


def test_the_folder_of_a_user() -> None:
    assert named_path("Data.Root", "~/data") == Path(os.path.expanduser("~")) / "data"
    assert named_path("Data.Root", "data") == Path("data")
    with pytest.raises(ConfigError, match="^Data.Root: expected a path, got '~nosuchuser/data', whose user has no home"):
        named_path("Data.Root", "~nosuchuser/data")
    with pytest.raises(
        WeightsError, match="~nosuchuser/weights: expected a folder of weights, got one whose user has no home"
    ):
        find_weights("~nosuchuser/weights")


@pytest.mark.parametrize(("name", "reason"), [("n" * 300, "File name too long"), ("a\0b", "embedded null byte")])
def test_names_that_no_system_takes(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(DataError, match=rf"cannot be looked at \({reason}\), expected images"):
        require_folder(tmp_path / name, "images")
    with pytest.raises(WeightsError, match="expected a folder with .*, or the name of weights that come with LDSeg"):
        find_weights(name)


def test_weights_by_their_address() -> None:
    folder = shipped_weights()["GlaS"]
    assert find_weights(f"file://{folder}") == folder
