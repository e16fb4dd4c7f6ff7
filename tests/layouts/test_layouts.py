"""Data sets as they are downloaded, in tiny: what is found, and what comes out of it."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from ldseg.cli import main
from ldseg.data.cases import Case, find_cases, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.data.splits import split_by_group
from ldseg.errors import DataError
from ldseg.io.pictures import write_mask
from ldseg.io.scans import read_scan, read_scan_label, write_scan_mask
from ldseg.weights import read_description

ROOT = Path(__file__).parents[2]
PLANE = Preprocessing(size=(16, 16))
SPACE = Preprocessing(
    size=(8, 8, 8), axes="ZYX", channels=4, intensity="zscore", classes=("background", "tumour"),
    label_map=((0, 0), (1, 1), (2, 1), (4, 1)),
)  # fmt: skip
GRID = (6, 5, 4)


def photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)).save(path)
    return path


def mask(path: Path, *values: int) -> Path:
    """Three columns of 0, 128 and 255 (or what is given)."""
    columns = np.array(values or (0, 128, 255), np.uint8)
    return write_mask(path, np.tile(columns[np.arange(8) * len(columns) // 8], (6, 1)))


def names(cases: tuple[Case, ...]) -> list[str]:
    return [case.name for case in cases]


def pairs(folder: Path, **options: bool) -> dict[str, str | None]:
    found = find_cases(folder, **options)
    assert found.problems == ()
    return {case.name: case.label and str(case.label.relative_to(folder)) for case in found.cases}


# ---- DDTI


def test_images_of_one_ddti_case_stay_together(tmp_path: Path) -> None:
    ids = ["101_1(1)", "101_1(2)", "102_1", "102_2", "11_3"]
    for name in ids:
        write_mask(tmp_path / "Image" / f"{name}.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
        write_mask(tmp_path / "Label" / f"{name}.png", np.zeros((8, 8), np.uint8))
    found = find_cases(tmp_path, training=True).cases
    assert {case.name: case.group for case in found} == {name: name.split("_")[0] for name in ids}
    for seed in range(8):
        training, validation = split_by_group(found, 0.4, seed)
        assert {case.group for case in training}.isdisjoint(case.group for case in validation)


def test_names_that_are_not_those_of_ddti_say_nothing_of_patients(tmp_path: Path) -> None:
    for name in ("1_1", "1_2"):
        write_mask(tmp_path / "Image" / f"{name}.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert [case.group for case in find_cases(tmp_path).cases] == ["1_1", "1_2"]


# ---- ISIC


def isic(folder: Path, year: str) -> None:
    images, masks, end = {
        "2016": ("ISBI2016_ISIC_Part1_{}_Data", "ISBI2016_ISIC_Part1_{}_GroundTruth", "Segmentation"),
        "2018": ("ISIC2018_Task1-2_{}_Input", "ISIC2018_Task1_{}_GroundTruth", "segmentation"),
    }[year]
    for part, name in (("Training", "ISIC_0000000"), ("Training", "ISIC_0000001"), ("Test", "ISIC_0000003")):
        photo(folder / images.format(part) / f"{name}.jpg")
        mask(folder / masks.format(part) / f"{name}_{end}.png", 0, 255)


@pytest.mark.parametrize("year", ["2016", "2018"])
def test_isic_in_paired_folders(tmp_path: Path, year: str) -> None:
    isic(tmp_path, year)
    (tmp_path / "ISIC_metadata.csv").write_text("image_id,age\nISIC_0000000,50\n")
    photo(next(tmp_path.glob("*_Training_[DI]*")) / "ISIC_0000000_superpixels.png")
    found = pairs(tmp_path, training=True)
    assert list(found) == ["ISIC_0000000", "ISIC_0000001"]
    assert all(label is not None and "_Training_GroundTruth" in label for label in found.values())
    assert list(pairs(tmp_path)) == ["ISIC_0000003"]
    loaded = load_case(find_cases(tmp_path).cases[0], PLANE)
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.label, np.arange(8)[np.newaxis].repeat(6, 0) >= 4)


@pytest.mark.parametrize("above", [True, False])
def test_isic_by_its_tables(tmp_path: Path, above: bool) -> None:
    """Of the columns of MedSegDiff, or of names alone; what is not in a table is not taken."""
    isic(tmp_path, "2016")
    for part, numbers in (("Training", (1,)), ("Test", (3,))):
        folders = [f"ISBI2016_ISIC_Part1_{part}_{end}/" if above else "" for end in ("Data", "GroundTruth")]
        rows = [f"{n},{folders[0]}ISIC_000000{n}.jpg,{folders[1]}ISIC_000000{n}_Segmentation.png" for n in numbers]
        (tmp_path / f"ISBI2016_ISIC_Part1_{part}_GroundTruth.csv").write_text("\n".join([",img,seg", *rows]))
    assert list(pairs(tmp_path, training=True)) == ["ISIC_0000001"]
    assert pairs(tmp_path) == {"ISIC_0000003": "ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000003_Segmentation.png"}


@pytest.mark.parametrize("title", ["Skin; 2016", "# images | masks", '"Skin, 2016"'])
def test_a_title_above_a_table(tmp_path: Path, title: str) -> None:
    """What parts its words does not part the cells."""
    isic(tmp_path, "2016")
    (tmp_path / "Training.csv").write_text(f"{title}\nISIC_0000001.jpg,ISIC_0000001_Segmentation.png\n")
    assert list(pairs(tmp_path, training=True)) == ["ISIC_0000001"]


def test_a_table_that_is_wrong(tmp_path: Path) -> None:
    isic(tmp_path, "2016")
    table = tmp_path / "Training.csv"
    table.write_text("image,mask\nISIC_0000000.jpg,none.png\nISIC_0000001.jpg,ISIC_0000001_Segmentation.png\n")
    found = find_cases(tmp_path, training=True)
    assert names(found.cases) == ["ISIC_0000001"]
    assert found.problems == (f"{table}: row 2: expected one file none.png, found none",)
    photo(tmp_path / "elsewhere" / "ISIC_0000000.jpg")
    assert f"{table}: row 2: expected one file ISIC_0000000.jpg, found 2" in find_cases(tmp_path, training=True).problems
    (tmp_path / "elsewhere" / "ISIC_0000000.jpg").unlink()
    table.write_text("image,mask\nISIC_0000001.jpg,ISIC_0000001_Segmentation.png\nISIC_0000000.jpg,lost\n")
    found = find_cases(tmp_path, training=True)
    assert names(found.cases) == ["ISIC_0000001"]
    assert found.problems == (f"{table}: row 3: expected the files of an image and its mask, found ISIC_0000000.jpg",)
    table.write_text("image,mask\nlost.jpg,lost.png\n")
    with pytest.raises(DataError, match=r"Training\.csv: row 2: expected one file lost\.jpg, found none"):
        find_cases(tmp_path)
    table.write_bytes("image,größe\nISIC_0000000.jpg,50\n".encode("latin-1"))
    (tmp_path / "._Training.csv").write_bytes(b"\xff\xfe\x00")
    assert list(pairs(tmp_path, training=True)) == ["ISIC_0000000", "ISIC_0000001"]


# ---- Fundus images


def test_the_optic_cup_of_refuge(tmp_path: Path) -> None:
    for kind, name in (("Glaucoma", "g0001"), ("Non-Glaucoma", "n0001")):
        photo(tmp_path / "Training400" / kind / f"{name}.jpg")
        mask(tmp_path / "Annotation-Training400" / "Disc_Cup_Masks" / kind / f"{name}.bmp")
    photo(tmp_path / "REFUGE-Validation400" / "V0001.jpg")
    mask(tmp_path / "REFUGE-Validation400-GT" / "Disc_Cup_Masks" / "V0001.bmp")
    assert list(pairs(tmp_path, training=True)) == ["g0001", "n0001"]
    assert pairs(tmp_path) == {"V0001": "REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.bmp"}
    case = find_cases(tmp_path).cases[0]
    columns = np.arange(8) * 3 // 8
    for classes, label_map, expected in (
        (("background", "disc", "cup"), ((255, 0), (128, 1), (0, 2)), 2 - columns),
        (("background", "cup"), ((255, 0), (128, 0), (0, 1)), columns == 0),
    ):
        label = load_case(case, replace(PLANE, classes=classes, label_map=label_map)).label
        assert label is not None
        np.testing.assert_array_equal(label[0], expected)


def test_paired_folders_of_no_part(tmp_path: Path) -> None:
    """Both ways; what a run has written among them is not taken for images."""
    for name in ("a", "b"):
        photo(tmp_path / "images" / f"{name}.png")
        photo(tmp_path / "Segmentation" / f"{name}.png")
        photo(tmp_path / "another" / "Robustness" / f"{name}.png")
        photo(tmp_path / "elsewhere" / "Overlay" / f"{name}.png")
    (tmp_path / "elsewhere" / "metrics.json").write_text("{}")
    mask(tmp_path / "masks" / "b_mask.png")
    expected = {"a": None, "b": "masks/b_mask.png"}
    assert pairs(tmp_path) == expected
    assert names(find_cases(tmp_path, training=True).cases) == ["b"]
    orphan = mask(tmp_path / "masks" / "c.png")
    assert find_cases(tmp_path).problems == (f"{orphan}: label without image, expected an image named c",)
    (tmp_path / "images").rename(tmp_path / "test images")
    with pytest.raises(DataError, match="training takes no folder or table for test"):
        find_cases(tmp_path, training=True)


def test_the_folders_of_voc(tmp_path: Path) -> None:
    photo(tmp_path / "JPEGImages" / "a.jpg")
    mask(tmp_path / "SegmentationClass" / "a.png")
    assert pairs(tmp_path) == {"a": "SegmentationClass/a.png"}


def test_two_images_of_one_name_in_several_folders(tmp_path: Path) -> None:
    for place in ("one", "two"):
        photo(tmp_path / "images" / place / "a.png")
    with pytest.raises(DataError, match=r"two/a\.png: two images of one name, the other is .*one/a\.png"):
        find_cases(tmp_path)


# ---- Brain tumours


def volume(path: Path, values: np.ndarray) -> Path:
    """x is 4, y 5, z 6 long, and it lies oblique."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(values, isVector=False)
    if values.ndim == 3:
        turn = np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1.0]])
        image.SetDirection(turn.ravel().tolist())
    image.SetSpacing([1.0, 1.5, 2.0, 1.0][: values.ndim])
    image.SetOrigin([-3.0, 7.0, 11.0, 0.0][: values.ndim])
    sitk.WriteImage(image, str(path))
    return path


def sequences(seed: int = 0) -> np.ndarray:
    """Four volumes of 12 bits, each of another range, and darkness around."""
    rng = np.random.default_rng(seed)
    values = np.stack([rng.integers(0, most, GRID) for most in (400, 4000, 100, 900)]).astype(np.int16)
    values[:, 0] = 0
    return values


def tumour() -> np.ndarray:
    label = np.zeros(GRID, np.uint8)
    label[2, 1:4, 1:3], label[3, 2, 2], label[4, 2, 2] = 2, 1, 4
    return label


OLD, NEW = ("flair", "t1", "t1ce", "t2"), ("t2f", "t1n", "t1c", "t2w")


def brats(folder: Path, name: str, kinds: tuple[str, ...] = OLD, seed: int = 0, label: bool = True) -> Path:
    mark = "_" if kinds == OLD else "-"
    for kind, values in zip(kinds, sequences(seed), strict=False):
        volume(folder / name / f"{name}{mark}{kind}.nii.gz", values)
    if label:
        volume(folder / name / f"{name}{mark}seg.nii.gz", tumour())
    return folder / name


@pytest.mark.parametrize(("name", "kinds"), [("BraTS20_Training_001", OLD), ("BraTS-GLI-00002-000", NEW)])
def test_a_brats_case_has_four_channels(tmp_path: Path, name: str, kinds: tuple[str, ...]) -> None:
    brats(tmp_path / "TrainingData", name, kinds)
    (case,) = find_cases(tmp_path, axes="ZYX", training=True).cases
    assert case.name == name
    assert [path.name[len(name) + 1 :] for path in (case.image, *case.channels)] == [f"{kind}.nii.gz" for kind in kinds]
    loaded = load_case(case, SPACE)
    assert (loaded.image.shape, loaded.image.dtype) == ((*GRID, 4), np.float32)
    for found, values in zip(np.moveaxis(loaded.image, -1, 0), sequences().astype(float), strict=True):
        np.testing.assert_allclose(found, np.clip((values - values.mean()) / values.std() / 8 + 0.5, 0, 1), atol=1e-5)
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.label, tumour() > 0)
    kept = replace(SPACE, classes=("background", "core", "oedema", "active"), label_map=((0, 0), (1, 1), (2, 2), (4, 3)))
    label = load_case(case, kept).label
    assert label is not None
    np.testing.assert_array_equal(label, np.where(tumour() == 4, 3, tumour()))
    written = write_scan_mask(tmp_path, name, loaded.label, like=case.image, geometry=loaded.geometry)
    assert written.name == f"{name}_segmentation.nii.gz"
    assert read_scan(written, "ZYX").geometry == read_scan(case.image, "ZYX").geometry


def test_times_of_one_brats_patient_stay_together(tmp_path: Path) -> None:
    for name in ("BraTS-GLI-00002-000", "BraTS-GLI-00002-001", "BraTS-GLI-00003-000"):
        brats(tmp_path, name, NEW)
    groups = [case.group for case in find_cases(tmp_path, axes="ZYX").cases]
    assert groups == ["BraTS-GLI-00002", "BraTS-GLI-00002", "BraTS-GLI-00003"]


def test_brats_cases_that_are_wrong(tmp_path: Path) -> None:
    brats(tmp_path, "BraTS20_Training_001")
    lacking = brats(tmp_path, "BraTS20_Training_002", OLD[:3], label=False)
    found = find_cases(tmp_path, axes="ZYX")
    assert names(found.cases) == ["BraTS20_Training_001"]
    assert found.problems == (f"{lacking}: expected flair, t1, t1ce, t2, found flair, t1, t1ce",)
    case = found.cases[0]
    volume(case.channels[1], sequences()[0][:, 1:])
    with pytest.raises(DataError, match=r"t1ce\.nii\.gz: expected one channel of size 6×5×4 .*, found 1 of size 6×4×4"):
        load_case(case, SPACE)
    volume(case.channels[1], np.ones(GRID, np.int16))
    with pytest.raises(DataError, match=r"flair\.nii\.gz \(channel 3 of 4\): constant image"):
        load_case(case, SPACE)
    moved = sitk.ReadImage(str(case.channels[2]))
    moved.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(moved, str(case.channels[1]))
    with pytest.raises(DataError, match=r"t1ce\.nii\.gz: channel of origin .* as in .*flair"):
        load_case(case, SPACE)
    with pytest.raises(DataError, match=r"flair\.nii\.gz: expected an image of 4 channels, found 1"):
        load_case(replace(case, channels=()), SPACE)
    with pytest.raises(DataError, match=r"expected an image of 1 channels, found 3"):
        load_case(replace(case, channels=case.channels[::2]), replace(SPACE, channels=1))


def test_channels_in_the_last_axis_or_by_number(tmp_path: Path) -> None:
    """The Decathlon's and nnU-Net's way, with the same outcome."""
    volume(tmp_path / "a" / "imagesTr" / "BRATS_001.nii.gz", sequences())
    volume(tmp_path / "b" / "imagesTr" / "BRATS_001_0000.nii.gz", sequences()[0])
    for index in range(4):
        one = sitk.ReadImage(str(tmp_path / "a" / "imagesTr" / "BRATS_001.nii.gz"))[..., index]
        sitk.WriteImage(one, str(tmp_path / "b" / "imagesTr" / f"BRATS_001_000{index}.nii.gz"))
    loaded = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        (folder / "labelsTr").mkdir()
        label = sitk.GetImageFromArray(tumour())
        label.CopyInformation(one)
        sitk.WriteImage(label, str(folder / "labelsTr" / "BRATS_001.nii.gz"))
        (case,) = find_cases(folder, axes="ZYX", training=True).cases
        loaded.append(load_case(case, SPACE))
        written = write_scan_mask(folder, "a", loaded[-1].label, like=case.image, geometry=loaded[-1].geometry)
        assert read_scan(written, "ZYX").values.shape == (*GRID, 1)
        assert sitk.ReadImage(str(written)).GetOrigin() == one.GetOrigin()
    np.testing.assert_array_equal(loaded[0].image, loaded[1].image)
    np.testing.assert_array_equal(loaded[0].label, loaded[1].label)
    with pytest.raises(DataError, match="colour|plane|expected"):
        load_case(replace(case, label=tmp_path / "a" / "imagesTr" / "BRATS_001.nii.gz"), SPACE)


def test_numbers_that_are_no_channels(tmp_path: Path) -> None:
    for index in range(3):
        volume(tmp_path / "imagesTs" / f"scan_000{index}.nii.gz", sequences()[index])
    assert names(find_cases(tmp_path, axes="ZYX").cases) == ["scan_0000", "scan_0001", "scan_0002"]
    volume(tmp_path / "imagesTr" / "scan_0003.nii.gz", sequences()[3])
    volume(tmp_path / "labelsTr" / "scan_0003.nii.gz", tumour())
    assert names(find_cases(tmp_path, axes="ZYX").cases) == ["scan_0000", "scan_0001", "scan_0002"]


@pytest.mark.slow
def test_four_channels_from_training_to_masks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the command line, with what is left open chosen from the data; eagerly, as there are a few updates only."""
    compiled = keras.Model.compile
    monkeypatch.setattr(keras.Model, "compile", lambda *args, **options: compiled(*args, **{"run_eagerly": True, **options}))
    rng = np.random.default_rng(0)
    for number in range(4):
        name = f"BraTS20_Training_00{number + 1}"
        label = np.zeros((16, 20, 18), np.uint8)
        corner = rng.integers(2, 8, 3)
        label[tuple(slice(start, start + 6) for start in corner)] = 2
        label[tuple(slice(start + 2, start + 4) for start in corner)] = 4
        for kind, gain in zip(OLD, (300, 5, 50, 100), strict=True):
            values = rng.integers(0, 100, label.shape) + gain * (label > 0)
            volume(tmp_path / "Set" / name / f"{name}_{kind}.nii.gz", values.astype(np.int16))
        volume(tmp_path / "Set" / name / f"{name}_seg.nii.gz", label)
    settings = [
        f"Data.Root={tmp_path}", "Data.Dataset=Set", "Data.Dimensions=3D", "Data.Size=16,16,16", "Data.Intensity=zscore",
        "Data.Classes=background,tumour", "Data.LabelMap=0:0,1:1,2:1,4:1", "Model.Preset=small", "Parameters.Epoch=1",
        f"Model.Weights={tmp_path / 'weights'}", "Training.Workers=0", "Sampler.Sampling_Steps=2",
    ]  # fmt: skip
    arguments = ["--config", str(ROOT / "cfg.ini"), *(part for setting in settings for part in ("--set", setting))]
    assert main([*arguments, "--set", "Parameters.Training=True"]) == 0
    assert read_description(tmp_path / "weights").preprocessing.channels == 4
    assert main(arguments) == 0
    for case in find_cases(tmp_path / "Set", axes="ZYX").cases:
        written, geometry = read_scan_label(tmp_path / "Set" / "Segmentation" / f"{case.name}_segmentation.nii.gz", "ZYX")
        assert (written.shape, geometry) == ((16, 20, 18), read_scan(case.image, "ZYX").geometry)
        assert set(np.unique(written)) <= {0, 1}
        assert (tmp_path / "Set" / "Segmentation" / "Overlay" / f"{case.name}_overlay.png").is_file()
    assert "BraTS20_Training_004" in capsys.readouterr().out
