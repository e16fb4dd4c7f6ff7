"""What a slide offers, whatever file it lies in.

A new kind of slide is one module with a subclass of `Slide` and one entry in `ldseg.io.slides.kinds.KINDS`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ldseg.base.spatial import MOST_CHANNELS
from ldseg.base.text import times
from ldseg.errors import DataError
from ldseg.io.contract import Refused, one_line

MOST_MICRONS, LEAST_MICRONS = 20.0, 0.01
"""What a pixel can measure in a slide: a file that says more or less has the resolution of a screen or of paper."""

CACHE = 1 << 28
"""Bytes of decoded tiles that a slide keeps."""

MOST_TILE = 1 << 28
"""Bytes that one tile may take, decoded: it is in memory as a whole."""

NEARLY = 1.01
"""How much coarser than it should be a level may be: scanners round what they say."""


class Slide:
    """A picture in several resolutions, of which windows are read. Used with ``with``, which closes its file.

    Attributes:
        path: its file or folder.
        sizes: height and width of each level, the full resolution first.
        channels: how many there are: 1, 3, or those of a microscope.
        dtype: of the values as stored.
        modalities: whether the channels are images of their own, such as stains of fluorescence.
        bits: how many bits of each value are in use; None where the file does not say.
        tiled: whether its pixels lie in pieces small enough to be read one by one.
        microns: µm per pixel of the full resolution along y and x; None where the file does not say.
    """

    path: Path
    sizes: tuple[tuple[int, int], ...]
    channels: int
    dtype: np.dtype
    modalities: bool = False
    bits: int | None = None
    tiled: bool = True
    microns: tuple[float, float] | None = None

    def window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """The values (height, width, channels) of a window that lies on a level.

        Raises:
            DataError: its pixels cannot be decoded, in one line that names the file.
        """
        try:
            return self._window(level, top, left, height, width)
        except DataError:
            raise
        except MemoryError as error:
            raise DataError(f"{self.path}: not enough memory to read it") from error
        except Exception as error:  # decoders raise what they like
            where = f"level {level}, row {top}, column {left}"
            raise DataError(
                f"{self.path}: its pixels at {where} cannot be read (damaged, cut short or not supported): {one_line(error)}"
            ) from error

    def rows(self, level: int, at_once: int) -> Iterator[tuple[int, np.ndarray]]:
        """Bands (n, W, channels) of a level from top to bottom, of `at_once` rows but the last, each with its first row."""
        height, width = self.sizes[level]
        for top in range(0, height, at_once):
            yield top, self.window(level, top, 0, min(at_once, height - top), width)

    def level_of(self, wanted: Sequence[float], microns: Sequence[float]) -> int:
        """The coarsest level that is not coarser than wanted, µm per pixel along y and x; else the full one.

        Args:
            wanted: along y and x.
            microns: of the full resolution: `Slide.microns`, or what is known of it.
        """
        full = self.sizes[0]
        fine = [
            index
            for index, size in enumerate(self.sizes)
            if all(
                own * whole / part <= most * NEARLY
                for own, most, whole, part in zip(microns, wanted, full, size, strict=True)
            )
        ]
        return max(fine, default=0, key=lambda index: -math.prod(self.sizes[index]))

    def close(self) -> None:
        """Close the file."""

    def _window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Kept:
    """What was made last, up to a number of bytes."""

    def __init__(self, room: int = CACHE) -> None:
        self._room, self._held = room, 0
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key, made if it is not there."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = make()
        self._arrays[key] = array
        self._held += array.nbytes
        while self._held > self._room and len(self._arrays) > 1:
            self._held -= self._arrays.popitem(last=False)[1].nbytes
        return array


def usable_microns(y: float, x: float) -> tuple[float, float] | None:
    """µm per pixel where they can be those of a slide: see `MOST_MICRONS`."""
    found = float(y), float(x)
    return found if all(LEAST_MICRONS <= value <= MOST_MICRONS for value in found) else None


def check_planes(channels: int, dtype: np.dtype, tile: Sequence[int]) -> None:
    """The channels, values and tiles of a slide are ones that are read.

    Raises:
        Refused: they are not.
    """
    if not 1 <= channels <= MOST_CHANNELS:
        raise Refused(f"{channels} channels, expected 1 to {MOST_CHANNELS}")
    if dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float32):
        raise Refused(f"values of type {dtype}, expected 8 or 16 bits unsigned, or floating point of 32 bits")
    if math.prod(tile) * channels * dtype.itemsize > MOST_TILE:
        raise Refused(
            f"its pixels lie in pieces of {times(tile)}, decoded as a whole; save it in tiles of 256×256 or 512×512"
        )
