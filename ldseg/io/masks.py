"""Masks and maps of volumes and films as files, where they were: what is read back has the geometry of the image."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import tifffile

from ldseg.errors import DataError
from ldseg.io.geometry import Geometry
from ldseg.io.integrity import NIFTI, nifti_header
from ldseg.io.pictures import encode
from ldseg.io.stacks import TIFF_SUFFIXES
from ldseg.io.volumes import NIFTI_SUFFIXES
from ldseg.writing import write_bytes

# What says where the voxels lie.
_NIFTI_PLACE = ("pixdim", "xyzt_units", "toffset", "codes", "forms")


def narrowed(path: Path, mask: np.ndarray) -> np.ndarray:
    """A mask of whole numbers as uint8 where the values fit, else uint16. Raises DataError where neither does."""
    mask = np.asarray(mask)
    if mask.size == 0 or mask.dtype.kind not in "uib":
        raise DataError(f"{path}: a mask must be whole numbers, got {mask.dtype} {mask.shape}")
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or high > 65535:
        raise DataError(f"{path}: mask values must be in 0..65535, got {low} to {high}")
    return mask.astype(np.uint8 if high <= 255 else np.uint16)


def write_volume(path: Path, mask: np.ndarray, geometry: Geometry | None, like: Path) -> Path:
    """Write a mask (*S) as NIfTI, NRRD or MetaImage (.mha), by the extension; whole or not at all.

    Args:
        path: where to.
        mask: whole numbers.
        geometry: where it lies; None where its image does not say.
        like: its image. Where both are NIfTI, the numbers that say where the voxels lie are kept as they are.
    """
    return _write_volume(path, narrowed(path, mask), geometry, like)


def write_map(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path) -> Path:
    """Write numbers (*S) as float32, whole or not at all.

    Args:
        path: where to: what `write_volume` writes, or a TIFF, of one page or, with three axes, of several.
        values: numbers.
        geometry: where they lie; None where the image does not say.
        like: the image, as for `write_volume`.

    Raises DataError for values that are no numbers, and where the file cannot be written.
    """
    values = np.asarray(values)
    if values.size == 0 or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise DataError(f"{path}: a map must be finite numbers, got {values.dtype} {values.shape}")
    values = values.astype(np.float32)
    if path.suffix not in TIFF_SUFFIXES:
        return _write_volume(path, values, geometry, like)
    write_bytes(path, _pages(values))
    return path


def _write_volume(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path) -> Path:
    if geometry is not None and values.shape != geometry.array_size:
        raise DataError(f"{path}: expected a mask of size {geometry.array_size}, got {values.shape}")
    image = sitk.GetImageFromArray(values.reshape(geometry.size[::-1]) if geometry else values, isVector=False)
    nifti = path.name.endswith(NIFTI_SUFFIXES)
    if geometry is not None:
        _place(image, geometry, path.suffix == ".nrrd")
    suffix = ".nii" if nifti else path.suffix
    with tempfile.TemporaryDirectory() as folder:  # SimpleITK cannot write to memory
        written = Path(folder) / f"mask{suffix}"
        try:
            sitk.WriteImage(image, str(written), useCompression=not nifti)
            content = written.read_bytes()
            if nifti:
                content = _placed_as(content, like)
        except (RuntimeError, OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be written: {error}") from error
    if path.suffix == ".gz":
        content = gzip.compress(content, 6, mtime=0)
    write_bytes(path, content)
    return path


def write_pages(path: Path, mask: np.ndarray) -> Path:
    """Write a mask (N, H, W) as a TIFF of N pages, whole or not at all."""
    write_bytes(path, _pages(narrowed(path, mask)))
    return path


def write_frames(folder: Path, mask: np.ndarray, names: Sequence[str]) -> Path:
    """Write a mask (N, H, W) as a folder with a PNG for each of the N names.

    The folder appears whole or not at all, in the place of one that was there. Raises DataError where it cannot be
    written.
    """
    values = narrowed(folder, mask)
    if len(values) != len(names):
        raise DataError(f"{folder}: expected a mask of {len(names)} frames, got {len(values)}")
    token = secrets.token_hex(4)
    new, old = (folder.with_name(f".{folder.name}.{token}.{kind}") for kind in ("tmp", "old"))
    try:
        for name, frame in zip(names, values, strict=True):
            path = new / f"{name}.png"
            write_bytes(path, encode(path, frame))
        if folder.exists():
            folder.replace(old)
        try:
            new.replace(folder)
        except OSError:
            with contextlib.suppress(OSError):
                old.replace(folder)
            raise
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            os.unlink(old)
    return folder


def _pages(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, photometric="minisblack", compression="zlib", metadata=None)
    return stream.getvalue()


def _place(image: sitk.Image, geometry: Geometry, nrrd: bool) -> None:
    image.SetOrigin(geometry.origin)
    if nrrd:
        image.SetDirection(_nrrd_vectors(geometry).ravel().tolist())  # with a spacing of 1
    else:
        image.SetSpacing(geometry.spacing)
        image.SetDirection(geometry.direction)


def _nrrd_vectors(geometry: Geometry) -> np.ndarray:
    """The step from voxel to voxel along each axis, in columns.

    NRRD holds these vectors alone. A reader takes spacing and direction from them with rounding errors, so of the
    vectors next to direction times spacing the one is taken that leads back to both.
    """
    rank = len(geometry.spacing)
    vectors = np.array(geometry.direction).reshape(rank, rank) * np.array(geometry.spacing)
    for axis, spacing in enumerate(geometry.spacing):
        direction = np.array(geometry.direction).reshape(rank, rank)[:, axis]
        units = np.array(list(itertools.product((0, -1, 1, -2, 2), repeat=rank)))
        near = vectors[:, axis] + units * np.where(vectors[:, axis] == 0, 0.0, np.spacing(vectors[:, axis]))
        squares = np.zeros(len(near))
        for component in near.T:  # one after the other, as readers do
            squares = squares + component * component
        lengths = np.sqrt(squares)
        exact = (lengths == spacing) & (near * (1.0 / lengths)[:, np.newaxis] == direction).all(axis=1)
        if exact.any():
            vectors[:, axis] = near[int(np.argmax(exact))]
    return vectors


def _placed_as(content: bytes, like: Path) -> bytes:
    """A NIfTI file with the place of another.

    SimpleITK takes a direction from 32-bit numbers and turns it back into such, which moves it by a unit in the last
    place: the numbers themselves are kept.
    """
    source, version = nifti_header(like) if like.name.lower().endswith(NIFTI_SUFFIXES) else (None, 0)
    if source is None or version != 1:
        return content
    placed = bytearray(content)
    target = np.frombuffer(placed, NIFTI[1], 1)
    for name in _NIFTI_PLACE:
        target[name] = source[name]
    return bytes(placed)
