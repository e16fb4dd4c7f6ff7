"""Cases in an object store: found as in a folder here, and copied here one by one."""

from pathlib import Path

import pytest

from ldseg.base.remote import remove_remote, write_remote
from ldseg.data.cases import Case, find_cases
from ldseg.data.inputs import cases_in
from ldseg.data.remote import fetched, told_of
from ldseg.errors import DataError

fsspec = pytest.importorskip("fsspec", reason="object stores need fsspec: pip install 'ldseg[archive]'")

TOP = Path("memory:/bucket/test-data-remote")


def store(folder: str, names: list[str], content: bytes = b"x") -> Path:
    for name in names:
        write_remote(TOP / folder / name, content)
    return TOP / folder


@pytest.mark.parametrize(
    ("folder", "axes", "names"),
    [
        ("Set", "YX", ["Image/b10.png", "Image/b2.png", "Image/é.tif", "Label/b2_label.png", "Label/none_label.png"]),
        ("Task", "ZYX", ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "imagesTs/b_0000.nii.gz",
                         "imagesTs/b_0001.nii.gz", "labelsTr/a.nii.gz", "labelsTs/b.nii.gz"]),
        ("Flat", "YX", ["1.png", "2.png", "2_mask.png", "1_mask.png", ".hidden.png"]),
        ("Volumes", "ZYX", ["one.nii.gz", "two.mhd", "two.raw"]),
        ("Frames", "TYX", ["f1.png", "f2.png"]),
    ],
)  # fmt: skip
def test_the_same_cases_as_in_a_folder_here(folder: str, axes: str, names: list[str], tmp_path: Path) -> None:
    place = store(folder, names)
    for name in names:
        (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_bytes(b"x")
    here, there = cases_in(tmp_path / folder, axes), cases_in(place, axes)
    text = repr(here).replace(str(tmp_path), str(TOP))
    problems = tuple(line.replace(str(tmp_path), "memory://bucket/test-data-remote") for line in here.problems)
    assert repr(there.cases) == text[len("Found(cases=") : len("Found(cases=") + len(repr(there.cases))]
    assert there.problems == problems
    assert Path.cwd() != Path("/tmp")


def test_tables_and_first_bytes_are_looked_at() -> None:
    place = store("Patients", ["Image/1.png", "Image/2.png"])
    write_remote(place / "patients.csv", b"name,patient\n1,P\n2,P\n")
    assert [case.group for case in cases_in(place, "YX").cases] == ["P", "P"]
    series = store("Series", ["IM1", "IM2"], bytes(128) + b"DICM" + bytes(99))
    assert cases_in(series, "ZYX").cases == (Case(name="Series", image=series, label=None, group="Series"),)


def test_what_is_not_there() -> None:
    with pytest.raises(DataError, match="memory://bucket/test-data-remote/none: no such file or folder"):
        cases_in(TOP / "none", "YX")
    with pytest.raises(DataError, match="memory://bucket/test-data-remote/Text: no image found"):
        cases_in(store("Text", ["a.txt"]), "YX")
    with pytest.raises(DataError, match="no such folder"):
        find_cases(TOP / "Set")


def test_nothing_is_laid_out_above_the_folder_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    victim = tmp_path / "victim.png"
    victim.write_bytes(b"mine")
    place, key = Path("memory:/bk/set"), Path("memory:/bk/set/../../../../victim.png")
    write_remote(key, b"x")
    try:
        with pytest.raises(DataError, match=r"memory://bk/set/../../../../victim.png: expected a name below its folder"):
            cases_in(place, "YX")
    finally:
        remove_remote([key])
    assert victim.read_bytes() == b"mine"


def test_a_case_is_copied_and_goes_again(tmp_path: Path) -> None:
    place = store("Copied", ["i/a.mhd", "i/a.raw", "l/a.mhd", "c/a.nii", "s/1.png", "s/2.png"])
    image, label, other = place / "i/a.mhd", place / "l/a.mhd", place / "c/a.nii"
    case = Case(name="a", image=image, label=label, group="a", channels=(other,), annotations=(place / "s/1.png",))
    with fetched(case) as here:
        assert here.image.name == "a.mhd"
        assert here.label is not None
        paths = [here.image, here.image.with_suffix(".raw"), here.label, *here.channels]
        assert [path.read_bytes() for path in paths] == [b"x"] * 4
        assert len({*paths}) == 4
        for path, named in ((here.image, "i/a.mhd"), (here.annotations[0], "s/1.png")):
            assert told_of(case, here, f"{path}: broken") == f"memory://bucket/test-data-remote/Copied/{named}: broken"
    assert not here.image.exists()
    with fetched(Case(name="s", image=place / "s", label=None, group="s")) as here:
        assert sorted(path.name for path in here.image.iterdir()) == ["1.png", "2.png"]
    own = Case(name="b", image=tmp_path / "b.png", label=None, group="b")
    with fetched(own) as here:
        assert here is own
    with (
        pytest.raises(DataError, match="Copied/none.png: no such file or folder"),
        fetched(Case(name="n", image=place / "none.png", label=None, group="n")),
    ):
        pass
