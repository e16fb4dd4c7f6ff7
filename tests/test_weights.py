import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import faulty
import h5py
import numpy as np
import pytest
import tiny
from helpers import as_numpy

from ldseg.diffusion import Schedule
from ldseg.errors import WeightsError
from ldseg.segmenter import Segmenter
from ldseg.weights import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    Description,
    load_segmenter,
    load_weights,
    read_description,
    save_weights,
)

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

DESCRIPTION = Description(
    spec=tiny.spec(schedule=Schedule(name="quadratic", timesteps=50)),
    preprocessing=tiny.preprocessing(labels="instances"),
    figures={"epoch": 3, "val_dice": 0.5},
    training={"Data": {"Size": [32, 32]}},
    split={"training": {"a": ["a1", "a2"]}, "validation": {"b": ["b1"]}},
)


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def segmenter(tiny_lean: None) -> Segmenter:
    return tiny.varied(Segmenter(DESCRIPTION.spec))


@pytest.fixture
def folder(segmenter: Segmenter, tmp_path: Path) -> Path:
    save_weights(tmp_path / "deep" / "folder", segmenter, DESCRIPTION)
    return tmp_path / "deep" / "folder"


def test_what_is_saved_comes_back(segmenter: Segmenter, folder: Path) -> None:
    loaded, description = load_segmenter(folder)
    for mine, other in zip(segmenter.weights, loaded.weights):
        np.testing.assert_array_equal(as_numpy(mine), as_numpy(other))
    assert description.made["backend"]
    assert replace(description, made={}) == DESCRIPTION
    assert sorted(os.listdir(folder)) == sorted([WEIGHTS_FILE, DESCRIPTION_FILE])
    assert json.loads((folder / DESCRIPTION_FILE).read_text("utf-8")) == json.loads(json.dumps(description.to_dict()))
    # The copy is for people: the weights know what they are without it.
    (folder / DESCRIPTION_FILE).unlink()
    assert read_description(folder) == description
    assert description.preprocessing_for("binary").labels == "binary"


def test_a_description_is_kept_by_what_its_file_holds(
    folder: Path, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDSEG_CACHE", str(tmp_path / "cache"))
    opened: list[Any] = []
    monkeypatch.setattr("ldseg.description.check_arrays", lambda file, size: opened.append(size))
    first = read_description(folder)
    assert (read_description(folder), len(opened)) == (first, 1)
    (kept,) = (tmp_path / "cache" / "descriptions").iterdir()
    for count, damaged in enumerate(("damaged", "{}"), start=2):
        kept.write_text(damaged)
        assert (read_description(folder), len(opened)) == (first, count)
    save_weights(folder, segmenter, replace(DESCRIPTION, figures={"epoch": 4}))
    assert read_description(folder).figures == {"epoch": 4}
    # What is no file of weights is looked at every time.
    (folder / WEIGHTS_FILE).write_bytes(b"something else")
    for _ in range(2):
        with pytest.raises(WeightsError, match="another or a damaged file"):
            read_description(folder)


def test_the_arrays_serve_a_segmenter_of_another_size(segmenter: Segmenter, folder: Path) -> None:
    larger = Segmenter(replace(DESCRIPTION.spec, size=(64, 32)))
    load_weights(folder, larger)
    for mine, other in zip(segmenter.weights, larger.weights):
        np.testing.assert_array_equal(as_numpy(mine), as_numpy(other))


def describe(path: Path, text: str | None) -> None:
    """Put another description into a file of weights, or none."""
    with h5py.File(path, "r+") as file:
        del file.attrs["ldseg"]
        if text is not None:
            file.attrs["ldseg"] = text


def rename_layer(path: Path) -> None:
    """Give a layer that has weights another name, as an older version of the networks may have named it."""
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        layer = found[0].rsplit("/vars/", 1)[0]
        file.move(layer, f"{layer}_before")


def changed(**changes: Any) -> str:
    return json.dumps({**DESCRIPTION.to_dict(), **changes})


SPEC = DESCRIPTION.spec.to_dict()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        pytest.param(lambda path: path.unlink(), "trained weights", id="missing file"),
        pytest.param(lambda path: path.write_bytes(b""), "empty", id="zero bytes"),
        pytest.param(lambda path: path.write_bytes(b"not weights at all\n" * 99), "written by LDSeg", id="garbage"),
        pytest.param(lambda path: os.truncate(path, path.stat().st_size // 2), "damaged", id="truncated"),
        pytest.param(lambda path: describe(path, None), "written by LDSeg", id="no description"),
        pytest.param(lambda path: describe(path, "{"), "written by LDSeg", id="description no JSON"),
        pytest.param(lambda path: describe(path, "[]"), "format version 1", id="description no mapping"),
        pytest.param(lambda path: describe(path, changed(format_version=2)), "version 1, found 2", id="other version"),
        pytest.param(lambda path: describe(path, '{"format_version": 1}'), "spec", id="incomplete"),
        pytest.param(lambda path: describe(path, changed(preprocessing={})), "size", id="no preprocessing"),
        pytest.param(lambda path: describe(path, changed(spec={**SPEC, "preset": "huge"})), "'lean'.*'huge'", id="preset"),
        pytest.param(lambda path: describe(path, changed(spec={**SPEC, "classes": 3})), "3 classes", id="other shapes"),
        pytest.param(rename_layer, "found others", id="other names"),
    ],
)
def test_what_are_no_weights(spoil: Any, expected: str, folder: Path) -> None:
    spoil(folder / WEIGHTS_FILE)
    with pytest.raises(WeightsError, match=expected) as caught:
        load_segmenter(folder)
    assert str(folder / WEIGHTS_FILE) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("nowhere", "nowhere.*no such file, expected trained weights"),
        (WEIGHTS_FILE, f"{WEIGHTS_FILE}: expected a folder with {WEIGHTS_FILE}, got a file"),
        ("x" * 300, "x/.*: cannot be looked at: "),
    ],
)
def test_a_folder_that_is_not_there(missing: str, message: str, folder: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        read_description(folder / missing)


def test_weights_that_lie_beside_and_in_a_folder_are_named(folder: Path) -> None:
    with pytest.raises(WeightsError, match=rf"{WEIGHTS_FILE}: no such file.*; in it lie those of {folder}"):
        read_description(folder.parent)
    with pytest.raises(WeightsError, match=rf"Nothing/{WEIGHTS_FILE}: no such file.*; beside it lie those of {folder}"):
        read_description(folder.parent / "Nothing")


def test_weights_of_another_architecture(folder: Path, segmenter: Segmenter) -> None:
    with tiny.tiny_networks(stateful=False):
        other = Segmenter(DESCRIPTION.spec)
    with pytest.raises(WeightsError, match=f"{WEIGHTS_FILE}: expected weights of preset 'lean' for 3 channels"):
        load_weights(folder, other)


def test_a_disk_that_is_full_leaves_the_old_weights_whole(folder: Path, segmenter: Segmenter) -> None:
    """HDF5 itself crashes on such a disk, so that it writes to memory."""
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    with faulty.full_disk() as disk:
        save_weights(folder.with_name("other"), segmenter, DESCRIPTION)
    for moment in range(len(disk.calls) - 1):  # at the last, what weights say of themselves is in place in them already
        with faulty.full_disk(moment), pytest.raises(WeightsError, match=f"{folder}.*No space left"):
            save_weights(folder, segmenter, replace(DESCRIPTION, figures={}))
        assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before
    with faulty.full_disk(moment + 1), pytest.raises(WeightsError, match=f"{folder}.*No space left"):
        save_weights(folder, segmenter, replace(DESCRIPTION, figures={}))
    assert read_description(folder).figures == {}


def test_a_folder_that_cannot_be_written(folder: Path, segmenter: Segmenter) -> None:
    below = folder / WEIGHTS_FILE / "below"
    with pytest.raises(WeightsError, match=f"{below}.*cannot be written"):
        save_weights(below, segmenter, DESCRIPTION)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "may not be read"),
        (BlockingIOError(11, "locked"), "in use by another program"),
    ],
)
def test_weights_that_cannot_be_opened_say_why(
    error: OSError, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise error

    (tmp_path / WEIGHTS_FILE).write_bytes(b"something")
    monkeypatch.setattr("h5py.File", refuse)
    with pytest.raises(WeightsError, match=said):
        read_description(tmp_path)


@pytest.mark.parametrize(
    ("way", "value", "said"),
    [
        (("spec", "size"), [65536, 65536], "its description is not of networks known here: size"),
        (("spec", "classes"), 2**30, "not of networks known here: expected 1 to"),
        (("spec", "channels"), "3", "not of networks known here: channels: expected a whole number, got '3'"),
        (("spec", "schedule", "timesteps"), 10**12, "not of networks known here: expected from 1 to 100000 timesteps"),
        (("training", "Data"), 3, "not of networks known here: training: expected settings by section and key"),
        (("figures", "val_dice"), "x", "not of networks known here: figures: expected a number as val_dice"),
    ],
)
def test_descriptions_that_lie(way: tuple[str, ...], value: Any, said: str, folder: Path) -> None:
    with h5py.File(folder / WEIGHTS_FILE, "r+") as file:
        values = json.loads(file.attrs["ldseg"])
        inner = values
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = value
        file.attrs["ldseg"] = json.dumps(values)
    with pytest.raises(WeightsError, match=said):
        read_description(folder)


def test_an_array_that_claims_terabytes(folder: Path) -> None:
    with h5py.File(folder / WEIGHTS_FILE, "r+") as file:
        file.create_dataset("huge", (10**6, 10**6), chunks=(100, 100), dtype="f4")
    with pytest.raises(WeightsError, match=r"its arrays take 3,725\.\d\d GiB, far more than its"):
        read_description(folder)
