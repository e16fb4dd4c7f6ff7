"""What stands in a data set and is not used is named; names are read as people mean them."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldseg.data.cases import Found, find_cases, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.layouts import pairs

STEP = Preprocessing(size=(16, 16))


def photo(path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).save(path, **options)
    return path


def mask(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.arange(48).reshape(6, 8) % 2).astype(np.uint8) * 255).save(path)
    return path


def labels(found: Found) -> dict[str, str | None]:
    return {case.name: case.label and case.label.name for case in found.cases}


def test_what_is_not_used_is_named_once(tmp_path: Path) -> None:
    for name in ("a.png", "b.webp", "c.gif", "d.jp2", "f.JPG"):
        photo(tmp_path / "Image" / name)
    photo(tmp_path / "Image" / "e.jfif", format="JPEG")
    mask(tmp_path / "Label" / "a_label.gif")
    folder = tmp_path / "Image"
    for name in ("h.heic", "i.czi", "notes.txt", "Thumbs.db", "README"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "Label" / "b.xcf").write_bytes(b"x")
    (folder / "g.png").symlink_to("/gone/g.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    photo(folder / "sub" / "x.png")
    os.mkfifo(folder / "pipe.png")
    found = find_cases(tmp_path)
    assert labels(found) == {"a": "a_label.gif", "b": None, "c": None, "d": None, "e": None, "f": None}
    assert found.problems == (
        f"{folder}: not used: g.png (a link that leads nowhere), h.heic (of no type that is read),"
        " i.czi (of no type that is read), loop.png (a link that leads nowhere), pipe.png (a pipe or a device),"
        " sub (a folder)",
        f"{tmp_path / 'Label'}: not used: b.xcf (of no type that is read)",
    )
    for case in found.cases:
        assert load_case(case, STEP).size == (6, 8)


def test_a_folder_that_links_to_itself(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png")
    (tmp_path / "images" / "again").symlink_to(tmp_path)
    (tmp_path / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "images" / "b.heic").write_bytes(b"x")
    os.mkfifo(tmp_path / "images" / "pipe.png")
    found = find_cases(tmp_path)
    assert labels(found) == {"a": "a.png"}
    assert found.problems == (
        f"{tmp_path}: not used: images/b.heic (of no type that is read), images/gone.png (a link that leads nowhere),"
        " images/pipe.png (a pipe or a device)",
    )


@pytest.mark.parametrize("folder", ["busi/benign", "Dataset_BUSI_with_GT/benign", "S", "Image"])
def test_masks_beside_their_images(tmp_path: Path, folder: str) -> None:
    for number in (1, 2):
        photo(tmp_path / folder / f"benign ({number}).png")
        mask(tmp_path / folder / f"benign ({number})_mask.png")
    mask(tmp_path / folder / "benign (2)_mask_1.png")
    for training in (False, True):
        found = find_cases(tmp_path, training=training)
        assert labels(found) == {"benign (1)": "benign (1)_mask.png", "benign (2)": "benign (2)_mask.png"}
        image = tmp_path / folder / "benign (2).png"
        wanted = f"{image}: 2 masks beside it, used benign (2)_mask.png; not used: benign (2)_mask_1.png"
        assert found.problems == (wanted,)


@pytest.mark.parametrize(
    "end", ["_gt", "-mask", ".mask", " seg", "_GT", "_groundtruth", "_annotation", "_manual1", "_masks"]
)
def test_other_words_for_a_mask(tmp_path: Path, end: str) -> None:
    """Beside its image, and in a folder for labels."""
    for name in ("a.b", "c"):
        photo(tmp_path / "Beside" / f"{name}.png")
        mask(tmp_path / "Beside" / f"{name}{end}.png")
        photo(tmp_path / "Apart" / "Image" / f"{name}.png")
        mask(tmp_path / "Apart" / "Label" / f"{name}{end}.png")
    for folder in ("Beside", "Apart"):
        assert labels(find_cases(tmp_path / folder)) == {"a.b": f"a.b{end}.png", "c": f"c{end}.png"}


def test_masks_beside_images_that_have_labels(tmp_path: Path) -> None:
    """The labels in their folder count; and what has a label is an image, whatever its name."""
    for name in ("a.png", "a_mask.png", "b.png", "b_mask.png"):
        photo(tmp_path / "Image" / name)
    for name in ("a_label.png", "b_label.png", "b_mask_label.png"):
        mask(tmp_path / "Label" / name)
    found = find_cases(tmp_path)
    assert labels(found) == {"a": "a_label.png", "b": "b_label.png", "b_mask": "b_mask_label.png"}
    assert found.problems == (f"{tmp_path / 'Image'}: not used, as Label has labels of their images: a_mask.png",)


def test_words_inside_words_say_nothing(tmp_path: Path) -> None:
    for name in ("colon", "intestine", "contest", "latest", "invalid", "restrained", "testis_us", "protest"):
        photo(tmp_path / "all" / name / f"{name}.png")
        mask(tmp_path / "all" / name / "masks" / f"{name}.png")
    for training in (False, True):
        assert len(find_cases(tmp_path / "all", training=training).cases) == 8


@pytest.mark.parametrize(
    ("training", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training_Data", "Validation_Data", "Test_Data"),
        ("TrainDataset", "ValDataset", "TestDataset"),
        ("trainset1", "valid_2", "testing"),
        ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1-2_Test_Input"),
        ("TRAIN", "VAL", "TEST"),
        ("trainimages", "valimages", "testimages"),
    ],
)
def test_words_that_say_what_is_for_what(tmp_path: Path, training: str, validation: str, test: str) -> None:
    for name, part in (("a", training), ("b", validation), ("c", test)):
        photo(tmp_path / part / "images" / f"{name}.png")
        mask(tmp_path / part / "masks" / f"{name}.png")
    assert list(labels(find_cases(tmp_path, training=True))) == ["a"]
    assert list(labels(find_cases(tmp_path))) == ["c"]


@pytest.mark.parametrize("folders", [("Image", "Label"), ("images", "masks")])
def test_names_in_two_unicode_forms(tmp_path: Path, folders: tuple[str, str]) -> None:
    name = "caf\u00e9"
    photo(tmp_path / folders[0] / f"{name}.png")
    mask(tmp_path / folders[1] / f"{unicodedata.normalize('NFD', name)}_label.png")
    for pattern in ("*", name, unicodedata.normalize("NFD", name)):
        found = find_cases(tmp_path, (pattern,))
        (case,) = found.cases
        assert case.name == name
        assert case.label is not None
        assert found.problems == ()
        assert load_case(case, STEP).label is not None


def test_tables_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "Image" / "a.png")
    (tmp_path / "patients.csv").write_text("name,patient\na,1\na,1\na,2\n")
    with pytest.raises(DataError, match=r"patients\.csv: a has two patients, 1 and 2; expected one"):
        find_cases(tmp_path)
    (tmp_path / "patients.csv").write_text("name,patient\na," + "x" * 200000)
    with pytest.raises(DataError, match=r"patients\.csv: not a table of CSV: field larger than field limit"):
        find_cases(tmp_path)
    monkeypatch.setattr(pairs, "MOST_TABLE", 100)
    with pytest.raises(DataError, match=r"patients\.csv: a table of more than 0 MiB, which is not read"):
        find_cases(tmp_path)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    try:
        photo(Path(os.fsdecode(os.fsencode(tmp_path / "Image") + b"/caf\xe9.png")), format="PNG")
    except OSError:
        pytest.skip("this file system takes no such name")
    (case,) = find_cases(tmp_path).cases
    assert load_case(case, STEP).size == (6, 8)


@pytest.mark.parametrize("name", ["Labels", "GT", "ground_truth", "Masks"])
@pytest.mark.parametrize("layout", [("Image", "Label"), ("imagesTr", "labelsTr")])
def test_masks_in_a_folder_of_another_name(tmp_path: Path, layout: tuple[str, str], name: str) -> None:
    images, wanted = layout
    photo(tmp_path / images / "a.png")
    mask(tmp_path / name / "a.png")
    found = find_cases(tmp_path)
    assert found.problems == (f"{tmp_path}: not used: {name} (labels are expected in {wanted})",)
    mask(tmp_path / wanted / "a.png")
    found = find_cases(tmp_path)
    assert found.problems == () and labels(found)["a"] is not None


@pytest.mark.parametrize(
    ("content", "code"), [("name;patient\na;P1\n", "utf-8-sig"), ("sep=;\rname;patient\ra;P1\r", "utf-16")]
)
def test_tables_of_patients_as_spreadsheets_write_them(tmp_path: Path, content: str, code: str) -> None:
    photo(tmp_path / "Image" / "a.png")
    (tmp_path / "patients.csv").write_bytes(content.encode(code))
    assert [case.group for case in find_cases(tmp_path).cases] == ["P1"]


def test_tables_of_patients_that_list_files(tmp_path: Path) -> None:
    photo(tmp_path / "Image" / "a.b.png")
    photo(tmp_path / "Image" / "c.png")
    (tmp_path / "patients.csv").write_text("name,patient\na.b.png,P1\nc,P2\n", "utf-8")
    assert [case.group for case in find_cases(tmp_path).cases] == ["P1", "P2"]
