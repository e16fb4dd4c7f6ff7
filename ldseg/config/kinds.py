"""Kinds of values that a key may take.

`convert` takes the text of the file, or a value of the right type, so that a section made in code or from
JSON passes the same check as one read from a file. It returns the canonical value or raises `Refused`. `text_of` goes back.
"""

import configparser
import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ldseg.base.options import AUTO
from ldseg.base.spatial import COLOUR, IGNORE
from ldseg.errors import ConfigError

_COLOUR = re.compile("#[0-9a-fA-F]{6}")


class Refused(Exception):
    """A value that is not of its kind; `nearest` is the valid value closest to it, where there is one."""

    def __init__(self, nearest: object = None) -> None:
        super().__init__()
        self.nearest = nearest


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """The entry of `names` that is most like `name`, letter case aside; None if there are no names."""
    by_lower = {entry.lower(): entry for entry in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.0)
    return by_lower[found[0]] if found else None


def shown(values: Iterable[object]) -> str:
    """A list as it would stand in the file."""
    return ", ".join(map(str, values)) or "nothing"


def plain(value: object) -> str:
    """One value, or several, as they would stand in the file."""
    if isinstance(value, tuple):
        return ", ".join(map(plain, value))
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`, both included; a whole one where both are int."""

    low: float
    high: float

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def expected(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.low} to {self.high}"

    def convert(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise Refused
        try:
            number = int(value) if self.whole else float(value)
        except (ValueError, OverflowError):
            raise Refused(self._nearest(value)) from None
        if not isinstance(value, str) and number != value:  # 4.5 for a whole number, NaN
            raise Refused(self._nearest(value))
        if not self.low <= number <= self.high:
            raise Refused(self._nearest(number))
        return number

    def _nearest(self, value: float | str) -> float | None:
        try:
            number = value if isinstance(value, int) else float(value)
        except ValueError:
            return None
        if math.isnan(number):
            return None
        bounded = min(max(number, self.low), self.high)
        return round(bounded) if self.whole else bounded


@dataclass(frozen=True)
class Flag:
    """True or False, in any of configparser's spellings."""

    expected: ClassVar[str] = "True or False (or yes/no, on/off, 1/0)"

    def convert(self, value: object) -> bool:
        state = configparser.ConfigParser.BOOLEAN_STATES.get(str(value).lower())
        if state is None:
            raise Refused(nearest_name(str(value), ("True", "False", "yes", "no", "on", "off")))
        return state


@dataclass(frozen=True)
class Choice:
    """One of a few words or whole numbers, letter case aside; returned as spelt in `values`."""

    values: tuple[str | int, ...]

    @property
    def expected(self) -> str:
        return "one of " + shown(self.values)

    def convert(self, value: object) -> str | int:
        text = str(value)
        for entry in self.values:
            if str(entry).lower() == text.lower():
                return entry
        numbers = [entry for entry in self.values if isinstance(entry, int)]
        if numbers and text.isdecimal():
            raise Refused(min(numbers, key=lambda entry: abs(entry - int(text))))
        raise Refused(nearest_name(text, map(str, self.values)))


@dataclass(frozen=True)
class Text:
    """A line of text; `optional` lets it be empty, `is_name` forbids what would lead out of a folder."""

    expected: str
    optional: bool = False
    is_name: bool = False

    def convert(self, value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or not (value.strip() or self.optional):
            raise Refused
        text = value.strip()
        if self.is_name and (text in {".", ".."} or set(text) & set("/\\")):
            raise Refused
        return text


@dataclass(frozen=True)
class Several:
    """Values of one kind with commas between them; `optional` lets there be none."""

    entry: Number | Text | Choice
    expected: str
    optional: bool = False

    def convert(self, value: object) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")] if value.strip() else []
        if not isinstance(value, (list, tuple)) or not (value or self.optional):
            raise Refused
        result: list[Any] = []
        refused = False
        for part in value:
            try:
                result.append(self.entry.convert(part))
            except Refused as error:
                if error.nearest is None:
                    raise
                refused = True
                result.append(error.nearest)
        if refused:
            raise Refused(shown(result))
        return tuple(result)


@dataclass(frozen=True)
class Pairs:
    """What stands in a label led to a class, ``from: to``, with commas between the pairs; there may be none.

    From is a whole number, or a colour ``#rrggbb``, which becomes a number from `COLOUR` on; all are of one sort. To is a
    whole number, or the word ``ignore``, which becomes `IGNORE`.
    """

    source: Number
    target: Number
    expected: str

    def convert(self, value: object) -> tuple[tuple[int, int], ...]:
        if isinstance(value, str):
            value = [part.split(":") for part in value.split(",")] if value.strip() else []
        if not isinstance(value, (list, tuple)):
            raise Refused
        if any(not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in value):
            raise Refused
        try:
            result = [(self._source(one), self._target(other)) for one, other in value]
        except Refused:
            raise Refused from None  # the nearest to one number is no list of pairs
        if len({one for one, _ in result}) < len(result) or len({one >= COLOUR for one, _ in result}) > 1:
            raise Refused
        return tuple(result)

    def text(self, pairs: tuple[tuple[int, int], ...]) -> str:
        """What ``convert`` makes these pairs of."""
        sources = [f"#{one - COLOUR:06x}" if one >= COLOUR else str(one) for one, _ in pairs]
        targets = ["ignore" if other == IGNORE else str(other) for _, other in pairs]
        return ", ".join(map("{}:{}".format, sources, targets))

    def _source(self, value: object) -> int:
        if isinstance(value, str) and _COLOUR.fullmatch(value.strip()):
            return COLOUR + int(value.strip()[1:], 16)
        return int(self.source.convert(value))

    def _target(self, value: object) -> int:
        if (isinstance(value, str) and value.strip().lower() == "ignore") or (value == IGNORE and isinstance(value, int)):
            return IGNORE
        return int(self.target.convert(value))


@dataclass(frozen=True)
class Auto:
    """A number, or ``auto``, which leaves it to LDSeg."""

    entry: Number

    @property
    def expected(self) -> str:
        return f"auto or {self.entry.expected}"

    def convert(self, value: object) -> float | str:
        if isinstance(value, str) and value.strip().lower() == AUTO:
            return AUTO
        return self.entry.convert(value)


@dataclass(frozen=True)
class Named:
    """Names with whole numbers, ``name: 1+2``, with commas between them; there may be none."""

    name: Text
    number: Number
    expected: str

    def convert(self, value: object) -> tuple[tuple[str, tuple[int, ...]], ...]:
        if isinstance(value, str):
            value = [part.rsplit(":", 1) for part in value.split(",")] if value.strip() else []
        if not isinstance(value, (list, tuple)):
            raise Refused
        if any(not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in value):
            raise Refused
        try:
            return tuple((self.name.convert(name), self._numbers(numbers)) for name, numbers in value)
        except Refused:
            raise Refused from None  # the nearest to one number is no list of names

    def text(self, named: tuple[tuple[str, tuple[int, ...]], ...]) -> str:
        """What ``convert`` makes these names and numbers of."""
        return ", ".join(f"{name}:{'+'.join(map(str, numbers))}" for name, numbers in named)

    def _numbers(self, value: object) -> tuple[int, ...]:
        parts = value.split("+") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not parts:
            raise Refused
        return tuple(int(self.number.convert(part)) for part in parts)


Kind = Number | Flag | Choice | Text | Several | Pairs | Named | Auto


def convert(name: str, kind: Kind, value: object) -> Any:
    """The canonical value of the key `name`. Raises ConfigError saying what was expected and what came."""
    try:
        return kind.convert(value)
    except Refused as refused:
        hint = "" if refused.nearest is None else f"; the nearest valid value is {refused.nearest}"
        raise ConfigError(f"{name}: expected {kind.expected}, got {value!r}{hint}") from None


def text_of(kind: Kind, value: Any) -> str:
    """A canonical value as it would stand in the file: what ``convert`` makes this value of."""
    return kind.text(value) if isinstance(kind, Pairs | Named) else plain(value)
