"""Figures and names as text. What does not exist is NaN in memory, null in JSON, an empty field in CSV, a dash to read."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

_BREAKS = re.compile(r"[\t\n\r\u2028\u2029]")
FEW = 8
"""Of many values, so many are named."""


def plain(value: Any) -> Any:
    """The same value in JSON's own types; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, set | frozenset):
        return [plain(v) for v in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def json_text(value: Any) -> str:
    """A value, made `plain`, as the content of a JSON file."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows, the names of the columns first, as the content of a CSV file.

    A text that spreadsheets take for a formula, such as a case named ``=1+1``, gets an apostrophe before it, as they do it.
    """
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([_no_formula(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def _no_formula(cell: Any) -> Any:
    if not isinstance(cell, str) or cell[:1] not in ("=", "+", "-", "@", "\t", "\r"):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def one_line(text: str) -> str:
    """A text in one line: ends of lines and tabs, which names of files may have, are written as their codes."""
    return _BREAKS.sub(lambda found: repr(found[0])[1:-1], text)


def fixed(value: float | None, digits: int = 6) -> str:
    """A number as a field of a CSV file, empty for what does not exist."""
    return "" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def number(value: float | None, digits: int = 4) -> str:
    """A figure to read; a dash for what does not exist."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def interval(ends: Sequence[float | None], digits: int = 4) -> str:
    """Its two ends to read; one dash where there is none."""
    low, high = (number(end, digits) for end in ends)
    return "–" if low == "–" else f"{low} to {high}"


def counted(count: int, thing: str) -> str:
    """Such as 1 case, 2 cases."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key to sort by: Case2 before Case10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in parts], name


def times(lengths: Sequence[float]) -> str:
    """Numbers as 4×5×6."""
    return "×".join(f"{length:g}" for length in lengths)


def few(values: Sequence[object]) -> str:
    """The first of many values, in their order."""
    return ", ".join(one_line(str(value)) for value in values[:FEW]) + (
        f", ... ({len(values)} in all)" if len(values) > FEW else ""
    )


def some(names: Sequence[str]) -> str:
    """A few of many names, in natural order."""
    ordered: list[str] = sorted(names, key=natural)
    return few(ordered)
