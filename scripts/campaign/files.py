"""Damaged files of every format: each is read, or refused by a `DataError` of one line that names it.

Every file is valid but for a few bytes that are changed, cut out, or put in from elsewhere.
"""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import tifffile
from campaign.worker import Worker
from PIL import Image

from ldseg.errors import DataError
from ldseg.io.geometry import Geometry
from ldseg.io.meta import write_meta
from ldseg.io.nifti import write_nifti
from ldseg.io.nrrds import write_nrrd
from ldseg.io.scans import read_scan, read_scan_label

_ODD = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**32 - 1)


def seeds(folder: Path) -> list[tuple[Path, str]]:
    """Small valid files of every format, each with the axes that it is read with."""
    random = np.random.default_rng(0)
    volume = random.integers(0, 999, (5, 12, 14)).astype(np.int16)
    gray, colour = random.integers(0, 256, (24, 30)).astype(np.uint8), random.integers(0, 256, (24, 30, 3)).astype(np.uint8)
    geometry = Geometry.upright(volume.shape, (2.0, 0.9, 1.1))
    found: list[tuple[Path, str]] = []

    def add(name: str, axes: str, content: bytes) -> None:
        (folder / name).write_bytes(content)
        found.append((folder / name, axes))

    for write, suffixes in ((write_nifti, (".nii", ".nii.gz")), (write_nrrd, (".nrrd",)), (write_meta, (".mha",))):
        for suffix in suffixes:
            for kind in (np.uint16, np.float32):
                write(folder / f"{np.dtype(kind).name}{suffix}", volume.astype(kind), geometry, None)
                found.append((folder / f"{np.dtype(kind).name}{suffix}", "ZYX"))
    raw = volume.astype("<u2").tobytes()
    head = "NRRD0004\ntype: ushort\ndimension: 3\nsizes: 14 12 5\nendian: little\nencoding: raw\n"
    add("raw.nrrd", "ZYX", f"{head}space directions: (1,0,0) (0,1,0) (0,0,2)\nspace: LPS\n\n".encode() + raw)
    add("spacings.nrrd", "ZYX", f"{head}spacings: 1 1 2\n\n".encode() + raw)
    lines = "NDims = 3\nDimSize = 14 12 5\nElementSpacing = 1 1 2\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
    add("raw.mha", "ZYX", lines.encode() + raw)
    for name, pixels in (("gray", gray), ("colour", colour)):
        for kind, suffix in (
            ("PNG", "png"),
            ("JPEG", "jpg"),
            ("BMP", "bmp"),
            ("WEBP", "webp"),
            ("GIF", "gif"),
            ("PPM", "ppm"),
        ):
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, kind)
            add(f"{name}.{suffix}", "YX", stream.getvalue())
        for kind, suffix in (("JPEG2000", "jp2"), ("AVIF", "avif")):
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, kind)
            add(f"{name}.{suffix}", "YX", stream.getvalue())
        for code in (None, "zlib", "lzw", "packbits", "jpeg", "zstd", "jpeg2000", "webp", "lzma", "lerc", "jpegxl"):
            if code == "webp" and pixels.ndim == 2:
                continue
            stream = io.BytesIO()
            tifffile.imwrite(stream, pixels, compression=code, metadata=None, rowsperstrip=9)
            add(f"{name}_{code}.tif", "YX", stream.getvalue())
    for name, options in (
        ("plain", {"metadata": None}),
        ("shaped", {}),
        ("ome.ome", {"metadata": {"axes": "ZYX"}}),
        ("tiled", {"tile": (16, 16)}),
    ):
        stream = io.BytesIO()
        ome = name.startswith("ome")
        tifffile.imwrite(stream, volume, photometric="minisblack", ome=ome, **options)  # type: ignore[arg-type]
        add(f"{name}.tif", "ZYX", stream.getvalue())
    for code in ("jpeg", "jpeg2000", "webp", "lzw"):
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream) as file:
            for level in (1, 2):
                about = "Aperio|MPP = 0.5" if level == 1 else None
                pixels, kind = np.ascontiguousarray(colour[::level, ::level]), level - 1
                file.write(pixels, tile=(16, 16), photometric="rgb", compression=code, metadata=None, subfiletype=kind,
                           description=about)  # fmt: skip
        add(f"slide_{code}.svs", "YX", stream.getvalue())
    stream = io.BytesIO()
    frames = [Image.fromarray(np.roll(gray, shift, 1)) for shift in range(4)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    add("video.gif", "TYX", stream.getvalue())
    for name, code in (("motion.avi", "MJPG"), ("coded.avi", "XVID"), ("coded.mp4", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 5, (32, 24))
        for shift in range(4):
            writer.write(np.ascontiguousarray(np.resize(np.roll(colour, shift, 1), (24, 32, 3))))
        writer.release()
        found.append((folder / name, "TYX"))
    np.save(folder / "array.npy", volume)
    found.append((folder / "array.npy", "ZYX"))
    add("slices.dcm", "ZYX", dicom(volume, pydicom.uid.ExplicitVRLittleEndian))
    add("packed.dcm", "ZYX", dicom(volume, pydicom.uid.RLELossless))
    add("coded.dcm", "ZYX", dicom(volume[:1], pydicom.uid.JPEG2000Lossless))
    return found


def dicom(volume: np.ndarray, syntax: str) -> bytes:
    """A file of several frames."""
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax if syntax == pydicom.uid.ExplicitVRLittleEndian else None
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = pydicom.uid.CTImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.3.4"
    header.NumberOfFrames, header.Rows, header.Columns = volume.shape
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.RescaleSlope, header.RescaleIntercept, header.PixelSpacing = 1, -10, [0.9, 1.1]
    header.PixelData = volume.astype("<u2").tobytes()
    if syntax == pydicom.uid.RLELossless:
        header.compress(syntax)
    elif syntax == pydicom.uid.JPEG2000Lossless:
        import imagecodecs

        coded = imagecodecs.jpeg2k_encode(volume[0].astype(np.uint16), level=0, reversible=True, codecformat="j2k")
        header.PixelData = pydicom.encaps.encapsulate([coded])
        header["PixelData"].is_undefined_length = True
        header.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def mutated(content: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """A file with up to eight faults, most of them in its header."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 9))):
        if not data:
            break
        near = len(data) if random.random() < 0.3 else min(len(data), 600)
        place = int(random.integers(near))
        fault = int(random.integers(7))
        if fault == 0:
            data[place] ^= 1 << int(random.integers(8))
        elif fault == 1:
            data[place] = int(random.integers(256))
        elif fault in (2, 3):
            kind = str(random.choice(["<B", "<H", ">H", "<I", ">I"]))
            value = int(random.choice(_ODD)) % 256 ** struct.calcsize(kind)
            data[place : place + struct.calcsize(kind)] = struct.pack(kind, value)
        elif fault == 4:
            kind = str(random.choice(["<f", ">f"]))
            data[place : place + 4] = struct.pack(kind, float(random.choice([np.inf, -np.inf, np.nan, 1e30, -1, 0])))
        elif fault == 5:
            del data[place : place + int(random.integers(1, 40))]
        else:
            start = int(random.integers(max(1, len(other))))
            data[place:place] = other[start : start + int(random.integers(1, 60))]
    return bytes(data)


def read(path: Path, axes: str) -> str:
    """What is wrong with how a file is met; empty where nothing is."""
    for reader in (read_scan, read_scan_label):
        try:
            reader(path, axes)
        except DataError as error:
            text = str(error)
            if "\n" in text or path.stem not in text or len(text) > 2000:
                return f"a message that is not one line with its name: {text[:300]!r}"
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
    return ""


def run(seed: int, count: int, keep: Path) -> Iterator[str]:
    """The whole part of the campaign: a line for each file that is not met as it should be."""
    reader = Worker(read, (Path("warm.npy"), "YX"))
    with tempfile.TemporaryDirectory() as folder:
        yield from faults(count, seed, Path(folder), keep, reader)
    reader.stop()


def faults(count: int, seed: int, folder: Path, keep: Path, met: Callable[[Path, str], str]) -> Iterator[str]:
    """A line for each of `count` damaged files that is not met as it should be."""
    valid = seeds(folder)
    contents = [path.read_bytes() for path, _ in valid]
    for index in range(count):
        random = np.random.default_rng([seed, index])
        path, axes = valid[index % len(valid)]
        other = contents[int(random.integers(len(contents)))]
        packed = path.name.endswith(".gz") and random.random() < 0.7
        content = contents[index % len(valid)]
        content = mutated(gzip.decompress(content) if packed else content, other, random)
        target = folder / f"case{index}{''.join(path.suffixes)}"
        target.write_bytes(gzip.compress(content, 1) if packed else content)
        wrong = met(target, axes)
        if wrong:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, keep / target.name)
            yield f"{keep / target.name} ({path.name}): {wrong}"
        target.unlink()
