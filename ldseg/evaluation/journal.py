"""Results that are kept as they come, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ldseg.errors import DataError
from ldseg.evaluation.report import plain

FORMAT_VERSION = 1


class Journal:
    """Records in a file ``<name>_<key>.jsonl``, one a line, the key made from the settings that they depend on.

    The first line holds the settings. A line is on disk before `append` returns; one that was cut short, and one that
    cannot be read, is as if it were not there.

    Attributes:
        path: the file, which is made by the first `append`.
        records: what it holds, in the order in which it came.

    Args:
        folder: where the file lies.
        name: what its name begins with.
        settings: plain values by name.

    Raises:
        DataError: if the file cannot be read, or is of other settings than its name says.
    """

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
        self.settings: dict[str, Any] = plain(settings)
        text = json.dumps(self.settings, sort_keys=True)
        self._name, self._begun = name, False
        self.path = folder / f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}.jsonl"
        head, *self.records = list(_lines(self.path)) or [self._head]
        if head != self._head:
            raise DataError(f"{self.path}: expected results of the settings in its name, found {str(head)[:80]}; delete it")

    @property
    def _head(self) -> dict[str, Any]:
        return {"format": FORMAT_VERSION, "settings": self.settings}

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep a record; what is not finite becomes None.

        Raises:
            DataError: if it cannot be written.
        """
        kept = plain(record)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                lines = [kept]
                if not self._begun:
                    file.seek(0)
                    whole = file.read().rfind(b"\n") + 1
                    file.truncate(whole)  # a line that was cut short would spoil the one after it
                    lines = [kept] if whole else [self._head, kept]
                file.write("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written: {error.strerror or error}") from error
        self._begun = True
        self.records.append(kept)

    def others(self) -> dict[Path, dict[str, tuple[Any, Any]]]:
        """Files of that name with other settings, and which: for each that differs, theirs and ours."""
        found = {}
        for path in sorted(self.path.parent.glob(f"{self._name}_*.jsonl")):
            theirs = next(_lines(path), {}).get("settings")
            if path != self.path and isinstance(theirs, dict):
                names = [name for name in self.settings if theirs.get(name) != self.settings[name]]
                found[path] = {name: (theirs.get(name), self.settings[name]) for name in names}
        return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """What the whole lines of a file hold; nothing if there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    for line in content.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record
