"""PNG of every depth: what is stored comes out, and all of it."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.io.scans import read_scan, read_scan_label

SIZE = (19, 26)
RNG = np.random.default_rng(0)
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def rows_of(values: np.ndarray, bits: int) -> bytes:
    """Rows without a filter, values packed from the highest bit on."""
    rows = b""
    for row in values:
        digits = "".join(f"{value:0{bits}b}" for value in row.ravel().tolist())
        digits += "0" * (-len(digits) % 8)
        rows += b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    return rows


def png(values: np.ndarray, bits: int, kind: int, *more: bytes, woven: bool = False, rows: bytes | None = None) -> bytes:
    if rows is None:
        parts = [values[y::down, x::right] for y, x, down, right in PASSES] if woven else [values]
        rows = b"".join(rows_of(part, bits) for part in parts if part.size)
    height, width = values.shape[:2]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(woven)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("woven", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_every_depth(tmp_path: Path, bits: int, woven: bool) -> None:
    """Of an image white is the highest value; one colour that is said to be transparent changes nothing."""
    path, values = tmp_path / "a.png", RNG.integers(0, 2**bits, SIZE)
    for more in (b"", chunk(b"tRNS", b"\0\1")):
        path.write_bytes(png(values, bits, 0, more, woven=woven))
        np.testing.assert_array_equal(read_scan_label(path, "YX")[0], values)
        expected = values * (255 // (2**bits - 1) if bits < 8 else 1)
        np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], expected)
        if bits >= 8:
            colours = RNG.integers(0, 2**bits, (*SIZE, 3))
            path.write_bytes(png(colours, bits, 2, more and chunk(b"tRNS", bytes(6)), woven=woven))
            np.testing.assert_array_equal(read_scan(path, "YX").values, colours)
    if bits <= 8:
        table = RNG.integers(0, 256, (2**bits, 3)).astype(np.uint8)
        path.write_bytes(png(values, bits, 3, chunk(b"PLTE", table.tobytes()), chunk(b"tRNS", b"\0\x80"), woven=woven))
        np.testing.assert_array_equal(read_scan_label(path, "YX")[0], values)
        np.testing.assert_array_equal(read_scan(path, "YX").values, table[values])


@pytest.mark.parametrize("woven", [False, True])
@pytest.mark.parametrize(("bits", "kind"), [(1, 0), (4, 0), (8, 0), (2, 3), (8, 3), (16, 2)])
def test_rows_that_lack(tmp_path: Path, bits: int, kind: int, woven: bool) -> None:
    """The check sums of such a file are right."""
    values = RNG.integers(0, 2**bits, (*SIZE, 3) if kind == 2 else SIZE)
    table = [chunk(b"PLTE", bytes(3 * 2**bits))] if kind == 3 else []
    path, rows = tmp_path / "a.png", rows_of(values[:10], bits)
    path.write_bytes(png(values, bits, kind, *table, woven=woven, rows=rows))
    with pytest.raises(
        DataError, match=r"a\.png: not a readable image .*(rows end early, at byte|[Nn]ot enough|bad adaptive filter)"
    ):
        read_scan(path, "YX")


def test_chunks_that_lack(tmp_path: Path) -> None:
    path, values = tmp_path / "a.png", RNG.integers(0, 4, SIZE)
    whole = png(values, 8, 3)
    start = whole.index(b"IDAT") - 4
    without = whole[:start] + whole[whole.index(b"IEND") - 4 :]
    early = whole[:8] + chunk(b"CgBI", bytes(4)) + whole[8:]
    for content, what in (
        (whole, "has no palette"),
        (without, "has no pixels"),
        (early, "first chunk is CgBI, expected IHDR"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"a\.png: not a readable image .*{what}"):
            read_scan(path, "YX")


@pytest.mark.parametrize(("bits", "kind"), [(8, 0), (1, 0), (8, 3)])
def test_rows_that_inflate_without_end(tmp_path: Path, bits: int, kind: int) -> None:
    table = [chunk(b"PLTE", bytes(3))] if kind == 3 else []
    path = tmp_path / "a.png"
    path.write_bytes(png(np.zeros((8, 8), int), bits, kind, *table, rows=bytes(80_000_000)))
    with pytest.raises(DataError, match=r"a\.png: .*it holds \d+ bytes of packed rows, which are \d+ bytes unpacked"):
        read_scan(path, "YX")


def control(number: int) -> bytes:
    """The chunk before a frame of an animation: its number, size, place, delay, and how it is drawn."""
    return chunk(b"fcTL", struct.pack(">5I2H2B", number, SIZE[1], SIZE[0], 0, 0, 1, 10, 0, 0))


@pytest.mark.parametrize(("bits", "kind", "planes"), [(16, 0, 1), (16, 2, 3), (8, 0, 1), (8, 2, 3), (4, 0, 1)])
def test_an_animation_of_one_frame(tmp_path: Path, bits: int, kind: int, planes: int) -> None:
    path, values = tmp_path / "a.png", RNG.integers(0, 2**bits, (*SIZE, planes))
    path.write_bytes(png(values, bits, kind))
    plain = read_scan(path, "YX").values
    path.write_bytes(png(values, bits, kind, chunk(b"acTL", struct.pack(">2I", 1, 0)), control(0)))
    found = read_scan(path, "YX").values
    np.testing.assert_array_equal(found, plain)
    np.testing.assert_array_equal(found, values * (17 if bits == 4 else 1))
    # Two frames, and one that is not what the PNG itself shows.
    for more in ((chunk(b"acTL", struct.pack(">2I", 2, 0)), control(0)), (chunk(b"acTL", struct.pack(">2I", 1, 0)),)):
        path.write_bytes(png(values, bits, kind, *more))
        with pytest.raises(DataError, match=r"a\.png: .*several frames, expected one picture"):
            read_scan(path, "YX")
