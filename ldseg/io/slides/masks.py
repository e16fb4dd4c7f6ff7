"""The mask of a slide: tiles on disk while it is made, a pyramid in OME-TIFF when it is done."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ldseg.base.later import Later
from ldseg.base.writing import write_bytes, write_file
from ldseg.io.slides.contract import CACHE, Kept
from ldseg.version import __version__

if TYPE_CHECKING:
    import tifffile
else:
    tifffile = Later("tifffile")

TILE = 512
"""Pixels along a side of a tile."""

SMALLEST = 1024
"""Levels follow until both sides are no longer than this."""

STRIP = 32
"""Tiles of a strip, but for the last."""

ROWS = 4
"""Rows of tiles that are kept decoded, as far as `CACHE` allows: what reads a picture goes from its top to its bottom."""

_PACKING = 6


class MaskTiles:
    """A picture of class numbers in a folder, written strip by strip: each holds tiles that lie side by side.

    Args:
        folder: where they lie.
        size: rows and columns of the picture.

    Attributes:
        tiles: how many rows and columns of tiles there are.
        columns: the columns of tiles that strips begin with.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.folder, self.size = folder, size
        self.tiles = math.ceil(size[0] / TILE), math.ceil(size[1] / TILE)
        self.columns = tuple(range(0, self.tiles[1], STRIP))
        self._kept = Kept(min(ROWS * self.tiles[1] * TILE * TILE, CACHE))
        self._open: tuple[Path, zipfile.ZipFile] | None = None

    def has(self, row: int, column: int) -> bool:
        """Whether the strip that begins with this tile was written."""
        return self._path(row, column).is_file()

    def write(self, row: int, column: int, values: np.ndarray, about: str = "") -> None:
        """Write a strip, uint8 (h, w): a row of tiles from its first one on, cut at the border of the picture.

        Args:
            row: of tiles.
            column: of tiles, one of `columns`.
            values: the pixels.
            about: up to 65,535 letters of ASCII that are kept with it.
        """
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
            for index in range(math.ceil(values.shape[1] / TILE)):
                part = values[:, index * TILE : (index + 1) * TILE]
                tile = np.zeros((TILE, TILE), np.uint8)
                tile[: part.shape[0], : part.shape[1]] = part
                file.writestr(str(column + index), zlib.compress(tile.tobytes(), _PACKING))
            file.comment = about.encode("ascii")
        write_bytes(self._path(row, column), stream.getvalue())

    def about(self, row: int, column: int) -> str:
        """What was kept with a strip."""
        with zipfile.ZipFile(self._path(row, column)) as file:
            return file.comment.decode("ascii")

    def packed(self, row: int, column: int) -> bytes:
        """A tile as it is stored: uint8 (TILE, TILE), deflated."""
        path = self._path(row, column // STRIP * STRIP)
        if self._open is None or self._open[0] != path:
            self.close()
            self._open = path, zipfile.ZipFile(path)
        return self._open[1].read(str(column))

    def tile(self, row: int, column: int) -> np.ndarray:
        """A tile, uint8 (TILE, TILE), zero beyond the picture."""

        def make() -> np.ndarray:
            return np.frombuffer(zlib.decompress(self.packed(row, column)), np.uint8).reshape(TILE, TILE)

        return self._kept.get((row, column), make)

    def window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """A part of the picture, uint8 (bottom - top, right - left)."""
        found = np.zeros((bottom - top, right - left), np.uint8)
        for row in range(top // TILE, (bottom - 1) // TILE + 1):
            for column in range(left // TILE, (right - 1) // TILE + 1):
                y0, x0 = max(top, row * TILE), max(left, column * TILE)
                y1, x1 = min(bottom, (row + 1) * TILE), min(right, (column + 1) * TILE)
                part = self.tile(row, column)[y0 - row * TILE : y1 - row * TILE, x0 - column * TILE : x1 - column * TILE]
                found[y0 - top : y1 - top, x0 - left : x1 - left] = part
        return found

    def halved(self, folder: Path) -> MaskTiles:
        """The picture at half its size, every other pixel, in a folder of its own."""
        size = math.ceil(self.size[0] / 2), math.ceil(self.size[1] / 2)
        smaller = MaskTiles(folder, size)
        for row in range(smaller.tiles[0]):
            bottom = min(2 * (row + 1) * TILE, self.size[0])
            for column in smaller.columns:
                parts = []
                for each in range(column, min(column + STRIP, smaller.tiles[1])):
                    right = min(2 * (each + 1) * TILE, self.size[1])
                    parts.append(self.window(2 * row * TILE, 2 * each * TILE, bottom, right)[::2, ::2])
                smaller.write(row, column, np.concatenate(parts, axis=1))
        return smaller

    def close(self) -> None:
        """Close the strip that was read last."""
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def _path(self, row: int, column: int) -> Path:
        return self.folder / f"{row}-{column}.zip"


def levels_of(mask: MaskTiles) -> list[MaskTiles]:
    """A mask, and copies of half the size each, down to `SMALLEST`, in folders beside its tiles."""
    levels = [mask]
    while max(levels[-1].size) > SMALLEST:
        levels.append(levels[-1].halved(mask.folder / f"level-{len(levels)}"))
    return levels


def write_pyramid(path: Path, levels: list[MaskTiles], microns: tuple[float, float] | None, name: str) -> None:
    """Write a mask as a tiled OME-TIFF with levels of half the size, each every other pixel; whole or not at all.

    Args:
        path: the file.
        levels: the mask and its smaller copies (`levels_of`), all of their tiles written.
        microns: µm per pixel along y and x, if known.
        name: of the image in the file.

    Raises:
        DataError: the file cannot be written.
    """

    def tiles(level: MaskTiles) -> Iterator[bytes]:
        for row in range(level.tiles[0]):
            for column in range(level.tiles[1]):
                yield level.packed(row, column)

    said: dict[str, object] = {"axes": "YX", "Name": name}
    place: dict[str, object] = {}
    if microns is not None:
        said |= {"PhysicalSizeY": microns[0], "PhysicalSizeX": microns[1]}
        said |= {"PhysicalSizeYUnit": "µm", "PhysicalSizeXUnit": "µm"}
        place = {"resolution": (1e4 / microns[1], 1e4 / microns[0]), "resolutionunit": "CENTIMETER"}
    common = {"dtype": np.uint8, "tile": (TILE, TILE), "compression": "adobe_deflate", "photometric": "minisblack"}

    def write(stream: BinaryIO) -> None:
        with tifffile.TiffWriter(stream, bigtiff=True, ome=True) as file:
            for index, level in enumerate(levels):
                own = {"subifds": len(levels) - 1, "metadata": said, "software": f"LDSeg {__version__}", **place}
                options = own if index == 0 else {"subfiletype": 1, "metadata": None}
                file.write(tiles(level), shape=level.size, **common, **options)

    try:
        write_file(path, write)
    finally:
        for level in levels:
            level.close()
