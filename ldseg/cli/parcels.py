"""What travels to the workers of a cluster: cases as rows, and folders of weights."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io
import logging
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ldseg.base.folds import fold_folders
from ldseg.base.paths import cache_folder
from ldseg.base.writing import remove, written_folder
from ldseg.data.cases import Case
from ldseg.errors import DataError

logger = logging.getLogger(__name__)

_MOST_KEPT = 8
"""Of so many weights, those used last."""

_HALF_MADE = 3600.0
"""Seconds after which nobody is still unpacking."""


def row_of(case: Case) -> Mapping[str, Any]:
    """A case as a row."""
    return {
        "name": case.name,
        "image": os.fsencode(case.image),
        "label": None if case.label is None else os.fsencode(case.label),
        "group": case.group,
        "channels": [os.fsencode(path) for path in case.channels],
        "annotations": [os.fsencode(path) for path in case.annotations],
    }


def case_of(row: Mapping[str, Any]) -> Case:
    """The inverse of ``row_of``."""
    label = row["label"]
    return Case(
        name=row["name"],
        image=Path(os.fsdecode(row["image"])),
        label=None if label is None else Path(os.fsdecode(label)),
        group=row["group"],
        channels=tuple(Path(os.fsdecode(path)) for path in row["channels"]),
        annotations=tuple(Path(os.fsdecode(path)) for path in row["annotations"]),
    )


def columns() -> Any:
    """The columns of such rows, as Arrow has them."""
    import pyarrow

    path, paths = pyarrow.binary(), pyarrow.list_(pyarrow.binary())
    columns = {"name": pyarrow.string(), "image": path, "label": path, "group": pyarrow.string()}
    return pyarrow.schema([*columns.items(), ("channels", paths), ("annotations", paths)])


def packed(folder: Path) -> bytes:
    """The files of a folder of weights and of its folds; those of the training are left out."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for each in (folder, *fold_folders(folder)) for path in each.iterdir()):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes())  # one content, one digest: no times
    return stream.getvalue()


def unpacked(content: bytes) -> Path:
    """A folder of this machine with the weights that were packed.

    It is kept for the next worker that has the same; where there is no cache, it lasts as long as this process.

    Raises:
        OSError: there is no room for it in the cache or in the temporary folder.
    """
    folder = cache_folder() / "weights" / hashlib.sha256(content).hexdigest()
    if not folder.is_dir():
        try:
            with written_folder(folder) as made:
                _unpack(content, made)
        except DataError as error:
            if not folder.is_dir():  # and no other worker was faster
                made = Path(tempfile.mkdtemp(prefix="ldseg-weights-"))
                atexit.register(shutil.rmtree, made, ignore_errors=True)
                logger.warning("%s; the weights are in %s", error, made)
                _unpack(content, made)
                return made
    with contextlib.suppress(OSError):  # one of another user
        os.utime(folder)
    _prune(folder.parent)
    return folder


def _unpack(content: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)


def _prune(folder: Path) -> None:
    """Remove weights that were not used of late, and what workers that were killed left half-made."""
    with contextlib.suppress(OSError, DataError):  # another worker may do the same
        used = {path: path.stat().st_mtime for path in folder.iterdir()}
        whole = sorted((path for path in used if not path.name.startswith(".")), key=used.__getitem__)
        rest = [path for path in used if path.name.startswith(".") and used[path] < time.time() - _HALF_MADE]
        for path in (*whole[:-_MOST_KEPT], *rest):
            remove(path)
