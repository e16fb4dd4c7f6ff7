"""What a file format offers: how its files are read, checked and written.

A new format is one module with a `Format` and one entry in the table `ldseg.io.formats.FORMATS`.
"""

from __future__ import annotations

import logging
import math
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ldseg.base.text import times
from ldseg.errors import DataError
from ldseg.io.geometry import Geometry

log = logging.getLogger(__name__)

LIMIT_VARIABLE = "LDSEG_READ_LIMIT"
"""Environment variable: the most GiB that the values of one file may take, decoded."""
_LIMIT_GIB = 2.0
before_decoding: Callable[[int], None] = lambda size: None  # noqa: E731
"""Called with the bytes of values that are decoded next; see `ldseg.io.apart`."""
MOST_TRAILING = 1 << 26
"""Bytes behind the values of a file that are passed over; more are refused, as they take time without bound."""


class Refused(ValueError):
    """A file that is whole but is not read; the text says why, and what would help."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds.

    Attributes:
        values: (*S, c) as stored.
        geometry: where they lie; None where the file does not say.
        bits: how many bits of each value are in use; None where the file does not say.
        modalities: whether the channels are images of their own, such as sequences of MR.
        lossy: the coding that has changed the values a little, such as JPEG; empty where they are as they were.
    """

    values: np.ndarray
    geometry: Geometry | None = None
    bits: int | None = None
    modalities: bool = False
    lossy: str = ""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format.

    Attributes:
        thing: what messages call such a file.
        suffixes: the extensions of its files, lower case.
        axes: what its files may be, see ``ldseg.base.spatial.AXES``.
        read: a file as `Content`, given its path, the axes, and whether it is a label (whose numbers count as stored).
            It checks first that the file holds what its header promises (`check_size`). It may raise anything.
        write: values of a mask or a map to a path, given where they lie and the file of the image; None where the format
            cannot hold them.
        masks: the extension of a mask or map of an image, by the image's extension; as it is where it is not listed.
        maps: the extension of a map of numbers; empty where it is that of a mask.
        magic: whether the first 132 bytes are those of such a file, for files without an extension.
    """

    thing: str
    suffixes: tuple[str, ...]
    axes: tuple[str, ...]
    read: Callable[[Path, str, bool], Content]
    write: Callable[[Path, np.ndarray, Geometry | None, Path | None], Path] | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    maps: str = ""
    magic: Callable[[bytes], bool] | None = None


def read_checked(path: Path, thing: str, read: Callable[[], Content]) -> Content:
    """Call a reader of a format on a file that is there.

    Raises:
        DataError: whatever goes wrong, in one line that names the file.
    """
    check_file(path)
    try:
        if not path.stat().st_size:
            raise ValueError("the file is empty (zero bytes)")
        with np.errstate(all="ignore"):  # values that are no numbers are found where images are checked
            return read()
    except (DataError, Refused) as error:
        raise error if isinstance(error, DataError) else DataError(f"{path}: {one_line(error)}") from error
    except MemoryError as error:
        raise DataError(f"{path}: not enough memory to read it") from error
    except Exception as error:  # decoders raise what they like on bytes that nobody has checked
        if other := what_else(path, thing):
            article = "an" if thing[0] in "aeiou" else "a"
            raise DataError(f"{path}: not {article} {thing}, but {other}") from error
        reason = one_line(error)
        raise DataError(f"{path}: not a readable {thing} (damaged, cut short or not supported): {reason}") from error


_OTHERS: tuple[tuple[bytes, int, str, tuple[str, ...]], ...] = (
    (b"DICM", 128, "a DICOM file; name it .dcm", ("DICOM file",)),
    (b"\x89PNG\r\n", 0, "a PNG file; name it .png", ("image",)),
    (b"\xff\xd8\xff", 0, "a JPEG file; name it .jpg", ("image",)),
    (b"PK\3\4", 0, "a ZIP archive; unpack it", ()),
    (b"7z\xbc\xaf", 0, "an archive of 7-Zip; unpack it", ()),
    (b"Rar!", 0, "an archive of RAR; unpack it", ()),
    (b"BZh", 0, "a file packed by bzip2; unpack it", ()),
    (b"\xfd7zXZ", 0, "a file packed by xz; unpack it", ()),
    (b"\x1f\x8b\x08", 0, "a file packed by gzip; unpack it", ("NIfTI file",)),
    (b"%PDF", 0, "a PDF", ()),
)
"""First bytes, where they stand, what such a file is, and the things of which a damaged file may begin so, too."""


def what_else(path: Path, thing: str) -> str:
    """What stands in a file in place of a thing, of what people meet; empty where it is none of that."""
    with path.open("rb") as stream:
        start = stream.read(1 << 12)
    if start.startswith(b"version https://git-lfs.github.com/"):
        return "a pointer of Git LFS to it; git lfs pull fetches the file itself"
    if start.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, as a download that failed leaves it"
    for magic, place, told, of in _OTHERS:
        if thing not in of and start[place : place + len(magic)] == magic:
            return told
    return "zeros alone, as a copy that failed leaves it" if start and not any(start) else ""


def check_file(path: Path) -> None:
    """Make sure that a path is a file that may be read; pipes and devices would be waited for.

    Raises:
        DataError: it is not.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise DataError(f"{path}: cannot be read: expected a file, found {kind}")


def check_size(shape: Sequence[int], itemsize: float) -> int:
    """How many bytes an array of a shape and a size of each value takes.

    Raises:
        Refused: more than the limit, `LIMIT_VARIABLE`.
        ValueError: a length that is not positive.
    """
    lengths = [int(length) for length in shape]
    if not lengths or min(lengths) < 1:
        raise ValueError(f"its header has the size {times(lengths) or 'of nothing'}")
    shown = "×".join(str(length) for length in lengths)
    most, needed = limit(), math.ceil(math.prod(lengths) * itemsize)
    if needed > most * 2**30:
        gib = needed / 2**30
        raise Refused(
            f"its header promises {shown} values, {gib:,.1f} GiB, more than the limit of {most:g} GiB"
            f" (the environment variable {LIMIT_VARIABLE}={math.ceil(gib)} would allow it)"
        )
    before_decoding(needed)
    return needed


def check_prepared(size: Sequence[int], channels: int, source: str) -> None:
    """An image of a size fits into memory as networks take it, in 32 bits for each of so many channels.

    Raises:
        DataError: it takes more than four times the limit on files, before it is tried.
    """
    try:
        most, gib = limit(), math.prod(size) * channels * 4 / 2**30
    except Refused as error:
        raise DataError(str(error)) from error
    if gib > 4 * most:
        raise DataError(
            f"{source}: {times(size)} in {channels} channels take {gib:,.1f} GiB, more than the limit of"
            f" {4 * most:g} GiB; cut it, or set the environment variable {LIMIT_VARIABLE}={math.ceil(gib / 4)}"
        )


def limit() -> float:
    """The most GiB that the values of one file may take, decoded.

    Raises:
        Refused: the environment variable holds no number.
    """
    text = os.environ.get(LIMIT_VARIABLE, str(_LIMIT_GIB))
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise Refused(f"the environment variable {LIMIT_VARIABLE}: expected a number of GiB above 0, got {text!r}")
    return found


def check_length(held: int, needed: int) -> None:
    """Raises ValueError where a file holds fewer bytes than its header promises."""
    if held < needed:
        raise ValueError(f"it holds {held} bytes, its header promises {needed}")


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, KeyError) or not text:
        return f"{type(error).__name__} {text}".strip()
    return " ".join(text.split())


def said_once(kind: str, line: str) -> None:
    """Log a warning, once in a process for each kind of thing.

    Args:
        kind: what it is about, such as a folder or a rule.
        line: the warning.
    """
    if kind not in _SAID:
        _SAID.add(kind)
        log.warning(line)


_SAID: set[str] = set()
