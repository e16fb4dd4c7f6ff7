from pathlib import Path

import pytest

from ldseg.base import shipped

ROOT = Path(__file__).parents[2]


def lay_out(folder: Path, *names: str) -> Path:
    for name in names:
        place = folder / "weights" / name
        place.mkdir(parents=True)
        (place / "segmenter.json").touch()
        (place / "README.md").touch()
    (folder / "cfg.ini").touch()
    return folder


def test_a_clone_ships_what_its_repository_holds() -> None:
    found = shipped.shipped_weights()
    assert {"GlaS", "Colon", "DDTI", "Hippocampus", "VocalFolds", "Volume", "Cine"} <= set(found)
    for name, folder in found.items():
        assert folder == ROOT / "weights" / name
        assert (folder / "segmenter.weights.h5").is_file()
    assert list(found) == sorted(found)
    assert shipped.shipped_file("cfg.ini") == ROOT / "cfg.ini"
    assert shipped.shipped_file("medsegdiff.ini") == ROOT / "medsegdiff.ini"


def test_an_installed_package_comes_before_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, beside = lay_out(tmp_path / "inside", "A"), lay_out(tmp_path / "beside", "A", "B")
    monkeypatch.setattr(shipped, "FOLDERS", (inside, beside))
    assert shipped.shipped_weights() == {"A": inside / "weights" / "A"}
    assert shipped.shipped_file("cfg.ini") == inside / "cfg.ini"


def test_weights_of_ones_own_are_not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lay_out(tmp_path, "A", "Mine", "Half")
    (folder / "weights" / "Mine" / "README.md").unlink()
    (folder / "weights" / "Half" / "segmenter.json").unlink()
    monkeypatch.setattr(shipped, "FOLDERS", (tmp_path / "none", folder))
    assert list(shipped.shipped_weights()) == ["A"]


def test_what_is_not_shipped_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDERS", (tmp_path,))
    assert shipped.shipped_weights() == {}
    with pytest.raises(FileNotFoundError, match=r"other\.ini: does not come with LDSeg"):
        shipped.shipped_file("other.ini")
