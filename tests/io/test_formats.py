"""The table of formats: what a new one takes, and what is common to all."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ldseg.base.spatial import AXES
from ldseg.errors import DataError
from ldseg.io import contract, formats
from ldseg.io.contract import Content, Format, check_size
from ldseg.io.geometry import Geometry
from ldseg.io.scans import find_scans, map_path, read_scan, read_scan_label, write_scan_map, write_scan_mask


def test_a_new_format_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe of CONTRIBUTING, in small: numbers as text, a line for each row."""

    def read(path: Path, axes: str, label: bool) -> Content:
        rows = [[int(word) for word in line.split()] for line in path.read_text("utf-8").splitlines()]
        return Content(values=np.array(rows, np.uint8)[..., np.newaxis])

    def write(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path | None) -> Path:
        path.write_text("\n".join(" ".join(str(value) for value in row) for row in values.tolist()))
        return path

    entry = Format(thing="table of numbers", suffixes=(".num",), axes=("YX",), read=read, write=write, maps=".tif")
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, entry))
    (tmp_path / "a.num").write_text("1 2 3\n4 5 6")
    assert find_scans(tmp_path, "YX") == [tmp_path / "a.num"]
    assert find_scans(tmp_path, "ZYX") == []
    np.testing.assert_array_equal(read_scan(tmp_path / "a.num", "YX").values[..., 0], [[1, 2, 3], [4, 5, 6]])
    written = write_scan_mask(tmp_path, "a", np.eye(2, dtype=int), like=tmp_path / "a.num")
    assert (written.name, written.read_text("utf-8")) == ("a_segmentation.num", "1 0\n0 1")
    assert write_scan_map(tmp_path, "a", "entropy", np.eye(2), like=tmp_path / "a.num").name == "a_entropy.tif"
    (tmp_path / "b.num").write_text("1 2\nx")
    with pytest.raises(DataError, match=r"b\.num: not a readable table of numbers \(damaged, .*\): invalid literal"):
        read_scan(tmp_path / "b.num", "YX")


@pytest.mark.parametrize("axes", AXES.values())
def test_every_entry_is_whole(axes: str) -> None:
    suffixes = formats.SUFFIXES[axes]
    assert len(set(suffixes)) == len(suffixes)
    for entry in formats.FORMATS:
        assert set(entry.axes) <= set(AXES.values())
        for suffix in entry.suffixes if axes in entry.axes else ():
            target = formats.writer_of(entry.masks.get(suffix, suffix), axes == "YX")
            assert target is not None
            assert target.write is not None, suffix


@pytest.mark.parametrize("suffix", sorted({s for axes in AXES.values() for s in formats.SUFFIXES[axes]}))
@pytest.mark.parametrize("size", [(5, 6), (3, 5, 6)])
def test_a_mask_of_every_kind_of_image_comes_back(tmp_path: Path, suffix: str, size: tuple[int, ...]) -> None:
    axes = "YX" if len(size) == 2 else "ZYX" if suffix in formats.SUFFIXES["ZYX"] else "TYX"
    if suffix not in formats.SUFFIXES[axes]:
        pytest.skip("no such image")
    mask = np.arange(np.prod(size)).reshape(size)
    like = tmp_path / f"scan.7{suffix}"
    if suffix in (".nii", ".nii.gz", ".hdr"):
        like = tmp_path / "gone" / "x.mha"  # its header would be read
    for values in (mask, mask * 300):
        written = write_scan_mask(tmp_path, "scan.7", values, like=like)
        assert written.name.startswith("scan.7_segmentation.")
        label, geometry = read_scan_label(written, axes)
        np.testing.assert_array_equal(label, values)
        path = write_scan_map(tmp_path, "scan.7", "entropy", values / 7, like=like, geometry=geometry)
        assert path == map_path(tmp_path, "scan.7", "entropy", like, len(size) == 2)
        np.testing.assert_array_equal(read_scan(path, axes).values[..., 0], (values / 7).astype(np.float32))


def test_a_mask_of_an_array(tmp_path: Path) -> None:
    geometry = Geometry.upright((3, 5, 6), (2.0, 1.0, 1.0))
    for size, place, name in (((5, 6), None, ".png"), ((3, 5, 6), None, ".tif"), ((3, 5, 6), geometry, ".nii.gz")):
        mask = np.ones(size, np.uint8)
        written = write_scan_mask(tmp_path, "a", mask, like=None, geometry=place)
        assert written.name == f"a_segmentation{name}"
        np.testing.assert_array_equal(read_scan_label(written, "YX" if len(size) == 2 else "ZYX")[0], mask)


@pytest.mark.parametrize("suffix", [".png", ".nii", ".mha", ".nrrd", ".dcm", ".tif", ".gif", ".npy"])
def test_pipes_devices_and_folders_are_no_files(tmp_path: Path, suffix: str) -> None:
    axes = "YX" if suffix in formats.SUFFIXES["YX"] else "ZYX"
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"device{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"gone{suffix}").symlink_to(tmp_path / "nowhere")
    expected = {"pipe": "found a pipe or a device", "device": "found a pipe or a device", "gone": "No such file"}
    for name, message in expected.items():
        with pytest.raises(DataError, match=rf"{name}\{suffix}: cannot be read: .*{message}"):
            read_scan(tmp_path / f"{name}{suffix}", axes)
    assert find_scans(tmp_path, axes) == []


def test_arrays_of_numpy(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 999, (3, 4, 5)).astype(np.uint16)
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_scan(tmp_path / "a.npy", "ZYX").values[..., 0], values)
    np.testing.assert_array_equal(read_scan_label(tmp_path / "a.npy", "ZYX")[0], values)
    np.save(tmp_path / "f.npy", np.asfortranarray(values))
    np.testing.assert_array_equal(read_scan(tmp_path / "f.npy", "ZYX").values[..., 0], values)
    np.save(tmp_path / "o.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(DataError, match=r"o\.npy: values of type object"):
        read_scan(tmp_path / "o.npy", "YX")
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-3])
    with pytest.raises(DataError, match=r"a\.npy: not a readable NumPy file .* 117 bytes, its header promises 120"):
        read_scan(tmp_path / "a.npy", "ZYX")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"DimSize": "0 12 5"}, "its header has the size 0×12×5"),
        ({"DimSize": "14 -12 5"}, "its header has the size 14×-12×5"),
        ({"DimSize": "14 12"}, "its header has the lengths 14 12, and 3 axes"),
        ({"DimSize": "99999 99999 99999"}, "more than the limit of 2 GiB"),
        ({"DimSize": "14 12 6"}, "it holds 840 bytes, its header promises 1008"),
        ({"ElementSpacing": "1 0 1"}, r"has the spacing \[1\.0, 0\.0, 1\.0\]"),
        ({"ElementSpacing": "1 inf 1"}, "has ElementSpacing = 1 inf 1"),
        (
            {"TransformMatrix": "0 0 0 0 0 0 0 0 0"},
            r"directions \(TransformMatrix\) 0 .*, expected axes at right angles",
        ),
        ({"ElementType": "MET_OTHER"}, "voxels of the type MET_OTHER"),
        ({"ElementDataFile": "-"}, "its header names the file '-' for its voxels"),
        ({"ElementDataFile": "/dev/zero"}, "names the file '/dev/zero' for its voxels"),
        ({"ElementDataFile": "../a.raw"}, r"names the file '\.\./a\.raw' for its voxels"),
        ({"ElementDataFile": "none.raw"}, r"its voxels: .*none\.raw: cannot be read: No such file"),
        ({"ElementToIntensityFunctionSlope": "0"}, "scales values by 0 and shifts them by 0"),
        ({"ElementToIntensityFunctionOffset": "x"}, "cannot be understood"),
        ({"ElementDataFile": "LIST"}, "its voxels lie in a list of files"),
    ],
)
def test_headers_of_metaimage(tmp_path: Path, fields: dict[str, str], message: str) -> None:
    header = {"NDims": "3", "DimSize": "14 12 5", "ElementType": "MET_UCHAR", "ElementDataFile": "LOCAL"}
    lines = {**{name: value for name, value in header.items() if name not in fields}, **fields}
    if "ElementDataFile" in header and "ElementDataFile" not in fields:
        lines["ElementDataFile"] = lines.pop("ElementDataFile")  # the last of a header
    text = "".join(f"{name} = {value}\n" for name, value in lines.items())
    (tmp_path / "a.mha").write_bytes(text.encode() + bytes(840))
    with pytest.raises(DataError, match=rf"a\.mha: .*{message}"):
        read_scan(tmp_path / "a.mha", "ZYX")


@pytest.mark.parametrize(
    ("fields", "order", "wanted"),
    [
        ("ElementToIntensityFunctionSlope = 2\nElementToIntensityFunctionOffset = -10\n", "<", (2, -10)),
        ("BinaryDataByteOrderMSB = True\n", ">", (1, 0)),
        ("BinaryDataByteOrderMSB = False\nElementByteOrderMSB = True\n", "<", (1, 0)),  # as ITK has it
        ("Comment : a\nElementByteOrderMSB : True\n", ">", (1, 0)),
    ],
)
def test_values_of_metaimage(tmp_path: Path, fields: str, order: str, wanted: tuple[int, int]) -> None:
    values = np.arange(60).reshape(3, 4, 5)
    head = f"NDims = 3\nDimSize = 5 4 3\nElementType = MET_SHORT\n{fields}ElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(head.encode() + values.astype(f"{order}i2").tobytes())
    np.testing.assert_array_equal(read_scan(tmp_path / "a.mha", "ZYX").values[..., 0], values * wanted[0] + wanted[1])


def vectors(folder: Path, kind: str, values: np.ndarray) -> Path:
    """Values (z, y, x, c) as a file of a kind, with the last axis as values of a voxel."""
    size, count = " ".join(str(length) for length in values.shape[2::-1]), values.shape[-1]
    if kind == "mha":
        name = {"uint8": "MET_UCHAR", "int16": "MET_SHORT"}[values.dtype.name]
        head = f"NDims = 3\nDimSize = {size}\nElementType = {name}\nElementNumberOfChannels = {count}\n"
        head += "ElementDataFile = LOCAL\n"
        (folder / "a.mha").write_bytes(head.encode() + values.tobytes())
    elif kind == "nii":
        nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0, 3)[:, :, :, np.newaxis], np.eye(4)), folder / "a.nii")
    else:
        head = (
            f"NRRD0004\ntype: {values.dtype.name}\ndimension: 4\nsizes: {count} {size}\nencoding: raw\nendian: little\n"
            f"kinds: {kind} domain domain domain\n\n"
        )
        (folder / "a.nrrd").write_bytes(head.encode() + values.tobytes())
    return next(folder.glob("a.*"))


@pytest.mark.parametrize(
    ("kind", "count", "dtype", "kept"),
    [
        ("mha", 4, np.int16, 4),
        ("mha", 2, np.int16, 2),
        ("mha", 4, np.uint8, 3),
        ("nii", 4, np.int16, 4),
        ("list", 4, np.uint8, 4),
        ("list", 2, np.uint8, 2),
        ("RGBA-color", 4, np.uint8, 3),
        ("RGB-color", 3, np.uint8, 3),
    ],
)
def test_values_of_a_voxel_are_kept(tmp_path: Path, kind: str, count: int, dtype: type, kept: int) -> None:
    """The fourth is transparency where the file has colours alone."""
    values = np.random.default_rng(0).integers(0, 99, (3, 4, 5, count)).astype(dtype)
    path = vectors(tmp_path, kind, values)
    scan = read_scan(path, "ZYX")
    np.testing.assert_array_equal(scan.values, values[..., :kept])
    assert scan.modalities == (kept in (2, 4))
    values[..., :] = values[..., :1] % 2
    values[..., -1] = 0
    if kept != 3:
        with pytest.raises(DataError, match=rf"a\.\w+: a label needs one plane .*, found {kept} planes"):
            read_scan_label(vectors(tmp_path, kind, values), "ZYX")


def test_voxels_in_a_subfolder(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.raw").write_bytes(values.tobytes())
    lines = "NDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\nElementDataFile = sub/x.raw\n"
    (tmp_path / "a.mhd").write_text(lines)
    head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 5 4 3\nencoding: raw\ndata file: sub/x.raw\n\n"
    (tmp_path / "a.nhdr").write_text(head)
    for name in ("a.mhd", "a.nhdr"):
        np.testing.assert_array_equal(read_scan(tmp_path / name, "ZYX").values[..., 0], values)
    (tmp_path / "a.nhdr").write_text(head.replace("sub/x.raw", "-"))
    with pytest.raises(DataError, match=r"a\.nhdr: its header names the file '-' for its voxels"):
        read_scan(tmp_path / "a.nhdr", "ZYX")


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii", "hex"])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_encodings_of_nrrd(tmp_path: Path, encoding: str, endian: str) -> None:
    import bz2
    import gzip

    values = (np.arange(60) - 7).reshape(3, 4, 5).astype("<i2" if endian == "little" else ">i2")
    pack: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress}
    content = pack.get(encoding, lambda raw: raw)(values.tobytes())
    if encoding == "ascii":
        content = " ".join(str(value) for value in values.ravel().tolist()).encode()
    if encoding == "hex":
        content = values.tobytes().hex(" ", 10).encode()
    head = f"NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\nendian: {endian}\nencoding: {encoding}\nspacings: 1 2 3\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + content)
    scan = read_scan(tmp_path / "a.nrrd", "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], values)
    assert scan.geometry is not None
    assert scan.geometry.array_spacing == (3, 2, 1)
    (tmp_path / "a.nrrd").write_bytes(head.encode() + content[:20])
    with pytest.raises(DataError, match=r"a\.nrrd: not a readable NRRD file"):
        read_scan(tmp_path / "a.nrrd", "ZYX")


def test_sizes_that_are_none() -> None:
    for shape in ((), (0,), (3, -1)):
        with pytest.raises(ValueError, match="its header has the size"):
            check_size(shape, 1)
    assert check_size((3, 4), 0.5) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
            "a pointer of Git LFS to it; git lfs pull",
        ),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "a web page, as a download that failed leaves it"),
        (bytes(5000), "zeros alone, as a copy that failed leaves it"),
        (b"PK\x03\x04" + bytes(90), "a ZIP archive; unpack it"),
        (b"BZh91AY" + bytes(90), "a file packed by bzip2; unpack it"),
        (b"%PDF-1.7" + bytes(90), "a PDF"),
    ],
)
@pytest.mark.parametrize(
    ("suffix", "axes"), [(".png", "YX"), (".nii.gz", "ZYX"), (".tif", "ZYX"), (".dcm", "ZYX"), (".mha", "ZYX")]
)
def test_what_stands_in_place_of_a_file(tmp_path: Path, suffix: str, axes: str, content: bytes, message: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a{suffix}: not an? [\w ]+, but {message}"):
        read_scan(path, axes)


@pytest.mark.parametrize(
    ("name", "axes", "start", "message"),
    [
        ("a.png", "YX", bytes(128) + b"DICM", "not an image, but a DICOM file; name it .dcm"),
        ("a.dcm", "YX", b"\x89PNG\r\n\x1a\n", "not a DICOM file, but a PNG file; name it .png"),
        ("a.nii", "ZYX", b"\xff\xd8\xff\xe0", "not a NIfTI file, but a JPEG file; name it .jpg"),
        ("a.png", "YX", b"\x89PNG\r\n\x1a\n", "not a readable image"),
        ("a.nii.gz", "ZYX", b"\x1f\x8b\x08", "not a readable NIfTI file"),
    ],
)
def test_a_file_of_another_name(tmp_path: Path, name: str, axes: str, start: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(start + bytes(200))
    with pytest.raises(DataError, match=rf"{name}: {message}"):
        read_scan(tmp_path / name, axes)


HEADERS = {
    "a.nhdr": "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 3 2 2\nencoding: {encoding}\n{data}\n\n",
    "a.mhd": "NDims = 3\nDimSize = 3 2 2\nElementType = MET_UCHAR\nBinaryData = {binary}\nElementDataFile = {data}\n",
}


@pytest.mark.parametrize("name", HEADERS)
def test_voxels_in_a_file_of_their_own(tmp_path: Path, name: str) -> None:
    """Named as Windows does, in a list, as text, of too many."""
    voxels = np.arange(12, dtype=np.uint8)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.raw").write_bytes(voxels.tobytes())
    (tmp_path / "long.raw").write_bytes(voxels.tobytes() * 2)
    (tmp_path / "a.txt").write_text(" ".join(map(str, voxels.tolist())))
    (tmp_path / "more.txt").write_text(" ".join(map(str, range(13))))
    given = {
        "sub\\a.raw": "",
        "long.raw": "it holds 24 bytes of voxels, its header tells of 12 only",
        "LIST": "its voxels lie in a list of files, expected one",
        "a%02d.raw 1 2 1": "its voxels lie in a list of files, expected one",
        "a.txt": "",
        "more.txt": "it holds 13 values, its header promises 12",
    }
    for data, problem in given.items():
        text = data.endswith(".txt")
        named = f"data file: {data}" if name == "a.nhdr" else data
        head = HEADERS[name].format(encoding="ascii" if text else "raw", binary=str(not text), data=named)
        (tmp_path / name).write_bytes(head.encode())
        if problem:
            with pytest.raises(DataError, match=rf"{name}: .*{problem}"):
                read_scan(tmp_path / name, "ZYX")
        else:
            np.testing.assert_array_equal(read_scan(tmp_path / name, "ZYX").values.ravel(), voxels)


@pytest.mark.parametrize("name", HEADERS)
def test_bytes_in_the_file_of_voxels_that_no_header_tells_of(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They may stand before the voxels or behind them."""
    voxels, skip = np.arange(12, dtype=np.uint8), {"a.nhdr": "byte skip: 3\n", "a.mhd": "HeaderSize = 3\n"}
    (tmp_path / "a.raw").write_bytes(b"abc" + voxels.tobytes())
    head = HEADERS[name].format(encoding="raw", binary="True", data="data file: a.raw" if name == "a.nhdr" else "a.raw")
    first, _, rest = head.partition("\n")
    (tmp_path / name).write_text(f"{first}\n{skip[name]}{rest}")
    np.testing.assert_array_equal(read_scan(tmp_path / name, "ZYX").values.ravel(), voxels)
    assert "a.raw" not in caplog.text
    contract._SAID.clear()
    (tmp_path / name).write_text(head)
    assert read_scan(tmp_path / name, "ZYX").values.ravel()[:4].tolist() == [97, 98, 99, 0]
    assert "a.raw: it holds 3 bytes more than its header tells of: the first 12 are read" in caplog.text


def test_what_headers_say_and_few_readers_heed(tmp_path: Path) -> None:
    """A scale that colours do not have, bytes that are passed over in packed or written voxels, other things than images."""
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = nibabel.Nifti1Header()
    header.set_data_shape((4, 2, 1))
    header["datatype"], header["bitpix"], header["vox_offset"], header["scl_slope"] = 128, 24, 352, 2
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4) + values.tobytes())
    np.testing.assert_array_equal(read_scan(tmp_path / "a.nii", "YX").values.ravel(), values.ravel())
    head = "NRRD0005\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: {}\nbyte skip: {}\n\n"
    for skip in (7, -1):
        packed = gzip.compress(b"passed." + values.tobytes())
        (tmp_path / "b.nrrd").write_bytes(head.format("gzip", skip).encode() + packed)
        np.testing.assert_array_equal(read_scan(tmp_path / "b.nrrd", "ZYX").values[..., 0], values)
    written = " ".join(map(str, values.ravel().tolist())).encode()
    (tmp_path / "c.nrrd").write_bytes(head.format("ascii", 7).encode() + b"passed." + written)
    np.testing.assert_array_equal(read_scan(tmp_path / "c.nrrd", "ZYX").values[..., 0], values)
    (tmp_path / "c.nrrd").write_bytes(head.format("ascii", -1).encode() + written)
    with pytest.raises(DataError, match=r"c\.nrrd: its header skips all bytes but the last"):
        read_scan(tmp_path / "c.nrrd", "ZYX")
    lines = "ObjectType = Tube\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "d.mha").write_bytes(lines.encode() + values.tobytes())
    with pytest.raises(DataError, match=r"d\.mha: a MetaIO file of the type Tube, expected Image"):
        read_scan(tmp_path / "d.mha", "ZYX")
    plane = values[0]
    (tmp_path / "e.pgm").write_bytes(b"P5\n4 3\n255 # white\n" + plane.tobytes())
    np.testing.assert_array_equal(read_scan(tmp_path / "e.pgm", "YX").values[..., 0], plane)
