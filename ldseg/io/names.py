"""Names of files and cases: what stands in a folder, what a file is called, and in which order."""

import os
import time
import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ldseg.base.text import natural
from ldseg.errors import DataError


class Listed(type(Path())):  # type: ignore[misc]  # of the system
    """A path from the listing of a folder, which has told what it is: the disk is not asked again.

    Of 100,000 images on a disk elsewhere, asking takes longer than all else that finding them does.
    """

    __slots__ = ("_entry", "_parts_of_name")

    @classmethod
    def of(cls, entry: os.DirEntry[str]) -> "Listed":
        """The path of an entry."""
        path = cls(entry.path)
        try:
            folder, file = entry.is_dir(), entry.is_file()  # of a link what it leads to
        except OSError:  # a link to itself, or to where nobody may look
            folder = file = False
        path._entry = folder, file
        path._parts_of_name = _parted(entry.name, folder)
        return path

    def is_dir(self, **options: Any) -> bool:
        """Whether it was a folder when it was listed."""
        known = getattr(self, "_entry", None)  # not of paths that are made from it
        return bool(super().is_dir(**options)) if known is None or options else known[0]

    def is_file(self, **options: Any) -> bool:
        """Whether it was a file when it was listed."""
        known = getattr(self, "_entry", None)
        return bool(super().is_file(**options)) if known is None or options else known[1]


def suffix_of(path: Path) -> str:
    """The extension in lower case; ``.nii.gz`` counts as one. Empty for a folder."""
    return _parts_of(path)[1]


def stem_of(path: Path) -> str:
    """The name without its extension, in one Unicode form (`same_form`); of a folder the whole name."""
    return _parts_of(path)[0]


def _parts_of(path: Path) -> tuple[str, str]:
    known: tuple[str, str] | None = getattr(path, "_parts_of_name", None)
    return _parted(path.name, os.path.isdir(path)) if known is None else known


def _parted(name: str, folder: bool) -> tuple[str, str]:
    """A name in the parts of `stem_of` and `suffix_of`."""
    lower = name.lower()
    dot = lower.rfind(".")  # as `PurePath.suffix` takes it, which takes five times as long
    last = lower[dot:] if 0 < dot < len(lower) - 1 else ""
    suffix = "" if folder else ".nii.gz" if lower.endswith(".nii.gz") else last
    return same_form(name[: -len(suffix)] if suffix else name), suffix


def same_form(name: str) -> str:
    """A name in the composed form of Unicode: macOS writes é as two characters, others as one."""
    return unicodedata.normalize("NFC", name)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether the name of a case, as `stem_of` gives it, fits one of some glob patterns; letter case counts."""
    return any(fnmatchcase(name, same_form(pattern)) for pattern in patterns)


def visible(folder: Path) -> list[Path]:
    """What stands in a folder, in natural order; hidden files are left out: macOS leaves ._a.png beside a.png.

    The last listings are kept, as a data set is looked through several times; one counts for as long as the folder has not
    changed since.

    Raises DataError where the folder cannot be read.
    """
    try:
        status = folder.stat()
        state = status.st_ino, status.st_mtime_ns, status.st_ctime_ns
        known = _LISTED.get(folder)  # asked once: another thread may drop it
        if known is not None and known[0] == state:
            return list(known[1])
        with os.scandir(folder) as entries:
            paths = [Listed.of(entry) for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}") from error
    found = sorted(paths, key=lambda p: natural(p.name))
    if time.time() - max(status.st_mtime, status.st_ctime) > YOUNG:
        for earlier in list(_LISTED)[: -KEPT + 1]:
            _LISTED.pop(earlier, None)
        _LISTED[folder] = state, found
    return list(found)


KEPT = 4
"""Listings that are kept."""

YOUNG = 2.0
"""Seconds in which a folder may change twice without its times telling."""

_LISTED: dict[Path, tuple[tuple[int, int, int], list[Listed]]] = {}
