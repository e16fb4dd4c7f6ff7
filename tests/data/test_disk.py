"""Prepared cases on disk: found by content, bounded, and never those of a file that has changed."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from ldseg.data import disk
from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import Case, find_cases
from ldseg.data.disk import DiskCache

RULES = {"size": [4, 4]}
LONG_AGO = 1_000_000_000


def a_case(folder: Path, name: str = "a", value: int = 0) -> Case:
    """Two files, of an hour ago."""
    paths = [folder / kind / f"{name}.png" for kind in ("Image", "Label")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(path)
    return Case(name=name, image=paths[0], label=paths[1], group=name)


def prepared(value: float = 0.25, channels: int = 3) -> disk.Prepared:
    image = np.full((4, 4, channels), value, np.float32)
    image[0, 0] = np.float32(1) / 3
    return image, np.arange(16, dtype=np.int32).reshape(4, 4)


@pytest.fixture(autouse=True)
def old_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old enough for their times to tell; `test_files_that_are_young` takes that back."""
    monkeypatch.setattr(disk, "YOUNG", -1e9)


def cache(folder: Path, most: int = 10**6, **rules: Any) -> DiskCache:
    return DiskCache(folder / "cache", most, RULES | rules)


def kept(folder: Path, case: Case, value: float = 0.25) -> disk.Key:
    one = cache(folder)
    key = one.key(case)
    assert key is not None and one.load(key) is None
    one.keep(case, key, prepared(value))
    return key


def same(found: disk.Prepared | None, expected: disk.Prepared) -> bool:
    assert found is not None and [each.dtype for each in found] == [np.float32, np.int32]
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_case_is_found_again_by_another_process(tmp_path: Path) -> None:
    key = kept(tmp_path, a_case(tmp_path))
    again = cache(tmp_path)
    assert same(again.load(again.key(a_case(tmp_path / "elsewhere"))), prepared())
    assert cache(tmp_path, size=[8, 8]).key(a_case(tmp_path)) != key  # prepared otherwise


@pytest.mark.parametrize("top", [255, 200])
def test_pictures_of_8_bits_take_8_bits(top: int, tmp_path: Path) -> None:
    image = (np.arange(48).reshape(4, 4, 3) % 200).astype(np.float32) / np.float32(top)
    one, case = cache(tmp_path), a_case(tmp_path)
    one.keep(case, one.key(case), (image, prepared()[1]))
    assert same(one.load(one.key(case)), (image, prepared()[1]))
    (file,) = (tmp_path / "cache").rglob("*.case")
    assert file.stat().st_size == disk.HEADER + 16 + 48 * (1 if top == 255 else 4)


def test_a_file_that_changes_is_another_case(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    key = kept(tmp_path, case)
    one = cache(tmp_path)
    assert one.key(case) == key
    a_case(tmp_path, value=1)  # of the same size
    os.utime(case.image, (LONG_AGO, LONG_AGO))
    changed = one.key(case)
    assert changed is not None and changed.digest != key.digest and one.load(changed) is None


def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path: Path) -> None:
    case, one = a_case(tmp_path), cache(tmp_path)
    key = one.key(case)
    a_case(tmp_path, value=1)
    one.keep(case, key, prepared())
    assert not list((tmp_path / "cache").rglob("*.case"))


def test_files_that_are_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their content is looked at each time: they may change twice at one time of the clock."""
    monkeypatch.setattr(disk, "YOUNG", 3600.0)
    monkeypatch.setattr(disk, "_state", lambda files: (b"the same", max(file.stat().st_ctime for file in files)))
    case, one = a_case(tmp_path), cache(tmp_path)
    key = one.key(case)
    a_case(tmp_path, value=1)
    assert one.key(case) != key


@pytest.mark.parametrize("harm", ["cut", "zeros", "empty", "header"])
def test_a_damaged_file_is_made_again(harm: str, tmp_path: Path) -> None:
    case = a_case(tmp_path)
    key = kept(tmp_path, case)
    (file,) = (tmp_path / "cache").rglob("*.case")
    content = file.read_bytes()
    damaged = {"cut": content[:-1], "zeros": content[:-4] + bytes(4), "empty": b"", "header": b"?" + content[1:]}
    file.write_bytes(damaged[harm])
    one = cache(tmp_path)
    assert one.load(key) is None and not file.exists()
    one.keep(case, key, prepared())
    assert same(one.load(key), prepared())


def test_its_size_has_a_bound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every case of this process stays, one more finds no room; those of earlier processes make way, the oldest first."""
    size = disk.HEADER + 48 * 4 + 16
    cases = [a_case(tmp_path, f"c{index}", index) for index in range(5)]
    first = cache(tmp_path, 3 * size)
    keys = [first.key(case) for case in cases]
    for case, key in zip(cases, keys, strict=True):
        first.keep(case, key, prepared())
    assert [first.load(key) is not None for key in keys] == [True, True, True, False, False]
    assert sum("is full" in line for line in caplog.messages) == 1
    for number, key in enumerate(keys[:3]):
        os.utime(first._path(key), (LONG_AGO - number, LONG_AGO - number))  # the third is the oldest
    second = cache(tmp_path, 3 * size)
    assert second.load(keys[1]) is not None
    for case, key in zip(cases[3:], keys[3:], strict=True):
        second.keep(case, key, prepared())
    assert [second.load(key) is not None for key in keys] == [False, True, False, True, True]


def test_what_a_kill_left_is_cleared(tmp_path: Path) -> None:
    kept(tmp_path, a_case(tmp_path))
    (file,) = (tmp_path / "cache").rglob("*.case")
    left, fresh = (file.with_name(f".{file.name}.{token}.tmp") for token in ("0123abcd", "4567abcd"))
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (LONG_AGO, LONG_AGO))
    other = a_case(tmp_path, "b", 1)
    one = cache(tmp_path)
    one.keep(other, one.key(other), prepared())
    assert not left.exists() and fresh.exists() and file.exists()  # the fresh one is being written now


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_another_process_removes_meanwhile(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look into a folder and that at what it has; the cache goes on."""
    kept(tmp_path, a_case(tmp_path))
    (file,) = (tmp_path / "cache").rglob("*.case")
    looked = []

    def gone(path: Any, scandir: Any = os.scandir) -> Any:
        looked.append(os.fspath(path))
        inner = Path(path) == file.parent and len(looked) == 2
        found = scandir(path) if what == "file" or not inner else None
        if inner:
            entries = list(found or [])
            file.unlink()
            file.parent.rmdir()
            return contextlib.nullcontext(entries) if found else scandir(path)
        return found

    monkeypatch.setattr(os, "scandir", gone)
    other = a_case(tmp_path, "b", 1)
    one = cache(tmp_path)
    key = one.key(other)
    one.keep(other, key, prepared())
    assert looked[1] == str(file.parent) and not file.exists()
    assert same(one.load(key), prepared())


def test_a_disk_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    case, one = a_case(tmp_path), cache(tmp_path)
    for _ in range(2):
        one.keep(case, one.key(case), prepared())
    assert sum("nothing more is kept" in line for line in caplog.messages) == 1


def test_headers_of_values_elsewhere_are_not_kept(tmp_path: Path) -> None:
    case = Case(name="a", image=tmp_path / "a.mhd", label=None, group="a")
    case.image.touch()
    assert cache(tmp_path).key(case) is None
    assert cache(tmp_path).key(Case(name="b", image=tmp_path / "gone.png", label=None, group="b")) is None


def test_folders_are_their_files(tmp_path: Path) -> None:
    case = Case(name="v", image=tmp_path / "v", label=None, group="v")
    for index in range(2):
        a_case(case.image, f"{index}")
    one = cache(tmp_path)
    key = one.key(case)
    (case.image / "Image" / "1.png").rename(case.image / "Image" / "2.png")
    assert one.key(case) != key != None  # noqa: E711


@pytest.fixture
def cases(tmp_path: Path) -> Iterator[tuple[Case, ...]]:
    with tiny.tiny_networks():
        yield find_cases(tiny.phantoms(tmp_path) / "Set").cases


def batches(cases: tuple[Case, ...], **changes: Any) -> TrainingBatches:
    values: dict[str, Any] = {
        "batch_size": 2, "patch": (24, 16), "latent_shape": (3, 2, 2), "timesteps": 1000, "augmentation": "histology",
        "recycling": 0.5, "seed": 5,
    }  # fmt: skip
    return TrainingBatches(cases, tiny.preprocessing(), **{**values, **changes})


def flat(found: TrainingBatches, index: int) -> np.ndarray:
    inputs = found.batch(index)[0]
    return np.concatenate([np.ravel(inputs[name]) for name in sorted(inputs)])


def test_batches_from_disk_are_those_from_files(cases: tuple[Case, ...], tmp_path: Path) -> None:
    expected = [flat(batches(cases), index) for index in range(6)]
    for _ in range(2):  # the second finds what the first has kept
        some = batches(cases, disk=DiskCache(tmp_path / "cache", 10**7, {}))
        for index in range(6):
            np.testing.assert_array_equal(flat(some, index), expected[index])
        assert len(list((tmp_path / "cache").rglob("*.case"))) == 6


def test_a_bad_case_is_one_line_and_another_stands_in(cases: tuple[Case, ...], caplog: pytest.LogCaptureFixture) -> None:
    whole = batches(cases)
    bad = cases[2]
    before = [flat(whole, index) for index in range(6)]
    shutil.copy(bad.image, bad.image.with_suffix(".kept"))
    bad.image.write_bytes(b"no picture")
    found = batches(cases)
    after = [flat(found, index) for index in range(6)]
    differ = [index for index in range(6) if not np.array_equal(before[index], after[index])]
    assert len(differ) == 2  # its batch, in each of two epochs
    assert list(found.problems) == [bad.name] and str(bad.image) in found.problems[bad.name]
    assert sum("left out" in line for line in caplog.messages) == 1
    again = batches(cases)
    for index in reversed(range(6)):  # a function of the seed and the number still
        np.testing.assert_array_equal(flat(again, index), after[index])


def test_a_class_is_looked_for_where_it_is_not_known(cases: tuple[Case, ...]) -> None:
    """Among all cases, not only those of the sample."""
    known = {1: [cases[0].name]}
    options: dict[str, Any] = {"focus": 1.0, "shown": known, "augmentation": "none", "batch_size": 12}
    some, all_of_them = batches(cases, **options), batches(cases, sampled=True, **options)
    kinds = [len({image.tobytes() for image in found.batch(0)[0]["image"]}) for found in (some, all_of_them)]
    assert all((label == 1).any() for label in all_of_them.batch(0)[0]["label"])
    assert kinds[1] > kinds[0] or len(cases) == 1
