"""Tables of paths as data sets: an image a row, with its label if any."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ldseg.base.paths import path_of
from ldseg.base.remote import NEEDED, is_remote, read_remote, url_of
from ldseg.base.text import some
from ldseg.data.cases import Case, Found
from ldseg.errors import DataError
from ldseg.io.contract import said_once
from ldseg.io.names import matches, same_form, stem_of
from ldseg.io.tables import cells_of

SUFFIXES = (".csv", ".tsv", ".parquet")
"""The extensions of tables."""

COLUMNS = ("image", "label", "name", "group")
"""The columns that are read; all but the first may be missing or empty."""


_MORE = "\0more"
"""What a row has behind the last column of the header."""
_MEANT = re.compile(r"mask|label|seg|truth|annot|patient|subject|split|fold|image")
"""In the names of columns that are not read and may have been meant."""


def is_table(path: Path) -> bool:
    """Whether a path is a table of paths, by its extension."""
    return path.suffix.lower() in SUFFIXES


def listed_cases(path: Path, patterns: Sequence[str] = ("*",)) -> Found:
    """The cases of a table of paths, in its order.

    The column ``image`` names a file or a folder, ``label`` its label, ``name`` the case (else it is the name of the image
    without extension), ``group`` its patient. Paths begin at the folder of the table unless they are whole; addresses such
    as ``s3://bucket/a.png`` and ``file:///folder/a.png`` are whole.

    Args:
        path: the table, CSV or TSV in UTF-8 (or UTF-16 with its mark), or Parquet; here or in an object store. Cells may be
            parted by commas, semicolons, tabs or upright strokes, as spreadsheets do in some languages.
        patterns: of the names of the cases that are wanted.

    Raises:
        DataError: it cannot be read, has no column ``image`` or two of one name, or no row that is wanted.
    """
    cases: dict[str, Case] = {}
    problems: list[str] = []
    for number, row in enumerate(_rows(path), start=1):
        try:
            image, label = _place(path, row["image"]), _place(path, row["label"])
        except RuntimeError:
            given = " and ".join(text for text in (row["image"], row["label"]) if text.startswith("~"))
            problems.append(f"{url_of(path)}: row {number}: expected a user whose home folder is known, found {given}")
            continue
        if image is None:
            problems.append(f"{url_of(path)}: row {number}: expected a path in the column image, found nothing")
            continue
        if row.get(_MORE):
            problems.append(
                f"{url_of(path)}: row {number}: left out, as it has more cells than the header: {row[_MORE]};"
                " a cell that holds what parts cells needs quotes"
            )
            continue
        name = same_form(row["name"]) if row["name"] else stem_of(image)
        if not _is_name(name):
            problems.append(f"{url_of(path)}: row {number}: expected a name that a file can have, found {name!r}")
        elif not matches(name, patterns):
            continue
        elif name in cases:
            other = url_of(cases[name].image)
            problems.append(
                f"{url_of(path)}: row {number}: left out, as {other} has the same name {name}; the column name sets others"
            )
        else:
            cases[name] = Case(name=name, image=image, label=label, group=row["group"] or name)
    if not cases:
        wanted = f"{url_of(path)}: expected a row for each image, found none of a name like {', '.join(patterns)}"
        raise DataError(problems[0] if problems else wanted)
    return Found(cases=tuple(cases.values()), problems=tuple(problems))


def _is_name(name: str) -> bool:
    return not ({"/", "\\", "\0"} & set(name)) and name not in ("", ".", "..")


def _place(table: Path, text: str) -> Path | None:
    if not text:
        return None
    if is_remote(path_of(text)):
        return path_of(text)
    if "\\" in text and not is_remote(table) and not os.path.lexists(table.parent / text):
        text = text.replace("\\", "/")  # as Windows writes paths
    found = table.parent / path_of(text).expanduser()
    if "%" in text and not is_remote(table) and not os.path.lexists(found):
        decoded = table.parent / Path(unquote(text)).expanduser()  # as browsers and programs of annotation write them
        return decoded if os.path.lexists(decoded) else found
    return found


def _header(path: Path, names: Iterable[str]) -> list[str]:
    """The names of the columns, in small letters.

    Raises:
        DataError: a column that is read is there twice.
    """
    header = [name.lower() for name in names]
    unused = [name for name in header if name not in COLUMNS and _MEANT.search(name)]
    if unused and "image" in header:
        said_once(f"columns of {path}", f"{url_of(path)}: not used: {some(unused)}; read are {', '.join(COLUMNS)}")
    for name in COLUMNS:
        if header.count(name) > 1:
            raise DataError(f"{url_of(path)}: expected one column {name}, found {header.count(name)}")
    return header


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    """The rows, each with all of COLUMNS."""
    try:
        content = read_remote(path) if is_remote(path) else path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if path.suffix.lower() == ".parquet":
        header, rows = _parquet(path, content)
    else:
        header, rows = _text(path, content)
    if "image" not in header:
        found = ", ".join(header) or "none"
        raise DataError(f"{url_of(path)}: expected a table of paths with the column image, found the columns {found}")
    read = (*COLUMNS, _MORE)
    return (dict.fromkeys(COLUMNS, "") | {name: row[name] for name in read if name in row} for row in rows)


def _text(path: Path, content: bytes) -> tuple[Sequence[str], Iterable[Mapping[str, str]]]:
    try:
        filled = cells_of(content, COLUMNS, "\t" if path.suffix.lower() == ".tsv" else ",")
    except (ValueError, csv.Error) as error:
        raise DataError(f"{url_of(path)}: not a table in UTF-8: {error}") from error
    header = _header(path, filled[0] if filled else ())
    # A row that is short has nothing in its last columns.
    return header, (
        dict(zip(header, [*row, *[""] * len(header)], strict=False)) | {_MORE: ", ".join(filter(None, row[len(header) :]))}
        for row in filled[1:]
    )


def _parquet(path: Path, content: bytes) -> tuple[Sequence[str], Iterable[Mapping[str, str]]]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise DataError(f"{url_of(path)}: Parquet needs pyarrow, which is not installed: {NEEDED}") from error
    try:
        table: Any = parquet.read_table(io.BytesIO(content))
    except Exception as error:  # on bytes that nobody has checked
        raise DataError(f"{url_of(path)}: not a table of Parquet: {' '.join(str(error).split())}") from error
    header = _header(path, table.column_names)
    table = table.rename_columns(header)
    wanted = table.select([name for name in COLUMNS if name in header])
    rows = (row for batch in wanted.to_batches() for row in batch.to_pylist())
    return header, ({name: "" if value is None else str(value) for name, value in row.items()} for row in rows)
