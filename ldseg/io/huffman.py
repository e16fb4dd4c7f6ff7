"""Whether a JPEG of 12 bits has all of its pixels: libraries that decode it say nothing of those that lack.

The coded pixels are walked through, symbol by symbol, without decoding them (ITU-T T.81, annex F.2). For 8 bits libraries
tell by themselves of most that lacks; this walk would tell of some gaps more, and takes thirty times as long as they do to
decode.
"""

from __future__ import annotations

import struct

_SPARE = 24
"""Bits behind the last pixel that are passed over: padding to a whole byte, and two bytes that some cameras add."""


def check_coded(content: bytes) -> bool:
    """Walk through the scans of a sequential JPEG with Huffman codes; others are not looked at.

    Returns:
        whether there was such a scan.

    Raises:
        ValueError: it holds fewer or more coded pixels than its header promises.
    """
    place, size, restart = 2, (0, 0), 0
    tables: dict[int, list[int]] = {}
    parts: dict[int, tuple[int, int]] = {}
    walked = False
    while place + 4 <= len(content):
        mark, length = struct.unpack_from(">HH", content, place)
        segment = content[place + 4 : place + 2 + length]
        if mark == 0xFFC4:
            tables |= _tables(segment)
        elif mark in (0xFFC0, 0xFFC1):
            size = struct.unpack_from(">HH", segment, 1)
            parts = {segment[at]: (segment[at + 1] >> 4, segment[at + 1] & 15) for at in range(6, 6 + 3 * segment[5], 3)}
        elif mark == 0xFFDD:
            (restart,) = struct.unpack_from(">H", segment)
        elif mark == 0xFFDA:
            if not parts:
                return False  # progressive, or not of Huffman
            place = _check_scan(content, place + 2 + length, segment, tables, parts, size, restart)
            walked = True
            continue
        elif mark < 0xFF00 or mark == 0xFFD9 or length < 2:
            return walked
        place += 2 + length
    return walked


def _tables(segment: bytes) -> dict[int, list[int]]:
    """For each table what a code of 16 bits begins with: length times 256 plus symbol; 0 where it is no code."""
    found, place = {}, 0
    while place + 17 <= len(segment):
        number, counts = segment[place], segment[place + 1 : place + 17]
        table, code, place = [0] * 65536, 0, place + 17
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                first, end = code << (16 - length), (code + 1) << (16 - length)
                if end > 65536:
                    raise ValueError("a table of codes is damaged")
                table[first:end] = [length << 8 | segment[place]] * (end - first)
                code, place = code + 1, place + 1
            code <<= 1
        found[number] = table
    return found


def _check_scan(
    content: bytes,
    place: int,
    header: bytes,
    tables: dict[int, list[int]],
    parts: dict[int, tuple[int, int]],
    size: tuple[int, int],
    restart: int,
) -> int:
    """Walk through one scan, and return where it ends."""
    chosen = {header[at]: header[at + 1] for at in range(1, 1 + 2 * header[0], 2)}
    wide, high = max(part[0] for part in parts.values()), max(part[1] for part in parts.values())
    if len(chosen) == 1:  # a block at a time, as many as the plane has
        ((part, _),) = chosen.items()
        across, down = (
            -(-length * factor // most)
            for length, factor, most in zip((size[1], size[0]), parts[part], (wide, high), strict=True)
        )
        units, blocks = -(-across // 8) * -(-down // 8), {part: 1}
    else:
        units = -(-size[1] // (8 * wide)) * -(-size[0] // (8 * high))
        blocks = {part: parts[part][0] * parts[part][1] for part in chosen}
    order = [(tables[chosen[part] >> 4], tables[16 + (chosen[part] & 15)]) for part in chosen for _ in range(blocks[part])]
    intervals, end = _intervals(content, place)
    for data in intervals:
        count = min(restart, units) if restart else units
        left = 8 * len(data) - _walked(data + bytes(8), order, count, 8 * len(data))
        if left < 0 or left >= _SPARE:
            what = "lacks coded pixels" if left < 0 else f"has {left // 8} bytes of coded pixels too many"
            raise ValueError(f"the JPEG file {what}")
        units -= count
    if units:
        raise ValueError("the JPEG file lacks coded pixels")
    return end


def _intervals(content: bytes, place: int) -> tuple[list[bytes], int]:
    """The coded bytes from a place on, parted at restart marks, and where they end."""
    found, start = [], place
    while True:
        place = content.find(b"\xff", place)
        if place < 0 or place + 1 >= len(content):
            raise ValueError(f"the JPEG file ends early, at byte {len(content)}")
        kind = content[place + 1]
        if kind == 0:
            place += 2
        elif kind == 0xFF:
            place += 1
        else:
            found.append(content[start:place].rstrip(b"\xff").replace(b"\xff\0", b"\xff"))
            if not 0xD0 <= kind <= 0xD7:
                return found, place
            place = start = place + 2


def _walked(data: bytes, order: list[tuple[list[int], list[int]]], units: int, end: int) -> int:
    """The bits that so many units take; more than there are where they end early."""
    place = 0
    for _ in range(units):
        for first, others in order:
            if place > end:
                return place
            at, index = place >> 3, 0
            table = first
            while index < 64:
                word = (data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]) >> (16 - (place & 7)) & 65535
                code = table[word]
                if not code:
                    if place + 16 > end:
                        return end + 1
                    raise ValueError("the JPEG file holds a code that is none")
                symbol = code & 255
                bits = symbol if table is first else symbol & 15
                place += (code >> 8) + bits
                if place > end:
                    return place
                at = place >> 3
                if table is first:
                    index, table = 1, others
                elif bits:
                    index += (symbol >> 4) + 1
                elif symbol == 0xF0:
                    index += 16
                else:
                    break
            if index > 64:
                raise ValueError("the JPEG file holds a block that is too long")
    return place
