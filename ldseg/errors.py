"""The errors that LDSeg raises on bad input; their text is one line, fit to be shown to a user as it is."""

import contextlib
import difflib
from pathlib import Path


class LDSegError(Exception):
    """Anything that the user of LDSeg can put right: a setting, a file, a folder."""


class ConfigError(LDSegError, ValueError):
    """A setting that is missing, unknown, misspelt or out of range."""


class DataError(LDSegError, ValueError):
    """An image, a label or a data folder that cannot be used."""


class WeightsError(LDSegError, ValueError):
    """Weights that are absent, damaged, or made for another network."""


def nearest_folder(folder: Path) -> str:
    """What was meant by a folder that is not there, in words that begin with a space: nothing if nothing is like it.

    The first part of the path that is not there is compared with the folders beside it.
    """
    while not folder.parent.is_dir():
        folder = folder.parent
    beside: list[str] = []
    with contextlib.suppress(OSError):  # which may not be read
        beside = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    found = difflib.get_close_matches(folder.name, beside, n=1)
    return f" (the nearest is {folder.parent / found[0]})" if found else ""
