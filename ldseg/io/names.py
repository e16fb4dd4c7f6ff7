"""Names of files and cases: what stands in a folder, what a file is called, and in which order."""

import unicodedata
from pathlib import Path

from ldseg.errors import DataError
from ldseg.text import natural


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
        found = list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}") from error
    return sorted((path for path in found if not path.name.startswith((".", "__MACOSX"))), key=lambda p: natural(p.name))
