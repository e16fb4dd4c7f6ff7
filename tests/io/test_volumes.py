import gzip
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from ldseg.data.cases import Case, find_cases, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.io.geometry import Geometry
from ldseg.io.scans import find_scans, read_scan, read_scan_label, write_scan_map, write_scan_mask

SIZE = (5, 7, 9)  # z, y, x
STEP = Preprocessing(size=(8, 8, 8), axes="ZYX", channels=1, intensity="zscore", classes=("background", "organ"))
FORMATS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def turn(seed: int) -> np.ndarray:
    """A random direction matrix; every other one is left-handed."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * (np.sign(np.linalg.det(q)) * (1, -1)[seed % 2])


def image_of(values: np.ndarray, seed: int = 0) -> sitk.Image:
    rng = np.random.default_rng([9, seed])
    image = sitk.GetImageFromArray(values, isVector=values.ndim == 4)
    image.SetSpacing((0.7, 0.45, 2.5) if seed == 0 else rng.uniform(0.2, 5, 3).tolist())
    image.SetOrigin(rng.uniform(-200, 200, 3).tolist())
    image.SetDirection(turn(seed).ravel().tolist())
    return image


def values_of(kind: type = np.uint8, *, size: tuple[int, ...] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, size).astype(kind)


def store(path: Path, values: np.ndarray, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image_of(values, seed), str(path))
    return path


def store_dicom(folder: Path, count: int = 6, series: str = "1.2.3.4", prefix: str = "", tilt: int = 0) -> Path:
    """A series of slices whose names are not in the order of their places."""
    folder.mkdir(parents=True, exist_ok=True)
    volume = image_of(values_of(np.int16, size=(count, 8, 9)) - 100, tilt)
    direction = np.array(volume.GetDirection()).reshape(3, 3)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z in range(count):
        plane = volume[:, :, z]
        tags = {
            "0008|0018": f"{series}.9.{z}",
            "0008|0060": "CT",
            "0020|000d": "1.2.3",
            "0020|000e": series,
            "0020|0013": str(z + 1),
            "0020|0032": "\\".join(f"{v:.8f}" for v in volume.TransformIndexToPhysicalPoint((0, 0, z))),
            "0020|0037": "\\".join(f"{v:.10f}" for v in direction[:, :2].T.ravel()),
        }
        for key, value in tags.items():
            plane.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{prefix}{(z * 5) % count}.dcm"))
        writer.Execute(plane)
    return folder


def as_case(image: Path, label: Path | None = None) -> Case:
    return Case(name="a", image=image, label=label, group="a")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("seed", range(12))
def test_a_mask_lies_where_its_image_lies(tmp_path: Path, suffix: str, seed: int) -> None:
    path = store(tmp_path / f"scan.7{suffix}", values_of(np.int16), seed)
    scan = read_scan(path, "ZYX")
    assert scan.values.dtype == np.float32
    np.testing.assert_array_equal(scan.values[..., 0], values_of())
    assert scan.geometry is not None
    assert scan.geometry.array_spacing == scan.geometry.spacing[::-1]
    mask = values_of() % 4
    written = write_scan_mask(tmp_path / "out", "scan.7", mask, like=path, geometry=scan.geometry)
    kept = {".nhdr": ".nrrd", ".mhd": ".mha"}.get(suffix, suffix)
    assert written == tmp_path / "out" / f"scan.7_segmentation{kept}"
    assert [entry.name for entry in written.parent.iterdir()] == [written.name]
    label, geometry = read_scan_label(written, "ZYX")
    np.testing.assert_array_equal(label, mask)
    assert geometry == scan.geometry  # bit by bit
    assert sitk.ReadImage(str(written)).GetPixelID() == sitk.sitkUInt8
    same_for_others(path, written, mask)


def same_for_others(image: Path, written: Path, values: np.ndarray) -> None:
    """SimpleITK, which shares no code with the project, finds the mask where it finds the image."""
    source, target = sitk.ReadImage(str(image)), sitk.ReadImage(str(written))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(target), values)
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(target, name)(), getattr(source, name)(), rtol=1e-6, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("seed", range(3))
def test_a_map_lies_where_its_image_lies(tmp_path: Path, suffix: str, seed: int) -> None:
    path = store(tmp_path / f"scan.7{suffix}", values_of(np.int16), seed)
    geometry = read_scan(path, "ZYX").geometry
    values = np.random.default_rng(seed).random(SIZE)
    written = write_scan_map(tmp_path / "out", "scan.7", "entropy", values, like=path, geometry=geometry)
    assert written.name == f"scan.7_entropy{ {'.nhdr': '.nrrd', '.mhd': '.mha'}.get(suffix, suffix) }"
    assert [entry.name for entry in written.parent.iterdir()] == [written.name]
    scan = read_scan(written, "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], values.astype(np.float32))
    assert scan.geometry == geometry  # bit by bit
    assert sitk.ReadImage(str(written)).GetPixelID() == sitk.sitkFloat32


def test_maps_of_flat_images_and_videos(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(SIZE).astype(np.float32)
    frames = tmp_path / "video"
    frames.mkdir()
    tifffile.imwrite(frames / "a.tif", values_of(size=SIZE[1:]))
    for like in (tmp_path / "a.avi", frames):
        written = write_scan_map(tmp_path, "video.1", "variance", values, like=like)
        assert written.name == "video.1_variance.tif"
        np.testing.assert_array_equal(read_scan(written, "TYX").values[..., 0], values)
    written = write_scan_map(tmp_path, "flat", "variance", values[0], like=tmp_path / "flat.jpg")
    assert written.name == "flat_variance.tif"
    np.testing.assert_array_equal(read_scan(written, "YX").values[..., 0], values[0])
    assert tifffile.imread(written).dtype == np.float32


def test_a_map_is_finite_numbers(tmp_path: Path) -> None:
    for values in (np.full((4, 4), np.nan), np.zeros((4, 4), int), np.zeros((0, 4))):
        with pytest.raises(DataError, match="a map must be finite numbers"):
            write_scan_map(tmp_path, "a", "entropy", values, like=tmp_path / "a.png")


@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 1), (1, 2), (2, 4)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_keeps_the_numbers_of_its_header(tmp_path: Path, qform: int, sform: int, order: str) -> None:
    """As other programs write them: one form only, forms that differ, axes along the world's, the other byte order."""
    content = bytearray(store(tmp_path / "a.nii", values_of()).read_bytes())
    struct.pack_into("<2h", content, 252, qform, sform)
    struct.pack_into("<f", content, 288, struct.unpack_from("<f", content, 288)[0] * (1 + 3e-7))
    if order == ">":
        pieces = "i10s18sih2s8h3f4h8f3fhbB4f2i104s2h6f12f16s4s"
        content[:348] = struct.pack(f">{pieces}", *struct.unpack(f"<{pieces}", content[:348]))
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(bytes(content)))
    scan = read_scan(path, "ZYX")
    written = write_scan_mask(tmp_path, "b", values_of() % 3, like=path, geometry=scan.geometry)
    assert read_scan_label(written, "ZYX")[1] == scan.geometry


def test_nrrd_of_other_spaces(tmp_path: Path) -> None:
    content = store(tmp_path / "a.nrrd", values_of(), 3).read_bytes()
    for other in (b"right-anterior-superior", b"left-anterior-superior"):
        path = tmp_path / f"{other.decode()}.nrrd"
        path.write_bytes(content.replace(b"left-posterior-superior", other))
        scan = read_scan(path, "ZYX")
        written = write_scan_mask(tmp_path / "out", "a", values_of() % 3, like=path, geometry=scan.geometry)
        assert read_scan_label(written, "ZYX")[1] == scan.geometry


@pytest.mark.parametrize("space", ["right-anterior-superior-time", "RAST"])
def test_nrrd_of_space_and_time(tmp_path: Path, space: str) -> None:
    head = (
        f"NRRD0005\ntype: uint8\ndimension: 4\nsizes: 5 4 3 1\nencoding: raw\nspace: {space}\n"
        "space directions: (1,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,1)\nspace origin: (4,5,6,0)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + bytes(60))
    geometry = read_scan(tmp_path / "a.nrrd", "ZYX").geometry
    assert geometry is not None
    assert geometry.origin[:3] == (-4, -5, 6)
    assert (geometry.direction[0], geometry.direction[5], geometry.direction[10]) == (-1, -1, 1)


def test_a_nrrd_whose_voxels_lie_in_a_file_called_like_a_list(tmp_path: Path) -> None:
    head = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: {2} {1} {0}\nencoding: raw\n{3}: {4}\n"
    values = values_of()
    for key, name in (("data file", "Listed_001.raw"), ("DataFile", "LIST.raw"), ("datafile", "list")):
        (tmp_path / name).write_bytes(values.tobytes())
        (tmp_path / "a.nhdr").write_text(head.format(*SIZE, key.lower(), name))
        np.testing.assert_array_equal(read_scan(tmp_path / "a.nhdr", "ZYX").values[..., 0], values)
    for name in ("LIST", "LIST 3", "LIST\r"):
        (tmp_path / "a.nhdr").write_bytes(f"{head.format(*SIZE, 'Data File', name)}Listed_001.raw\n".encode())
        with pytest.raises(DataError, match=r"a\.nhdr: its voxels lie in a list of files, expected one"):
            read_scan(tmp_path / "a.nhdr", "ZYX")


def test_types_and_planes(tmp_path: Path) -> None:
    for kind, stored in ((np.uint8, np.uint8), (np.uint16, np.uint16), (np.int16, np.float32), (np.float64, np.float32)):
        assert read_scan(store(tmp_path / "a.nrrd", values_of(kind)), "ZYX").values.dtype == stored
    colour = values_of(size=(*SIZE, 3))
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        np.testing.assert_array_equal(read_scan(store(tmp_path / f"c{suffix}", colour), "ZYX").values, colour)
    alpha = np.concatenate([colour, np.full((*SIZE, 1), 9, np.uint8)], -1)
    np.testing.assert_array_equal(read_scan(store(tmp_path / "alpha.mha", alpha), "ZYX").values, colour)
    with pytest.raises(DataError, match=r"c\.mha: a label needs one plane"):
        read_scan_label(tmp_path / "c.mha", "ZYX")
    with pytest.raises(DataError, match=r"v\.mha: expected gray or RGB voxels, or up to 4 channels, found 5 of vector"):
        read_scan(store(tmp_path / "v.mha", np.concatenate([colour, colour[..., :2]], -1)), "ZYX")
    with pytest.raises(DataError, match=r"f\.mha: a label needs whole numbers, found 0\.5"):
        read_scan_label(store(tmp_path / "f.mha", np.full(SIZE, 0.5)), "ZYX")


def test_masks_of_many_objects_take_16_bits(tmp_path: Path) -> None:
    path = store(tmp_path / "a.nii.gz", values_of())
    mask = np.arange(np.prod(SIZE)).reshape(SIZE)
    written = write_scan_mask(tmp_path, "a", mask, like=path, geometry=read_scan(path, "ZYX").geometry)
    assert sitk.ReadImage(str(written)).GetPixelID() == sitk.sitkUInt16
    np.testing.assert_array_equal(read_scan_label(written, "ZYX")[0], mask)
    for wrong in (mask - 1, mask + 65536, mask.astype(float)):
        with pytest.raises(DataError, match="mask"):
            write_scan_mask(tmp_path, "b", wrong, like=path)
    with pytest.raises(DataError, match=r"expected a mask of size \(5, 7, 9\)"):
        write_scan_mask(tmp_path, "b", mask[1:], like=path, geometry=read_scan(path, "ZYX").geometry)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_scan_mask(tmp_path / "file", "b", mask, like=path)


@pytest.mark.parametrize("tilt", [0, 2, 4])
def test_a_folder_of_dicom_slices(tmp_path: Path, tilt: int) -> None:
    folder = store_dicom(tmp_path / "Image" / "p.1", tilt=tilt)
    (folder / "DICOMDIR").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    scan = read_scan(folder, "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], values_of(size=(6, 8, 9)).astype(float) - 100)
    volume = image_of(values_of(size=(6, 8, 9)), tilt)
    assert scan.geometry is not None
    expected = Geometry(
        size=(9, 8, 6),
        spacing=volume.GetSpacing(),
        origin=volume.GetOrigin(),
        direction=tuple((np.array(volume.GetDirection()).reshape(3, 3)).ravel()),
        axes=(2, 1, 0),
    )
    assert scan.geometry.difference(expected) == ""
    written = write_scan_mask(tmp_path, "p.1", values_of(size=(6, 8, 9)) % 2, like=folder, geometry=scan.geometry)
    assert written.name == "p.1_segmentation.nii.gz"
    case = load_case(as_case(folder, written), STEP)
    assert case.label is not None
    np.testing.assert_array_equal(case.label, values_of(size=(6, 8, 9)) % 2)
    assert case.spacing == scan.geometry.array_spacing


def test_bad_folders_of_dicom_slices(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gap = store_dicom(tmp_path / "gap")
    lost = next(p for p in gap.iterdir() if sitk.ReadImage(str(p)).GetMetaData("0020|0013").strip() == "3")
    cut = shutil.copytree(gap, tmp_path / "cut")
    lost.unlink()
    (cut / "4.dcm").write_bytes((cut / "4.dcm").read_bytes()[:-20])
    two = store_dicom(tmp_path / "two")
    store_dicom(two, series="1.2.3.5", prefix="b")
    other = store_dicom(tmp_path / "other")
    (other / "junk.dcm").write_bytes(b"junk" * 100)
    (tmp_path / "empty").mkdir()
    expected = {
        gap: r"^\S+gap: expected slices 2\.5 mm apart, found 5 mm from .*dcm to .*dcm: a slice is missing",
        cut: r"4\.dcm: not a readable DICOM slice \(damaged, cut short",
        two: r"^\S+two: expected one DICOM series, found 2: .*1\.2\.3\.5.* \(6 files\)",
        other: r"junk\.dcm: not a readable DICOM slice",
        tmp_path / "empty": r"empty: expected DICOM slices, or images of type .*, found none",
    }
    for folder, message in expected.items():
        with pytest.raises(DataError, match=message):
            read_scan(folder, "ZYX")
    assert capfd.readouterr() == ("", "")


def test_tiff_of_many_pages(tmp_path: Path) -> None:
    deep = values_of(np.uint16) * 300
    colour = values_of(size=(*SIZE, 3))
    tifffile.imwrite(tmp_path / "plain.tif", deep, photometric="minisblack", metadata=None, compression="zlib")
    tifffile.imwrite(tmp_path / "imagej.tif", deep, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "shaped.tiff", deep, photometric="minisblack")
    tifffile.imwrite(tmp_path / "ome.ome.tif", deep, photometric="minisblack", metadata={"axes": "ZYX"})
    for path in find_scans(tmp_path, "ZYX"):
        scan = read_scan(path, "ZYX")
        assert scan.geometry is None
        assert scan.values.dtype == np.uint16
        np.testing.assert_array_equal(scan.values[..., 0], deep, err_msg=path.name)
    tifffile.imwrite(tmp_path / "colour.tif", colour, photometric="rgb")
    np.testing.assert_array_equal(read_scan(tmp_path / "colour.tif", "ZYX").values, colour)
    sitk.WriteImage(sitk.GetImageFromArray(deep), str(tmp_path / "lzw.tif"), useCompression=True, compressor="LZW")
    np.testing.assert_array_equal(read_scan(tmp_path / "lzw.tif", "ZYX").values[..., 0], deep)
    for size in (SIZE, (3, 4, 3), (1, 6, 4), (4, 5, 4)):
        mask = values_of(size=size)
        written = write_scan_mask(tmp_path, "m", mask, like=tmp_path / "shaped.tiff")
        assert written.name == "m_segmentation.tiff"
        np.testing.assert_array_equal(read_scan_label(written, "ZYX")[0], mask)


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    target = path.with_name(f"cut{share}_{path.name}")
    target.write_bytes(content[: int(len(content) * share)])
    return target


@pytest.mark.parametrize("suffix", [*FORMATS, ".tif", ".dcm"])
def test_damaged_files(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    if suffix == ".dcm":
        path = store_dicom(tmp_path / "d") / "0.dcm"
    elif suffix == ".tif":
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, values_of(), photometric="minisblack", metadata=None)
    else:
        path = store(tmp_path / f"a{suffix}", values_of(np.float32) + np.float32(0.3))
    detached = {".mhd": "a.raw", ".nhdr": "a.raw"}.get(suffix)
    if detached:
        data = tmp_path / detached
        content = data.read_bytes()
        for damaged in (content[:-9], content[:9], b""):
            data.write_bytes(damaged)
            with pytest.raises(DataError, match=rf"a\{suffix}: not a readable"):
                read_scan(path, "ZYX")
        data.unlink()
        with pytest.raises(DataError, match=rf"a\{suffix}: not a readable"):
            read_scan(path, "ZYX")
    for share in (0.0, 0.002, 0.05, 0.3, 0.9) if not detached else (0.0, 0.3):
        with pytest.raises(DataError, match=rf"cut{share}_.*: not a (readable|DICOM)"):
            read_scan(cut(path, share), "ZYX")
    path.write_bytes(b"something else" * 50)
    with pytest.raises(DataError, match=rf"{path.name}: not a readable"):
        read_scan(path, "ZYX")
    with pytest.raises(DataError, match="No such file"):
        read_scan(tmp_path / f"none{suffix}", "ZYX")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_compressed_voxels_that_changed(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(values_of(size=(9, 30, 40))), str(path), useCompression=True)
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        read_scan(path, "ZYX")
    assert capfd.readouterr() == ("", "")


def test_other_numbers_of_axes(tmp_path: Path) -> None:
    def save(name: str, size: tuple[int, ...]) -> Path:
        sitk.WriteImage(sitk.GetImageFromArray(values_of(size=size), isVector=False), str(tmp_path / name))
        return tmp_path / name

    with pytest.raises(DataError, match=r"^\S+a\.nii\.gz: expected a volume .*found 4 axes .* 5×4×3×6"):
        read_scan(save("a.nii.gz", (6, 3, 4, 5)), "ZYX")
    with pytest.raises(DataError, match=r"^\S+b\.mha: expected a volume .*found 2 axes .* 5×4"):
        read_scan(save("b.mha", (4, 5)), "ZYX")
    with pytest.raises(DataError, match=r"^\S+c\.nrrd: expected one plane, found 3 axes"):
        read_scan(save("c.nrrd", (3, 4, 5)), "YX")
    with pytest.raises(DataError, match=r"d\.png: expected a file of type \.nii .*, found \.png"):
        read_scan(tmp_path / "d.png", "ZYX")
    one = read_scan(save("d.nrrd", (1, 3, 4, 5)), "ZYX")
    assert one.values.shape == (3, 4, 5, 1)
    flat = save("e.nii.gz", (1, 4, 5))
    scan = read_scan(flat, "YX")
    assert scan.values.shape == (4, 5, 1)
    written = write_scan_mask(tmp_path, "e", values_of(size=(4, 5)), like=flat, geometry=scan.geometry)
    assert read_scan_label(written, "YX")[1] == scan.geometry


MOVES: dict[str, Callable[[sitk.Image], None]] = {
    r"size 4×7×9, expected 5×7×9": lambda image: None,
    r"spacing 2\.5, 0\.45, 0\.71, expected 2\.5, 0\.45, 0\.7": lambda image: image.SetSpacing((0.71, 0.45, 2.5)),
    r"origin \(0, 0, 0\), expected \(": lambda image: image.SetOrigin((0, 0, 0)),
    r"direction \(1, 0, 0, 0, 1, 0, 0, 0, 1\), expected": lambda image: image.SetDirection(np.eye(3).ravel().tolist()),
}


@pytest.mark.parametrize("message", MOVES)
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_a_label_with_another_geometry(tmp_path: Path, message: str, suffix: str) -> None:
    image = store(tmp_path / "a.nii.gz", values_of(np.float32))
    label = image_of(values_of()[1:] % 2 if message.startswith("size") else values_of() % 2)
    MOVES[message](label)
    sitk.WriteImage(label, str(tmp_path / f"a_label{suffix}"))
    with pytest.raises(DataError, match=rf"a_label\{suffix}: label of {message}.* as its image .*a\.nii\.gz"):
        load_case(as_case(image, tmp_path / f"a_label{suffix}"), STEP)


def test_a_geometry_within_rounding_is_the_same(tmp_path: Path) -> None:
    image = store(tmp_path / "a.nii.gz", values_of(np.float32))
    label = image_of(values_of() % 2)
    label.SetOrigin(np.add(label.GetOrigin(), 1e-4).tolist())
    label.SetSpacing(np.multiply(label.GetSpacing(), 1 + 1e-5).tolist())
    sitk.WriteImage(label, str(tmp_path / "l.mha"))
    assert load_case(as_case(image, tmp_path / "l.mha"), STEP).label is not None


def test_voxels_that_are_no_numbers(tmp_path: Path) -> None:
    values = values_of(np.float32)
    values[1, 2, 3] = np.nan
    with pytest.raises(DataError, match=r"a\.nii\.gz: expected finite intensities, found 1 that"):
        load_case(as_case(store(tmp_path / "a.nii.gz", values)), STEP)


def test_cases_of_the_ldseg_layout(tmp_path: Path) -> None:
    for name in ("b2.nii.gz", "b10.nrrd", "a.mha", "a.raw", "notes.txt"):
        path = tmp_path / "Image" / name
        store(path, values_of()) if not name.endswith(("raw", "txt")) else path.write_text("")
    store_dicom(tmp_path / "Image" / "d.1")
    store(tmp_path / "Label" / "b2_label.mha", values_of() % 2)
    store(tmp_path / "Label" / "b10.nii.gz", values_of() % 2)
    store(tmp_path / "Label" / "d.1_label.nii.gz", values_of() % 2)
    store(tmp_path / "Label" / "e.nii", values_of() % 2)
    found = find_cases(tmp_path, axes="ZYX")
    assert {case.name: case.label and case.label.name for case in found.cases} == {
        "a": None,
        "b2": "b2_label.mha",
        "b10": "b10.nii.gz",
        "d.1": "d.1_label.nii.gz",
    }
    assert [case.name for case in found.cases] == ["a", "b2", "b10", "d.1"]
    assert found.problems == (f"{tmp_path / 'Label' / 'e.nii'}: label without image, expected an image named e",)
    store(tmp_path / "Image" / "a.nii", values_of())
    found = find_cases(tmp_path, axes="ZYX")
    assert [case.name for case in found.cases] == ["b2", "b10", "d.1"]
    assert any("two images of one name" in problem for problem in found.problems)


def fill(folder: Path, names: str, kind: str) -> None:
    for name in names.split():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"{name}.nii.gz").write_text("")


@pytest.mark.parametrize(
    ("images", "labels", "pairs"),
    [
        ("h_1 h_2 h_10", "h_1 h_10", {"h_1": "h_1", "h_2": None, "h_10": "h_10"}),
        ("h_1_0000 h_2_0000", "h_1 h_2", {"h_1": "h_1", "h_2": "h_2"}),
        ("h_0000 h_0001", "h_0000 h_0001", {"h_0000": "h_0000", "h_0001": "h_0001"}),
        ("h_0000 h_0001", "h_0001", {"h_0000": None, "h_0001": "h_0001"}),
        ("h_0001 h_0002", "", {"h_0001": None, "h_0002": None}),
    ],
)
def test_cases_of_the_decathlon_layout(tmp_path: Path, images: str, labels: str, pairs: dict) -> None:
    fill(tmp_path, images, "imagesTr")
    fill(tmp_path, labels, "labelsTr")
    found = find_cases(tmp_path, axes="ZYX")
    assert {case.name: case.label and case.label.name.removesuffix(".nii.gz") for case in found.cases} == pairs
    assert all(case.image.parent.name == "imagesTr" for case in found.cases)
    if labels:
        training = find_cases(tmp_path, axes="ZYX", training=True)
        assert [case.name for case in training.cases] == [name for name, label in pairs.items() if label]
    fill(tmp_path, "t_1_0000 t_2_0000", "imagesTs")
    fill(tmp_path, "t_2", "labelsTs")
    tested = find_cases(tmp_path, axes="ZYX").cases
    assert [(case.name, case.label is None) for case in tested] == [("t_1", True), ("t_2", False)]
    if labels:
        assert find_cases(tmp_path, axes="ZYX", training=True).cases == training.cases


def test_folders_that_do_not_fit(tmp_path: Path) -> None:
    fill(tmp_path, "a_0000 a_0001", "imagesTr")
    fill(tmp_path, "a", "labelsTr")
    (tmp_path / "imagesTr" / "a_0001.nii.gz").rename(tmp_path / "imagesTr" / "a_0002.nii.gz")
    with pytest.raises(DataError, match=r"a_0002\.nii\.gz: expected the channels a_0000 to 0002, found only 2 of them"):
        find_cases(tmp_path, axes="ZYX")
    with pytest.raises(DataError, match=r"expected a folder with Image/ and Label/, with imagesTr/"):
        find_cases(tmp_path / "imagesTr", axes="ZYX")
    fill(tmp_path, "b_0000 b_0001", "imagesTr")
    fill(tmp_path, "b", "labelsTr")
    found = find_cases(tmp_path, axes="ZYX")
    assert [case.name for case in found.cases] == ["b"]
    assert any("a_0002.nii.gz: expected the channels" in problem for problem in found.problems)
    (tmp_path / "x" / "imagesTr").mkdir(parents=True)
    with pytest.raises(DataError, match=r"imagesTr: no image found, expected files of type \.nii .* or folders"):
        find_cases(tmp_path / "x", axes="ZYX")
