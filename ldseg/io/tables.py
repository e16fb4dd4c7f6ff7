"""Tables as text: CSV as programs and spreadsheets write it."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence

_MARKS = ",;|\t"
"""What may part cells."""


def cells_of(content: bytes, columns: Sequence[str], usual: str = ",", errors: str = "strict") -> list[list[str]]:
    """The cells of a table row by row, without the spaces around them; rows that are empty are left out.

    Text is UTF-8, or UTF-16 where its first bytes tell so, as Excel saves "Unicode text". Cells are parted by what a first
    line says as Excel writes it (``sep=;``), else by what stands in the header.

    Args:
        content: the bytes of the table.
        columns: names that may stand in its header.
        usual: what parts cells where nothing tells.
        errors: what is done with bytes that are no text, as in `bytes.decode`.

    Raises:
        ValueError: it is no such text.
        csv.Error: it is no table.
    """
    # Line ends as they are: those within quotes belong to the cell.
    text = io.StringIO(_decoded(content, errors), newline="")
    delimiter = _delimiter(text, columns, usual)
    # A space may stand between what parts cells and a quote.
    rows = ([cell.strip() for cell in row] for row in csv.reader(text, delimiter=delimiter, skipinitialspace=True))
    return [row for row in rows if any(row)]


def _decoded(content: bytes, errors: str) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors)
    if b"\0" in content and errors == "strict":
        raise ValueError("it holds zero bytes, as text in UTF-16 does")
    return content.decode("utf-8-sig", errors)


def _delimiter(text: io.StringIO, columns: Sequence[str], usual: str) -> str:
    """What parts the cells; the text stands at its header then."""
    start, line, told = 0, "", ""
    while not line.strip() or told == line:
        start, line = text.tell(), text.readline()
        if line.strip().strip('"').lower().startswith("sep="):
            told = line
        if not line:
            break
    below = _outside_quotes(next(filter(str.strip, text), ""))
    text.seek(start)
    if said := told.strip("\r\n").strip('"')[4:5]:
        return said
    line = _outside_quotes(line)
    names = "|".join(re.escape(name) for name in columns)
    beside = re.search(rf"(?i)(?:^|[{_MARKS}])[\s\"]*(?:{names})[\s\"]*?([{_MARKS}]|$)", line)
    if beside and beside[1]:
        return beside[1]
    # No name tells: the marks of a title that stands first may be those of its words.
    found = [mark for mark in _MARKS if mark in line and (mark in below or not any(other in below for other in _MARKS))]
    return found[0] if len(found) == 1 else usual


def _outside_quotes(line: str) -> str:
    """A line whose cells in quotes hold no mark."""
    return re.sub(r'"[^"]*"', lambda cell: re.sub(f"[{_MARKS}]", " ", cell[0]), line)
