"""Folders that a user names: read from a setting, required to be there, guessed where they are not."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote

from ldseg.errors import ConfigError, DataError

ALIKE = 0.8
"""How much alike two names are, from 0 to 1, of which one may be a slip for the other (``difflib``)."""
_HERE = re.compile(r"file://(?:localhost)?(/(?!/).*)", re.IGNORECASE | re.DOTALL)
"""An address of a file of this machine. Not ``file:/a``, which is also what becomes of the address of another as a path."""


def path_of(text: str) -> Path:
    """The path that a text names: of an address such as ``file:///a%20b.png`` that on this machine, else the text itself."""
    here = _HERE.fullmatch(text)
    path = unquote(here[1]) if here else text
    return Path(text if "\0" in path else path)


def named_path(key: str, text: str) -> Path:
    """The path that a setting or an argument names, ``~`` and ``~user`` resolved.

    Raises:
        ConfigError: for a user who does not exist.
    """
    try:
        return path_of(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{key}: expected a path, got {text!r}, whose user has no home folder") from None


def cache_folder() -> Path:
    """Where what is made once for all runs is kept: LDSEG_CACHE, or ``ldseg`` in the user's cache."""
    own = os.environ.get("LDSEG_CACHE")
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # A user without a home, as in some containers, has no cache.
    return Path(os.devnull if shared.startswith("~") else shared) / "ldseg"


def require_folder(folder: Path, expected: str) -> None:
    """Make sure that a folder is there.

    Args:
        folder: its path.
        expected: what it is for, in words.

    Raises:
        DataError: it is not there, is a file, or may not be looked at.
    """
    try:
        mode = folder.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{folder}: no such folder{nearest_folder(folder)}, expected {expected}") from None
    except (OSError, ValueError) as error:  # the latter for a name that holds a zero byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{folder}: cannot be looked at ({reason}), expected {expected}") from error
    if not stat.S_ISDIR(mode):
        raise DataError(f"{folder}: is a file, expected {expected}")


def nearest_folder(folder: Path, holding: str = "") -> str:
    """The folder that was meant by one that is not there, in words that begin with a space; nothing where none is like it.

    One part of the path may be misspelt, letter case aside.

    Args:
        folder: the path that is not there.
        holding: name of a file that the folder must hold to be proposed.
    """
    with contextlib.suppress(OSError):  # what may not be looked at
        missing = folder
        while not missing.parent.is_dir():
            missing = missing.parent
        rest = folder.relative_to(missing)
        places = {path.name.lower(): path / rest for path in missing.parent.iterdir()}
        beside = {name: path for name, path in places.items() if path.is_dir() and (path / holding).exists()}
        for name in difflib.get_close_matches(missing.name.lower(), beside, n=1, cutoff=ALIKE):
            return f" (the nearest is {beside[name]})"
    return ""
