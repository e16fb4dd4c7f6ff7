"""Images that viewers ask for by name: those of a folder of the user's, and those that a viewer sent for its session."""

from __future__ import annotations

import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldseg.base.spatial import AXES
from ldseg.errors import DataError
from ldseg.io.formats import is_scan
from ldseg.io.names import stem_of, suffix_of, visible
from ldseg.io.series import dicom_files

SESSIONS = 16
"""Sessions that are kept; the oldest goes first."""

EXPIRY = 3600
"""Seconds that a session is kept unless its request says otherwise; one that is used counts from then."""


class NotThere(DataError):
    """An image or a session that the server does not have."""


def images_in(folder: Path | None) -> dict[str, Path]:
    """The images of a folder, and folders of DICOM in it, by their names without extension, as viewers know them."""
    found: dict[str, Path] = {}
    for path in visible(folder) if folder else ():
        scan = bool(dicom_files(path)) if path.is_dir() else any(is_scan(path, axes) for axes in AXES.values())
        if scan:
            # A second one of the same name is told apart by its extension.
            found[path.name if stem_of(path) in found else stem_of(path)] = path
    return found


def image_of(folder: Path | None, name: str) -> Path:
    """An image by its name, with its extension or without; never a path.

    Raises:
        NotThere: there is none.
    """
    found = images_in(folder)
    by_file = {path.name: path for path in found.values()}
    if name not in found and name not in by_file:
        what = "as ldseg serve was started without --images" if folder is None else "in the folder of --images"
        raise NotThere(f"image: there is no {name[:80]!r} {what}")
    return found.get(name) or by_file[name]


def status(folder: Path | None) -> dict[str, Any]:
    """What MONAI Label tells of a datastore."""
    return {"total": len(images_in(folder)), "completed": 0, "label_tags": {}, "train": []}


def listed(folder: Path | None) -> dict[str, Any]:
    """All images, as MONAI Label lists them."""
    objects = {
        name: {"image": {"ext": suffix_of(path), "info": {"name": path.name}}, "labels": {}}
        for name, path in images_in(folder).items()
    }
    return {"name": "ldseg", "description": "images of ldseg serve --images", "objects": objects}


@dataclass(kw_only=True)
class Session:
    """An image that a viewer sent, for several requests.

    Attributes:
        folder: of its own; its name is the key of the session.
        image: in it, a file or the folder of several.
        expiry: seconds from its last use.
        used: when it was used last.
    """

    folder: Path
    image: Path
    expiry: int
    made: float = field(default_factory=time.time)
    used: float = field(default_factory=time.time)

    def to_json(self) -> dict[str, Any]:
        """As MONAI Label tells it; where it lies is its name here."""
        return {
            "name": self.folder.name, "path": "", "image": self.image.name, "meta": {}, "create_ts": int(self.made),
            "last_access_ts": int(self.used), "expiry": self.expiry,
        }  # fmt: skip


class Sessions:
    """The sessions of a server."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, session: Session) -> None:
        """Keep a session."""
        with self._lock:
            self._found[session.folder.name] = session
            now = time.time()
            gone = [key for key, one in self._found.items() if now - one.used > one.expiry]
            gone += [key for key in self._found if key not in gone][: max(0, len(self._found) - len(gone) - SESSIONS)]
            dropped = [self._found.pop(key) for key in gone]
        for one in dropped:
            shutil.rmtree(one.folder, ignore_errors=True)

    def get(self, key: str) -> Session:
        """A session, used now.

        Raises:
            NotThere: there is none, or none any more.
        """
        with self._lock:
            found = self._found.get(key)
            if found is not None and time.time() - found.used <= found.expiry:
                found.used = time.time()
                self._found.move_to_end(key)
                return found
        if found is not None:
            self.drop(key)
        raise NotThere(f"session: there is no {key[:60]!r}, or none any more")

    def drop(self, key: str) -> None:
        """Remove a session and its image."""
        with self._lock:
            found = self._found.pop(key, None)
        if found is not None:
            shutil.rmtree(found.folder, ignore_errors=True)
