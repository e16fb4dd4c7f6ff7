import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ldseg.data.cases import Case, find_cases, load_annotations, load_case
from ldseg.data.intensity import scale_intensity
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError

STEP = Preprocessing(size=(16, 16))


def picture(path: Path, seed: int = 0, size: tuple[int, ...] = (6, 8, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8)).save(path)
    return path


def ids(path: Path, values: int = 3, size: tuple[int, int] = (6, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.arange(size[0] * size[1]).reshape(size) % values).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def ldseg_folder(tmp_path: Path) -> Path:
    for name in ("Case10.bmp", "Case2.png", "Case1.tif", "Other.jpg"):
        picture(tmp_path / "Image" / name)
    ids(tmp_path / "Label" / "Case1_label.png")
    ids(tmp_path / "Label" / "Case10_label.bmp")
    ids(tmp_path / "Label" / "Other.png")
    return tmp_path


@pytest.fixture
def contest_folder(tmp_path: Path) -> Path:
    for name in ("train_1", "train_2", "train_10", "testA_1"):
        picture(tmp_path / f"{name}.bmp")
        ids(tmp_path / f"{name}_anno.bmp")
    rows = [
        "name,patient ID, grade (GlaS)",
        "testA_1,4, benign",
        "train_1,7, benign",
        "train_10,7, malignant",
    ]
    (tmp_path / "Grade.csv").write_bytes("\r".join(rows).encode())
    return tmp_path


def test_ldseg_layout_pairs_by_name_in_natural_order(ldseg_folder: Path) -> None:
    found = find_cases(ldseg_folder)
    assert [case.name for case in found.cases] == ["Case1", "Case2", "Case10", "Other"]
    assert [case.label and case.label.name for case in found.cases] == [
        "Case1_label.png",
        None,
        "Case10_label.bmp",
        "Other.png",
    ]
    assert [case.group for case in found.cases] == ["Case1", "Case2", "Case10", "Other"]
    assert found.problems == ()


def test_patients_of_the_ldseg_layout(ldseg_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (ldseg_folder / "patients.csv").write_text("\ufeffName , Patient\nCase1,A\n\nCase2, A\nOther,B\n", "utf-8")
    groups = {case.name: case.group for case in find_cases(ldseg_folder).cases}
    assert groups == {"Case1": "A", "Case2": "A", "Case10": "Case10", "Other": "B"}
    assert "patient unknown" in caplog.text
    assert "Case10" in caplog.text


def test_contest_layout(contest_folder: Path) -> None:
    found = find_cases(contest_folder)
    assert [case.name for case in found.cases] == ["testA_1", "train_1", "train_2", "train_10"]
    assert all(case.label == contest_folder / f"{case.name}_anno.bmp" for case in found.cases)
    assert [case.group for case in found.cases] == ["4", "7", "train_2", "7"]
    training = find_cases(contest_folder, training=True)
    assert [case.name for case in training.cases] == ["train_1", "train_2", "train_10"]


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"])
def test_line_ends_of_the_table(contest_folder: Path, newline: str) -> None:
    (contest_folder / "Grade.csv").write_bytes(newline.join(["name,patient ID", "train_2,9", ""]).encode())
    assert {case.name: case.group for case in find_cases(contest_folder).cases}["train_2"] == "9"


def test_patterns_choose(contest_folder: Path) -> None:
    found = find_cases(contest_folder, ("train_1*", "testB_*"))
    assert [case.name for case in found.cases] == ["train_1", "train_10"]
    assert len(found.problems) == 1
    assert "testB_*" in found.problems[0]
    with pytest.raises(DataError, match=r"no case matches Case\*; there are testA_1, train_1"):
        find_cases(contest_folder, ("Case*",))


def test_a_label_without_image_is_reported(ldseg_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    orphan = ids(ldseg_folder / "Label" / "Case7_label.png")
    found = find_cases(ldseg_folder)
    assert len(found.cases) == 4
    assert found.problems == (f"{orphan}: label without image, expected an image named Case7",)
    assert found.problems[0] in caplog.text
    assert find_cases(ldseg_folder, ("Case1*",)).problems == ()


def test_a_label_without_image_in_the_contest_layout(contest_folder: Path) -> None:
    (contest_folder / "train_2.bmp").unlink()
    found = find_cases(contest_folder)
    assert [case.name for case in found.cases] == ["testA_1", "train_1", "train_10"]
    assert len(found.problems) == 1
    assert "train_2_anno.bmp" in found.problems[0]


def test_training_leaves_out_what_has_no_label(ldseg_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = find_cases(ldseg_folder, training=True)
    assert [case.name for case in found.cases] == ["Case1", "Case10", "Other"]
    assert "1 without label" in caplog.text
    shutil.rmtree(ldseg_folder / "Label")
    assert len(find_cases(ldseg_folder).cases) == 4
    with pytest.raises(DataError, match=r"needs labels, found none for .*; expected images in .*Image and Case1_label"):
        find_cases(ldseg_folder, training=True)


def test_pictures_alone_are_no_contest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png")
    with pytest.raises(DataError, match="needs labels, found none for a, b; expected images in .*Image and a_label"):
        find_cases(tmp_path, training=True)
    ids(tmp_path / "a_anno.png")
    with pytest.raises(DataError, match="training in the contest's layout takes train_"):
        find_cases(tmp_path, training=True)


def test_folders_that_cannot_be_used(tmp_path: Path, ldseg_folder: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        find_cases(tmp_path / "nowhere")
    (tmp_path / "empty" / "Image").mkdir(parents=True)
    for folder in (tmp_path / "empty", tmp_path / "empty" / "Image"):
        with pytest.raises(DataError, match=r"Image: no image found, expected files of type \.bmp"):
            find_cases(folder)


def test_two_images_of_one_name_do_not_stop_the_others(ldseg_folder: Path) -> None:
    picture(ldseg_folder / "Image" / "Case2.bmp")
    found = find_cases(ldseg_folder)
    assert [case.name for case in found.cases] == ["Case1", "Case10", "Other"]
    image = ldseg_folder / "Image" / "Case2.png"
    assert found.problems == (f"{image}: two images of one name, the other is Case2.bmp; expected one, none is used",)
    for path in (ldseg_folder / "Image").iterdir():
        if path.stem != "Case2":
            path.unlink()
    with pytest.raises(DataError, match=r"Case2\.png: two images of one name"):
        find_cases(ldseg_folder)


def test_two_labels_of_one_case_do_not_stop_the_others(ldseg_folder: Path) -> None:
    ids(ldseg_folder / "Label" / "Other_label.png")
    found = find_cases(ldseg_folder)
    assert {case.name: case.label is not None for case in found.cases}["Other"] is False
    (problem,) = found.problems
    assert "second label of case Other, the other is " in problem
    assert [case.name for case in find_cases(ldseg_folder, training=True).cases] == ["Case1", "Case10"]


def test_why_no_case_has_a_label(ldseg_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Labels that belong to no image, and several of one, are named where none is left."""
    for path in (ldseg_folder / "Label").iterdir():
        path.rename(path.with_name(f"mask_{path.name}"))
    with caplog.at_level(logging.WARNING), pytest.raises(DataError, match="training needs labels, found none for Case1"):
        find_cases(ldseg_folder, training=True)
    assert "label without image, expected an image named mask_Case1" in caplog.text


def test_several_annotators(ldseg_folder: Path) -> None:
    """In the order of their numbers; a label without a number goes before them."""
    for number in (10, 2):
        ids(ldseg_folder / "Label" / f"Case2_label_{number}.png", 2)
        ids(ldseg_folder / "Label" / f"Case1_label_{number}.png", 2)
    one, two, ten, _ = find_cases(ldseg_folder).cases
    for case in (one, two):
        assert [path.name for path in case.annotations] == [f"{case.name}_label_2.png", f"{case.name}_label_10.png"]
    assert (one.label, two.label) == (ldseg_folder / "Label" / "Case1_label.png", two.annotations[0])
    assert ten.annotations == ()
    given = load_annotations(two, load_case(two, STEP), STEP)
    assert (given.shape, given.dtype) == ((2, 6, 8), np.int32)
    np.testing.assert_array_equal(given[1], np.arange(48).reshape(6, 8) % 2)
    ids(two.annotations[1], 2, (8, 6))
    with pytest.raises(DataError, match="Case2_label_10.png: label of size 8×6, expected 6×8"):
        load_annotations(two, load_case(two, STEP), STEP)
    ids(ldseg_folder / "Label" / "Case2_label_2.bmp", 2)
    found = find_cases(ldseg_folder)
    assert [path.name for path in found.cases[1].annotations] == ["Case2_label_10.png"]
    assert any("two labels of one name" in problem for problem in found.problems)


def test_contest_folder_without_train(contest_folder: Path) -> None:
    for path in contest_folder.glob("train_*"):
        path.unlink()
    with pytest.raises(DataError, match=r"takes train_\* images"):
        find_cases(contest_folder, training=True)


def test_a_table_without_the_columns(contest_folder: Path) -> None:
    (contest_folder / "Grade.csv").write_text("case,grade\ntrain_1,benign\n")
    with pytest.raises(DataError, match=r"Grade\.csv: expected the columns name and patient .*found case, grade"):
        find_cases(contest_folder)


def test_files_of_other_kinds_are_passed_over(ldseg_folder: Path) -> None:
    (ldseg_folder / "Image" / "._Case1.tif").write_bytes(b"macOS")
    (ldseg_folder / "Image" / "notes.txt").write_text("")
    (ldseg_folder / "Image" / "folder.png").mkdir()
    assert len(find_cases(ldseg_folder).cases) == 4


def case_of(image: Path, label: Path | None = None) -> Case:
    return Case(name=image.stem, image=image, label=label, group=image.stem)


def test_a_case_is_loaded(tmp_path: Path) -> None:
    case = case_of(picture(tmp_path / "a.png"), ids(tmp_path / "a_label.png"))
    loaded = load_case(case, STEP)
    stored = np.asarray(Image.open(case.image))
    assert loaded.name == "a"
    assert loaded.size == (6, 8)
    assert loaded.image.dtype == np.float32
    np.testing.assert_allclose(loaded.image, stored / 255, atol=1e-6)
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.label, np.arange(48).reshape(6, 8) % 3 > 0)
    assert loaded.instances is not None
    np.testing.assert_array_equal(loaded.instances, np.arange(48).reshape(6, 8) % 3)
    alone = load_case(case_of(case.image), STEP)
    assert alone.label is alone.instances is None


def test_channels(tmp_path: Path) -> None:
    colour, gray = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", size=(6, 8))
    luma = load_case(case_of(colour), replace(STEP, channels=1)).image
    assert luma.shape == (6, 8, 1)
    np.testing.assert_allclose(luma[..., 0], np.asarray(Image.open(colour).convert("L")) / 255, atol=0.6 / 255)
    triple = load_case(case_of(gray), STEP).image
    assert triple.shape == (6, 8, 3)
    assert (triple == triple[..., :1]).all()


def test_bad_cases_name_the_file_and_what_was_expected(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png")
    Image.new("RGB", (8, 6), (9, 9, 9)).save(tmp_path / "constant.png")
    nan = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    nan[2, 3] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", nan)
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:90])
    wrong = {
        r"larger_label\.png: label of size 6×9, expected 6×8 as its image .*a\.png": case_of(
            image, ids(tmp_path / "larger_label.png", size=(6, 9))
        ),
        r"values_label\.png: label values 0, 4 do not fit": case_of(image, tmp_path / "values_label.png"),
        r"constant\.png: constant image, every value is 9": case_of(tmp_path / "constant.png"),
        r"nan\.tif: expected finite intensities, found 1 that": case_of(tmp_path / "nan.tif"),
        r"cut\.png: not a readable image": case_of(tmp_path / "cut.png"),
    }
    Image.fromarray((np.eye(6, 8) * 4).astype(np.uint8)).save(tmp_path / "values_label.png")
    for expected, case in wrong.items():
        with pytest.raises(DataError, match=expected):
            load_case(case, STEP)


def test_an_image_that_will_not_fit_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = case_of(picture(tmp_path / "a.png", size=(60, 80)))
    monkeypatch.setenv("LDSEG_READ_LIMIT", "1e-5")  # 10,737 bytes: enough to read it
    with pytest.raises(DataError, match=r"a\.png: 60×80 in 3 channels take .* GiB, more than the limit of 4e-05 GiB"):
        load_case(image, STEP)
    monkeypatch.setenv("LDSEG_READ_LIMIT", "2e-5")
    assert load_case(image, replace(STEP, channels=1)).image.shape == (60, 80, 1)


def test_intensities_by_type() -> None:
    ramp = np.array([[[0], [65535]]], np.uint16)
    assert scale_intensity(ramp, "dtype", "a").ravel().tolist() == [0, 1]
    assert scale_intensity((ramp // 257).astype(np.uint8), "dtype", "a").ravel().tolist() == [0, 1]
    assert scale_intensity(np.array([[[0.25], [0.5]]], np.float32), "dtype", "a").ravel().tolist() == [
        0.25,
        0.5,
    ]
    with pytest.raises(
        DataError,
        match="a: values from -1 to 700 that are no unsigned whole numbers of 8 or 16 bits, expected 0 to 1; save it with",
    ):
        scale_intensity(np.array([[[-1], [700]]], np.float32), "dtype", "a")


def test_intensities_by_percentile() -> None:
    values = np.random.default_rng(0).permutation(2000).reshape(20, 100, 1)
    # A 12-bit camera in a 16-bit file, with one hot pixel, and the same as floats around zero.
    stored = (values + 500).astype(np.uint16)
    stored[0, 0] = 65000
    scaled = scale_intensity(stored, "percentile", "a")
    assert scaled.dtype == np.float32
    assert scaled.min() == 0
    assert scaled.max() == 1
    assert 0.45 < np.median(scaled) < 0.55
    floats = scale_intensity(stored.astype(np.float32) - 1500, "percentile", "a")
    np.testing.assert_allclose(floats, scaled, atol=1e-5)


def test_a_nearly_constant_image_is_scaled_by_its_extremes() -> None:
    image = np.full((30, 30, 1), 100, np.uint8)
    image[4, 4] = 101
    assert np.unique(scale_intensity(image, "percentile", "a")).tolist() == [0, 1]


def test_reading_data_does_not_import_keras() -> None:
    modules = "ldseg.io.pictures, ldseg.data.cases, ldseg.data.labels, ldseg.data.splits, ldseg.data.preprocess"
    check = f"import sys, {modules}; sys.exit(bool({{'keras', 'tensorflow'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parents[2]).returncode == 0


def test_a_case_that_is_too_narrow_for_the_grid(tmp_path: Path) -> None:
    """By one factor along all axes it would be enlarged to thousands of tiles, for hours."""
    step = Preprocessing(size=(64, 64), fit="aspect")
    with pytest.raises(DataError, match=r"a\.png: 2×600 is too narrow, .* 32 times as large, as 64×19200 in tiles of 64×64"):
        load_case(case_of(picture(tmp_path / "a.png", size=(2, 600, 3))), step)
    assert load_case(case_of(picture(tmp_path / "b.png", size=(2, 40, 3))), step).size == (2, 40)
    assert load_case(case_of(picture(tmp_path / "c.png", size=(8, 900, 3))), step).size == (8, 900)
    assert load_case(case_of(tmp_path / "a.png"), Preprocessing(size=(64, 64))).size == (2, 600)
    wide = tmp_path / "d.nrrd"
    head = "NRRD0005\ntype: uint8\ndimension: 3\nsizes: 5 4 3\nencoding: raw\nspacings: 9000 9000 9000\n\n"
    wide.write_bytes(head.encode() + bytes(range(60)))
    tiles = Preprocessing(size=(8, 8, 8), axes="ZYX", channels=1, intensity="minmax", fit="tile", spacing=(1, 1, 1))
    with pytest.raises(DataError, match=r"d\.nrrd: its grid: 27000×36000×45000 in 1 channels take"):
        load_case(case_of(wide), tiles)
