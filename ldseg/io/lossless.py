"""Whether pictures were coded without loss, by their headers: WebP, JPEG XL, LERC and AVIF can be either.

What a header does not tell plainly counts as loss.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

_MOST_TILES = 64
"""The most tiles along an axis of AV1."""
_MOST_OF_SIZE = 8
"""The most bytes that tell the size of a part of AV1."""


class _Unclear(ValueError):
    """A header with parts that are not looked into."""


class _Bits:
    """The bits of some bytes, one number after the other; of each byte the highest first, or the lowest."""

    def __init__(self, content: bytes, highest_first: bool) -> None:
        order = range(7, -1, -1) if highest_first else range(8)
        self._bits = (byte >> place & 1 for byte in content for place in order)
        self._highest_first = highest_first
        self._taken = 0

    def take(self, count: int) -> int:
        """A number of so many bits."""
        found, self._taken = 0, self._taken + count
        for place in range(count):
            bit = next(self._bits, None)
            if bit is None:
                raise _Unclear
            found = found << 1 | bit if self._highest_first else found | bit << place
        return found

    def expect(self, wanted: int) -> None:
        """One bit, which has to be as it mostly is."""
        if self.take(1) != wanted:
            raise _Unclear

    def end_byte(self) -> None:
        """Pass over what is left of a byte."""
        self.take(-self._taken % 8)


def is_lossless_webp(content: bytes) -> bool:
    """Whether no part of a WebP file is coded with loss: ``VP8 ``; ``VP8L`` is without."""
    place = 12
    while place + 8 <= len(content):
        if content[place : place + 4] == b"VP8 ":
            return False
        length = struct.unpack_from("<I", content, place + 4)[0]
        place += 8 + length + length % 2
    return True


def is_lossless_lerc(content: bytes) -> bool:
    """Whether the greatest error that a LERC2 blob allows is below that of its type."""
    if content[:6] != b"Lerc2 ":
        return False
    (version,) = struct.unpack_from("<i", content, 6)
    # Behind the version: a check sum from 3 on; rows, columns, and values of each from 4 on; four more numbers.
    place = 10 + 4 * (version >= 3) + 8 + 4 * (version >= 4) + 12
    (kind,) = struct.unpack_from("<i", content, place)
    (error,) = struct.unpack_from("<d", content, place + 4 + 8 * (version >= 6))
    return bool(error <= (0.5 if kind < 6 else 0.0))


def is_lossless_jpegxl(content: bytes) -> bool:
    """Whether a JPEG XL keeps the samples as they are.

    What is coded with loss is turned to the colours XYB first, or comes from a JPEG and is coded by frequencies as this is.
    """
    return _clear(lambda: _jpegxl(content))


def is_lossless_avif(content: bytes) -> bool:
    """Whether the picture of an AVIF is quantised by steps of one, and its gray values are not brought to another range."""
    return _clear(lambda: _avif(content))


def _clear(look: Callable[[], bool]) -> bool:
    try:
        return look()
    except (_Unclear, struct.error, IndexError):
        return False


def _jpegxl(content: bytes) -> bool:
    start = _start_of_jpegxl(content)
    if start[:2] != b"\xff\x0a":
        raise _Unclear
    bits = _Bits(start[2:], highest_first=False)
    eighths = bits.take(1)
    for ratio_follows in (True, False):  # height, then width unless a ratio tells it
        bits.take(5 if eighths else (9, 13, 18, 30)[bits.take(2)])
        if ratio_follows and bits.take(3):
            break
    bits.expect(0)  # otherwise all is as usual, and XYB is
    bits.expect(0)  # no orientation, no preview and no animation
    if bits.take(1):  # floating point
        if bits.take(2) == 3:
            bits.take(6)
        bits.take(4)
    elif bits.take(2) == 3:
        bits.take(6)
    bits.take(1)
    channels = bits.take(2)
    if channels > 1:
        raise _Unclear
    if channels:
        bits.expect(1)  # transparency as usual
    bits.expect(0)  # not XYB
    _pass_colours_of_jpegxl(bits)
    bits.expect(0)
    bits.expect(0)  # no extensions
    bits.expect(1)  # colours are turned as usual
    bits.end_byte()
    bits.expect(0)  # a frame that is not as usual, which is coded by frequencies
    if bits.take(2):  # no frame to be shown
        raise _Unclear
    return bool(bits.take(1))


def _start_of_jpegxl(content: bytes) -> bytes:
    """The first 64 bytes of what is coded, which may lie in boxes, also in several."""
    if content[:2] == b"\xff\x0a":
        return content[:64]
    place, found = 0, b""
    while place < len(content) and len(found) < 64:
        (length, kind), head = struct.unpack_from(">I4s", content, place), 8
        if length == 1:  # a long one
            length, head = struct.unpack_from(">Q", content, place + 8)[0], 16
        length = length or len(content) - place
        if length < head:
            raise _Unclear
        if kind in (b"jxlc", b"jxlp"):
            behind = place + head + 4 * (kind == b"jxlp")  # its number comes first
            found += content[behind : min(place + length, behind + 64)]
        place += length
    return found[:64]


def _pass_colours_of_jpegxl(bits: _Bits) -> None:
    """Pass over what a header says of the colours (JPEG XL, part 1, annex E)."""

    def choice() -> int:
        kind = bits.take(2)
        return kind if kind < 2 else 2 + bits.take(4) if kind == 2 else 18 + bits.take(6)

    if bits.take(1):  # sRGB
        return
    bits.expect(0)  # no ICC profile, which would come before the frame
    gray = choice() == 1
    for told in (True, not gray):  # white, then the primaries
        if told and choice() == 2:  # by numbers
            raise _Unclear
    if bits.take(1):
        bits.take(24)  # gamma
    else:
        choice()
    choice()


def _avif(content: bytes) -> bool:
    colour, place = content.find(b"nclx"), content.find(b"mdat")
    if place < 4 or (colour >= 0 and not content[colour + 10] & 128):
        return False
    end = place - 4 + int.from_bytes(content[place - 4 : place], "big")
    place, sequence, found = place + 4, b"", []
    while place < end:  # the picture, and its transparency if any
        kind, part, place = _part_of_av1(content, place)
        if kind == 1:
            sequence = part
        elif kind in (3, 6):
            found.append(_quantised_by_one(_Bits(sequence, highest_first=True), _Bits(part[:256], highest_first=True)))
    return bool(found) and all(found)


def _part_of_av1(content: bytes, place: int) -> tuple[int, bytes, int]:
    """The kind of the part (OBU) at a place, its content, and where the next one begins (AV1, section 5.3)."""
    head = content[place]
    if head & 0x84 or not head & 2:
        raise _Unclear
    place, size = place + 1, 0
    for shift in range(0, 7 * _MOST_OF_SIZE, 7):
        byte = content[place]
        size, place = size | (byte & 127) << shift, place + 1
        if byte < 128:
            return head >> 3 & 15, content[place : place + size], place + size
    raise _Unclear


def _quantised_by_one(head: _Bits, frame: _Bits) -> bool:
    """Whether a frame is lossless, by the header of its sequence and its own (AV1, sections 5.5 and 5.9)."""
    profile, _, reduced = head.take(3), head.take(1), head.take(1)
    if not reduced:
        head.expect(0)  # no timing
        head.expect(0)
        if head.take(5):
            raise _Unclear
        head.take(12)
    if head.take(5) > 7 and not reduced:
        head.take(1)
    wide, high = head.take(4) + 1, head.take(4) + 1
    width, height = head.take(wide) + 1, head.take(high) + 1
    if not reduced:
        head.expect(0)  # no numbers of frames
    large, _ = head.take(1), head.take(2)
    screen, whole, hints = 2, 2, 0
    if not reduced:
        head.take(4)
        hinted = head.take(1)
        head.take(2 * hinted)
        screen = 2 if head.take(1) else head.take(1)
        whole = 2 if not screen or head.take(1) else head.take(1)
        hints = head.take(3) + 1 if hinted else 0
    smaller, _ = head.take(1), head.take(2)
    gray, apart = _colours_of_av1(head, profile)

    if not reduced:
        frame.expect(0)
        if frame.take(2):
            raise _Unclear
        frame.expect(1)
    fixed = frame.take(1)
    tools = frame.take(1) if screen == 2 else screen
    if tools and whole == 2:
        frame.take(1)
    if not reduced:
        frame.expect(0)  # of the size of the sequence
    frame.take(hints)
    if smaller:
        frame.expect(0)
    if frame.take(1):
        frame.take(32)
    frame.take(1 if tools else 0)
    frame.take(0 if reduced or fixed else 1)
    _pass_tiles(frame, width, height, 5 if large else 4)
    steps = [frame.take(8)] + [frame.take(1)]
    if not gray:
        twice = frame.take(1) if apart else 0
        steps += [frame.take(2), frame.take(2) if twice else 0]
    frame.expect(0)  # no matrix of steps
    frame.expect(0)  # no parts with steps of their own
    return not any(steps)


def _colours_of_av1(head: _Bits, profile: int) -> tuple[bool, bool]:
    """Whether there is gray alone, and whether both differences of colour may have steps of their own."""
    deep = head.take(1)
    twelve = head.take(1) if profile == 2 and deep else 0
    gray = head.take(1) if profile != 1 else 0
    told = (head.take(8), head.take(8), head.take(8)) if head.take(1) else (2, 2, 2)
    if not gray and told == (1, 13, 0):
        return False, bool(head.take(1))
    if not head.take(1):  # the range of video
        raise _Unclear
    if gray:
        return True, False
    across = profile == 0 or (profile == 2 and (not twelve or bool(head.take(1))))
    down = across and (profile == 0 or (bool(twelve) and bool(head.take(1))))
    head.take(2 if down else 0)
    return False, bool(head.take(1))


def _pass_tiles(frame: _Bits, width: int, height: int, shift: int) -> None:
    """Pass over what a header of a frame says of tiles (AV1, section 5.9.15)."""
    columns, rows = (-(-(2 * (-(-length // 8))) // (1 << shift)) for length in (width, height))
    area = (4096 * 2304) >> (2 * (shift + 2))
    frame.expect(1)  # of one size
    across = least = _doublings(4096 >> (shift + 2), columns)
    while across < _doublings(1, min(columns, _MOST_TILES)) and frame.take(1):
        across += 1
    down = max(max(least, _doublings(area, rows * columns)) - across, 0)
    while down < _doublings(1, min(rows, _MOST_TILES)) and frame.take(1):
        down += 1
    if across or down:
        frame.take(across + down + 2)


def _doublings(one: int, target: int) -> int:
    """How often a number has to be doubled to reach another."""
    return next(count for count in range(64) if one << count >= target)
