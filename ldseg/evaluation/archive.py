"""The record of a run as a table of Parquet, a row for each case, which grows while the run goes on.

It is a folder of files that are each written whole or not at all, as Parquet has data sets. Every file holds, beside its
rows, how the run came about; so figures and report are made from the table alone, also where the run was stopped.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from ldseg.base.remote import NEEDED, is_remote, names_in, read_remote, remove_remote, url_of, write_remote
from ldseg.base.text import natural, plain, some
from ldseg.base.untrusted import parsed
from ldseg.base.writing import remove, write_bytes
from ldseg.errors import DataError
from ldseg.evaluation.metrics import CLASS_METRICS, OBJECT_METRICS
from ldseg.evaluation.objects import ObjectSums
from ldseg.evaluation.record import CaseResult, RunRecord
from ldseg.evaluation.report import record_run
from ldseg.outputs import Outputs

FORMAT_VERSION = 1
_KEY = b"ldseg"
_PART = "part-{:06}.parquet"


class CaseTable:
    """The table of a run.

    Args:
        folder: of the run, here or in an object store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = Outputs(folder).cases_table

    def __str__(self) -> str:
        return url_of(self.path)

    @cached_property
    def _parts(self) -> list[str]:
        """The names of its files, in the order in which they were written."""
        if is_remote(self.path):
            found = names_in(self.path)
        else:
            found = [path.name for path in self.path.iterdir()] if self.path.is_dir() else []
        return sorted(name for name in found if name.startswith("part-") and name.endswith(".parquet"))

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return bool(self._parts)

    def facts(self) -> tuple[tuple[str, ...], Mapping[str, Any]]:
        """The names of the classes, and how the run came about, as the last file has them.

        Raises:
            DataError: there is no table, or it is none of LDSeg.
        """
        if not self.exists:
            raise DataError(f"{self}: expected the table of a run over an archive, found none")
        name = self._parts[-1]
        held = _arrow("parquet").read_schema(io.BytesIO(self._content(name))).metadata or {}
        with contextlib.suppress(Exception):  # on values that nobody has checked
            found = parsed(held[_KEY])
            if found["format"] == FORMAT_VERSION:
                return tuple(found["classes"]), found["run"]
        raise DataError(f"{self}/{name}: expected the cases of a run of LDSeg in format {FORMAT_VERSION}, found others")

    def states(self) -> dict[str, str]:
        """The status of each case, by its name."""
        return {
            name: status
            for part in self._parts
            for name, status in zip(*self._read(part, ["name", "status"]).to_pydict().values(), strict=True)
        }

    def record(self) -> RunRecord:
        """The record that its rows are, cases in natural order.

        Raises:
            DataError: it cannot be read, or has a case twice.
        """
        classes, facts = self.facts()
        cases = sorted((case for part in self._parts for case in self._cases(part, classes)), key=lambda c: natural(c.name))
        if twice := [name for name, count in Counter(case.name for case in cases).items() if count > 1]:
            raise DataError(f"{self}: expected each case once, found several times: {some(twice)}")
        return record_run(cases, classes, facts)

    def append(self, cases: Sequence[CaseResult], classes: Sequence[str], facts: Mapping[str, Any]) -> None:
        """Add rows, in a file of their own.

        Raises:
            UnwrittenError: it cannot be written; then none is added.
        """
        last = int(self._parts[-1].removeprefix("part-").removesuffix(".parquet")) if self.exists else -1
        self._write(_PART.format(last + 1), rows_of(cases, classes, self.folder), classes, facts)

    def forget(self, names: Collection[str]) -> None:
        """Take the rows of cases out, so that each has one when it was done again."""
        classes, facts = self.facts() if self.exists else ((), {})
        for part in list(self._parts):
            rows = self._read(part)
            kept = rows.filter(_arrow().array([name not in names for name in rows.column("name").to_pylist()], "bool"))
            if len(rows) > len(kept) == 0:
                path = self.path / part
                remove_remote([path]) if is_remote(path) else remove(path)
                self._parts.remove(part)
            elif len(kept) < len(rows):
                self._write(part, kept, classes, facts)

    def _write(self, part: str, rows: Any, classes: Sequence[str], facts: Mapping[str, Any]) -> None:
        told = {"format": FORMAT_VERSION, "classes": list(classes), "run": plain(facts)}
        stream = io.BytesIO()
        rows = rows.replace_schema_metadata({_KEY: json.dumps(told, ensure_ascii=True).encode()})
        _arrow("parquet").write_table(rows, stream, compression="zstd")
        path = self.path / part
        if is_remote(path):
            write_remote(path, stream.getvalue())
        else:
            write_bytes(path, stream.getvalue())
        if part not in self._parts:
            self._parts.append(part)

    def _content(self, part: str) -> bytes:
        path = self.path / part
        try:
            return read_remote(path) if is_remote(path) else path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error

    def _read(self, part: str, columns: list[str] | None = None) -> Any:
        content = self._content(part)
        try:
            return _arrow("parquet").ParquetFile(io.BytesIO(content)).read(columns)
        except DataError:
            raise
        except Exception as error:  # on bytes that nobody has checked
            raise DataError(f"{self}/{part}: not a table of Parquet: {' '.join(str(error).split())}") from error

    def _cases(self, part: str, classes: Sequence[str]) -> Iterator[CaseResult]:
        rows = self._read(part)
        try:
            yield from cases_of_rows(rows, classes)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self}/{part}: expected the cases of a run of LDSeg, found others: {error}") from error


def rows_of(cases: Sequence[CaseResult], classes: Sequence[str], folder: Path) -> Any:
    """Cases of a run in a folder as a table of Arrow. What does not exist is null."""
    rows = [plain(case.to_dict(classes, folder)) for case in cases]
    return _arrow().Table.from_pylist([_text(row) for row in rows], schema=_schema(classes))


def cases_of_rows(rows: Any, classes: Sequence[str]) -> list[CaseResult]:
    """The inverse of ``rows_of``."""
    found = []
    for row in rows.to_pylist():
        if row["objects"] is not None:
            row["objects"] = {name: row["objects"][name] for name in OBJECT_METRICS if name in row["objects"]}
        found.append(CaseResult.from_dict(row, classes))
    return found


def _text(value: Any) -> Any:
    """A value whose texts are Unicode: bytes of file names that are not UTF-8 become escapes, as in ``metrics.json``."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _text(each) for key, each in value.items()}
    return [_text(each) for each in value] if isinstance(value, list) else value


def _schema(classes: Sequence[str]) -> Any:
    """The columns of the table: those of ``CaseResult.to_dict``."""
    arrow = _arrow()
    text, figure, texts = arrow.string(), arrow.float64(), arrow.list_(arrow.string())
    amounts = {"counts": arrow.list_(arrow.int64()), "sizes": arrow.list_(figure), "unit": text}
    by_class, objects = dict.fromkeys(classes, figure), dict.fromkeys(OBJECT_METRICS, figure)
    columns = {
        **dict.fromkeys(("name", "status", "message", "mask"), text),
        "seconds": figure,
        "unit": text,
        **dict.fromkeys(("entropy", "predicted_dice", "unfamiliar"), figure),
        "warnings": texts,
        "amounts": arrow.struct(list(amounts.items())),
        **dict.fromkeys(CLASS_METRICS, arrow.struct(list(by_class.items()))),
        "objects": arrow.struct(list(objects.items())),
        "object_sums": arrow.struct([(entry.name, figure) for entry in fields(ObjectSums)]),
    }
    return arrow.schema(list(columns.items()))


def _arrow(part: str = "") -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise DataError(f"the record of an archive needs pyarrow, which is not installed: {NEEDED}") from error
    return pyarrow.parquet if part else pyarrow
