"""Lengths: the units that headers name, and the sizes that a voxel can have."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ldseg.io.contract import Refused

LEAST_MM, MOST_MM = 1e-7, 1e5
"""What a voxel can measure along an axis of space, mm: from an ångström to a hundred metres."""

_NAMES: dict[float, tuple[str, ...]] = {
    1e-9: ("pm", "picometer", "picometre"),
    1e-7: ("å", "angstrom", "ångström"),
    1e-6: ("nm", "nanometer", "nanometre"),
    1e-3: ("um", "µm", "micron", "micrometer", "micrometre"),
    1.0: ("mm", "millimeter", "millimetre"),
    10.0: ("cm", "centimeter", "centimetre"),
    25.4: ("in", "inch", "inches"),
    100.0: ("dm", "decimeter", "decimetre"),
    1000.0: ("m", "meter", "metre"),
    1e6: ("km", "kilometer", "kilometre"),
}
_NO_LENGTH = (
    *("", "?", "???", "none", "unknown", "undefined", "unspecified", "n/a", "arbitrary", "a.u.", "unitless"),
    *("dimensionless", "pixel", "px", "voxel", "index", "slice", "frame"),
)
"""What headers say where they know no unit."""
_TIMES = (
    *("ns", "nanosecond", "us", "µs", "usec", "microsecond", "ms", "msec", "millisecond", "s", "sec", "second"),
    *("min", "minute", "h", "hr", "hour", "d", "day"),
)


def millimetres(unit: str) -> float | None:
    """mm in a unit of length by its name or sign, whatever its spelling; None for what is none."""
    return _MM.get(_plain(unit))


def factor_of(unit: str, field: str) -> float:
    """What lengths in a unit are to be multiplied by to be mm; 1 for units of time, and where the header knows none.

    Args:
        unit: as the header names it.
        field: which of its fields does.

    Raises:
        Refused: another unit.
    """
    found = millimetres(unit)
    if found is None and _plain(unit) not in _OTHERS:
        raise Refused(f"its header has {field} {unit!r}, expected a unit of length such as mm, um or cm")
    return 1.0 if found is None else found


def check_steps(steps: Sequence[float], letters: str) -> None:
    """Voxels have a size that can be.

    Args:
        steps: the spacing along the axes of an array; mm, along time any unit.
        letters: what the axes are.

    Raises:
        Refused: they have not.
    """
    for step, letter in zip(steps, letters, strict=True):
        low, high = (0.0, float("inf")) if letter == "T" else (LEAST_MM, MOST_MM)
        if not (low <= step <= high and 0 < step < float("inf")):
            wanted = "a positive number" if letter == "T" else f"{low:g} to {high:g} mm"
            raise Refused(
                f"its spacing is {', '.join(f'{part:g}' for part in steps)} ({letters.lower()}), expected {wanted}"
                f" along {letter.lower()}"
            )


def _plain(unit: str) -> str:
    """A unit in the spelling of the tables: one sign for micro, small letters, singular."""
    plain = unicodedata.normalize("NFKC", unit).strip().strip('"').casefold()
    return plain[:-1] if len(plain) > 3 and plain.endswith("s") and plain != "inches" else plain


_MM = {_plain(name): scale for scale, names in _NAMES.items() for name in names}
_OTHERS = {_plain(name) for name in (*_NO_LENGTH, *_TIMES)}
