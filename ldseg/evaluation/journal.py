"""Results that are kept as they come, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ldseg.base.text import plain
from ldseg.base.untrusted import parsed
from ldseg.base.writing import append_text, move, write_text
from ldseg.errors import DataError

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


class Journal:
    """Records in a file, one a line, under a line with the settings that they depend on.

    A line is on disk before `append` returns; one that was cut short is as if it were not there. A file of other settings
    is not gone on with: it is kept as ``<name>.old.jsonl``, in place of what was kept there, which is gone on with where
    it is of these settings.

    Attributes:
        path: the file.
        records: what it holds, in the order in which it came.

    Args:
        path: where the file lies; its suffix is .jsonl.
        settings: plain values by name.

    Raises:
        DataError: if the file cannot be read or written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        head = {"format": FORMAT_VERSION, "settings": plain(settings)}
        old = path.with_suffix(".old.jsonl")
        try:
            given, kept = list(_lines(path)), list(_lines(old))
            own = next((lines for lines in (given, kept) if lines and lines[0] == head), [])
            if own is not given and path.exists():
                theirs = given[0].get("settings") if given else None
                theirs = theirs if isinstance(theirs, dict) else {}
                changed = [name for name, value in head["settings"].items() if theirs.get(name) != value]
                how = f"gone on with {old.name}" if own else "begun anew"
                logger.warning("%s: of other settings (%s): kept as %s, %s", path, ", ".join(changed), old.name, how)
                move(path, old)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
        self.records: list[dict[str, Any]] = own[1:]
        write_text(path, "".join(map(_line, [head, *self.records])))

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep a record; what is not finite becomes None.

        Raises:
            DataError: if it cannot be written.
        """
        kept = plain(record)
        append_text(self.path, _line(kept))
        self.records.append(kept)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """What the whole lines of a file hold; nothing if there is none."""
    content = path.read_bytes() if path.exists() else b""
    for line in content.split(b"\n")[:-1]:
        try:
            record = parsed(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record
