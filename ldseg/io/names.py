"""Names of files and cases: what stands in a folder, what a file is called, and in which order."""

import os
import unicodedata
from pathlib import Path
from typing import Any

from ldseg.errors import DataError
from ldseg.text import natural


class Listed(type(Path())):  # type: ignore[misc]  # of the system
    """A path from the listing of a folder, which has told what it is: the disk is not asked again.

    Of 100,000 images on a disk elsewhere, asking takes longer than all else that finding them does.
    """

    __slots__ = ("_entry",)

    @classmethod
    def of(cls, entry: os.DirEntry[str]) -> "Listed":
        """The path of an entry."""
        path = cls(entry.path)
        try:
            path._entry = entry.is_dir(), entry.is_file()  # of a link what it leads to
        except OSError:  # a link to itself, or to where nobody may look
            path._entry = False, False
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
    name = path.name.lower()
    if path.is_dir():
        return ""
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def stem_of(path: Path) -> str:
    """The name without its extension, in one Unicode form (`same_form`); of a folder the whole name."""
    suffix = suffix_of(path)
    return same_form(path.name[: -len(suffix)] if suffix else path.name)


def same_form(name: str) -> str:
    """A name in the composed form of Unicode: macOS writes é as two characters, others as one."""
    return unicodedata.normalize("NFC", name)


def visible(folder: Path) -> list[Path]:
    """What stands in a folder, in natural order; hidden files are left out: macOS leaves ._a.png beside a.png.

    Raises DataError where the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = [Listed.of(entry) for entry in entries]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}") from error
    return sorted((path for path in found if not path.name.startswith((".", "__MACOSX"))), key=lambda p: natural(p.name))
