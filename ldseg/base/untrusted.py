"""Checks of what others wrote, weights above all, before it takes memory or time."""

from __future__ import annotations

import json
import types
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    import h5py

MOST_TEXT = 1 << 28
"""Bytes of a text of JSON that is read."""
MOST_UNPACKED = 1 << 32
"""Bytes that arrays may take that are packed."""
MOST_PACKED = 64
"""Times that these arrays may be larger than their file."""
_SPARE = 1 << 26
"""Bytes that arrays may take whatever the size of their file."""
MOST_PARTS = 100_000
"""Arrays and groups of arrays that a file may have."""
_HIGHEST = 1e300
"""Numbers as high as this one are no figures; whole ones, which have no end in Python, do not fit into others."""


def parsed(content: bytes | str) -> Any:
    """A text of JSON.

    Raises:
        ValueError: it is none, too long, or its brackets lie too deep.
    """
    if len(content) > MOST_TEXT:
        raise ValueError(f"a text of {len(content) >> 20} MiB, more than the limit of {MOST_TEXT >> 20} MiB")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("its brackets lie too deep") from None


def check_types(owner: type, values: Any, finite: bool = True) -> None:
    """The values are those of the fields of a dataclass, by name; a whole number counts as a number.

    Args:
        owner: the dataclass.
        values: by name; what is missing is not looked at.
        finite: whether numbers have to be finite.

    Raises:
        ValueError: a value is of another type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"expected a value for each name, got {_shown(values)}")
    hints = _hints(owner)
    for field in fields(owner):
        if field.name in values and not _fits(values[field.name], hints[field.name], finite):
            raise ValueError(f"{field.name}: expected {_words(hints[field.name])}, got {_shown(values[field.name])}")


@cache
def _hints(owner: type) -> dict[str, Any]:
    return get_type_hints(owner)


def _fits(value: Any, hint: Any, finite: bool) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, part, finite) for part in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(kinds) and all(_fits(*pair, finite) for pair in zip(value, kinds, strict=True))
    if origin is not None:
        if isinstance(value, Mapping):
            return all(_fits(k, inner[0], finite) and _fits(v, inner[1], finite) for k, v in value.items())
        hint = origin
    if hint is float:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return known and (abs(value) < _HIGHEST or (not finite and isinstance(value, float)))
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _HIGHEST
    return isinstance(hint, type) and isinstance(value, hint)


def _words(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    if get_origin(hint) is tuple:
        return "a list"
    return names.get(hint, "another type")


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:60] + "…"


def check_arrays(file: h5py.File, size: int) -> None:
    """The arrays of a file of HDF5 lie in it, and are not far larger than it.

    Args:
        file: opened.
        size: its bytes.

    Raises:
        ValueError: they are larger, are not of numbers, or lie in other files.
    """
    import h5py

    total = parts = 0
    groups: list[h5py.Group] = [file]
    while groups:
        group = groups.pop()
        for name in group:
            parts += 1
            if parts > MOST_PARTS:  # groups that lie in themselves have no end
                raise ValueError(f"it has more than {MOST_PARTS} arrays")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{name} is a link, expected an array")
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append(item)
                continue
            if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biufSV" or item.shape is None:
                raise ValueError(f"{item.name} is not an array of numbers")
            if item.external or item.is_virtual:
                raise ValueError(f"{item.name} lies in another file")
            total += int(item.size) * item.dtype.itemsize
            _check_total(total, size)


def check_archive(file: zipfile.ZipFile, size: int) -> None:
    """The parts of an archive are not far larger than it.

    Raises:
        ValueError: they are, or it has too many.
    """
    parts = file.infolist()
    if len(parts) > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS} parts")
    _check_total(sum(part.file_size for part in parts), size)


def _check_total(total: int, size: int) -> None:
    if total > max(2 * size, min(MOST_UNPACKED, max(MOST_PACKED * size, _SPARE))):
        raise ValueError(f"its arrays take {total / 2**30:,.2f} GiB, far more than its {size / 2**20:,.2f} MiB")
