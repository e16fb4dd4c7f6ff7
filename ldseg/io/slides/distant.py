"""A slide that another process reads, since what decodes it may crash or hang: see `ldseg.io.apart`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.errors import DataError
from ldseg.io.apart import Reader
from ldseg.io.slides.contract import Slide


class DistantSlide(Slide):
    """A slide of the other process.

    Args:
        path: its file or folder.
        kind: the name of the class that opens it there.
        reader: the other process, which is given back when the slide is closed.

    Raises:
        DataError: what cannot be read, as in this process.
    """

    def __init__(self, path: Path, kind: str, reader: Reader) -> None:
        self.path, self._reader = path, reader
        told: dict[str, Any]
        told, _ = reader.ask(path, "open", kind)
        self.sizes = tuple((height, width) for height, width in told["sizes"])
        self.channels, self.dtype = told["channels"], np.dtype(told["kind"])
        self.modalities, self.bits, self.tiled = told["modalities"], told["bits"], told["tiled"]
        self.microns = told["microns"] and (told["microns"][0], told["microns"][1])

    def _window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        return self._reader.ask(self.path, "window", level, top, left, height, width)[1]

    def close(self) -> None:
        """Close the file, and give the process back."""
        with contextlib.suppress(DataError):
            self._reader.ask(self.path, "close")
            self._reader.give_back()
