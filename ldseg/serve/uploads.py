"""Files of requests: into a folder of their own, and out of it the image that they are."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from ldseg.base.text import some
from ldseg.base.untrusted import check_archive
from ldseg.data.inputs import cases_in
from ldseg.errors import DataError
from ldseg.io.contract import one_line
from ldseg.io.formats import is_scan
from ldseg.io.names import stem_of, visible
from ldseg.io.series import is_dicom

_PREFIX = "ldseg-serve-"
_LOCK = ".lock"
_HEADERS = (".hdr", ".mhd", ".nhdr")
"""Files that tell of another file beside them, in which the voxels are."""


@contextlib.contextmanager
def room() -> Iterator[Path]:
    """A folder for all that a server writes; it is gone at the end, and so are those of servers that were killed."""
    shared = Path(tempfile.gettempdir())
    for old in shared.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (old / _LOCK).open("r+") as stream:
            if old.stat().st_uid == os.getuid():
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where its server is alive
                shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / _LOCK).open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_folder(parent: Path) -> Path:
    """A new folder below another, under a name that nobody guesses."""
    folder = parent / secrets.token_urlsafe(16)
    folder.mkdir(parents=True)
    return folder


def safe_name(name: str) -> str:
    """The name of a file as it was sent, its path and what file systems do not like left out."""
    last = re.sub(r'[\x00-\x1f<>:"|?*\\/]', "_", re.split(r"[\\/]", name)[-1]).lstrip(".").strip()
    stem, suffix = last[:-160], last[-160:]  # the end tells the format
    return (stem[:40] + suffix) or "image"


def save(files: Sequence[tuple[str, IO[bytes]]], folder: Path) -> Path:
    """Write the files of a request, archives unpacked.

    Args:
        files: name and content of each.
        folder: empty.

    Returns:
        the folder that they lie in, called as an archive, or as the first of several files.

    Raises:
        DataError: there is none, two have the same name, or an archive cannot be unpacked.
    """
    if not files:
        raise DataError("files: expected an image, got none")
    names = [safe_name(name) for name, _ in files]
    inner = folder / stem_of(Path(names[0]))
    inner.mkdir()
    for name, (_, content) in zip(names, files, strict=True):
        if name.lower().endswith(".zip"):
            _unpack(content, inner, name)
            continue
        if (inner / name).exists():
            raise DataError(f"{name}: expected files of different names, got two of this one")
        with (inner / name).open("wb") as stream:
            shutil.copyfileobj(content, stream, 1 << 20)
    return inner


def _unpack(content: IO[bytes], folder: Path, name: str) -> None:
    """All files of an archive side by side; of several with the same name, the others are called by their path."""
    try:
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        with zipfile.ZipFile(content) as archive:
            check_archive(archive, size)
            for part in archive.infolist():
                words = [word for word in re.split(r"[\\/]", part.filename) if word not in ("", ".", "..")]
                if part.is_dir() or not words or words[-1].startswith(".") or "__MACOSX" in words:
                    continue
                target = folder / safe_name(words[-1])
                if target.exists():
                    target = folder / safe_name("_".join(words))
                if target.exists():
                    raise ValueError(f"it holds {words[-1]} twice")
                with archive.open(part) as packed, target.open("wb") as stream:
                    shutil.copyfileobj(packed, stream, 1 << 20)
    except Exception as error:  # of an archive that nobody has checked: damaged, encrypted, of an unknown kind
        raise DataError(f"{name}: expected a ZIP archive that can be unpacked: {one_line(error)}") from error


def image_in(folder: Path, axes: str) -> Path:
    """The one image that files are: a file, or their folder for the slices of a series and the frames of a video.

    Raises:
        DataError: there is no image of these axes, or more than one.
    """
    files = visible(folder)
    scans = [path for path in files if is_scan(path, axes)]
    if len(files) == 1:
        return files[0]
    if len(axes) == 3 and files and all(is_dicom(path) or path.name.upper() == "DICOMDIR" for path in files):
        return folder
    if headers := [path for path in scans if path.suffix.lower() in _HEADERS]:
        scans = headers
    if len(scans) > 1 and len(axes) == 3:
        with contextlib.suppress(DataError):
            scans = [case.image for case in cases_in(folder, axes).cases]
    if len(scans) != 1:
        found = some([path.name for path in files]) if files else "nothing"
        raise DataError(f"files: expected one image ({axes.lower()}), or the slices of one series, got {found}")
    return scans[0]
