"""Which image, label and patient belong together: by name, never by position."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ldseg.errors import DataError
from ldseg.io.names import stem_of

_ENDS = re.compile(r"_(label|mask|seg|segmentation)$", re.IGNORECASE)
_PATIENTS = (
    r"(?P<patient>\d+)_\d+(?P<mark>\(\d+\))?",  # DDTI: case_image(nodule)
    r"(?P<patient>BraTS-\w+-\d+)(?P<mark>-\d+)",  # BraTS since 2023: patient-time
)
"""Names that tell the patient; all of a set must be of one kind, and some have its mark: 1_2 alone may mean anything."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Images and labels by the name of their case.

    Attributes:
        folder: where the images were looked for.
        images: all images.
        labels: the labels of those that have one.
        channels: of images whose channels are a file each, the files after the first.
        annotations: of images that several have labelled, the labels in the order of their numbers.
        orphans: labels without an image, with the name that it should have.
        groups: the patients of cases, as far as a table or their names tell.
        problems: what else is wrong, one line each.
    """

    folder: Path
    images: dict[str, Path]
    labels: dict[str, Path]
    channels: dict[str, list[Path]] = field(default_factory=dict)
    annotations: dict[str, list[Path]] = field(default_factory=dict)
    orphans: list[tuple[str, Path]] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def by_name(paths: Iterable[Path], kind: str) -> dict[str, Path]:
    """Files by their name without extension. Raises DataError for two of one name, of a `kind` such as "images"."""
    named: dict[str, Path] = {}
    for path in paths:
        name = stem_of(path)
        if name in named:
            other = named[name].name if named[name].parent == path.parent else named[name]
            raise DataError(f"{path}: two {kind} of one name, the other is {other}; expected one")
        named[name] = path
    return named


def labels_of(images: dict[str, Path], paths: Iterable[Path]) -> tuple[dict[str, Path], list[tuple[str, Path]]]:
    """Labels by the name of their image, with or without ``_label`` (``_mask``, ``_seg``, ``_segmentation``) at the end,
    and those without image. Raises DataError for two labels of one image."""
    labels: dict[str, Path] = {}
    orphans = []
    for path in paths:
        short = _ENDS.sub("", stem_of(path))
        name = short if short in images else stem_of(path)
        if name not in images:
            orphans.append((short, path))
        elif name in labels:
            raise DataError(f"{path}: second label of case {name}, the other is {labels[name]}")
        else:
            labels[name] = path
    return labels, orphans


def annotations_of(images: dict[str, Path], paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The labels ``<case>_label_1``, ``_2``, ... of each image, unless that is the name of another one's label."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        match = re.fullmatch(r"(.+)_label_\d+", stem_of(path))
        if match and match[1] in images and stem_of(path) not in images:
            found.setdefault(match[1], []).append(path)
    for several in found.values():
        by_name(several, "labels")
    return found


def groups_of(table: Path, names: Iterable[str]) -> dict[str, str]:
    """The patient of each case as a table lists it or, without one, as the names tell (`_PATIENTS`); may be empty.

    Raises DataError for a table that cannot be read or lacks a column.
    """
    if table.exists():
        return _listed(table)
    for pattern in _PATIENTS:
        found = {name: re.fullmatch(pattern, name) for name in names}
        if all(found.values()) and any(match and match["mark"] for match in found.values()):
            return {name: match["patient"] for name, match in found.items() if match}
    return {}


def rows_of(path: Path, errors: str = "strict") -> list[list[str]]:
    """The rows of a CSV file that are not empty. Old-Mac, Unix and Windows line ends; `errors` of the text as in `open`.

    Raises DataError for a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors=errors)  # universal newlines: a lone carriage return ends a line
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]


def _listed(path: Path) -> dict[str, str]:
    rows = rows_of(path)
    header = [cell.lower() for cell in rows[0]] if rows else []
    patient = next((header.index(key) for key in ("patient id", "patient") if key in header), None)
    if "name" not in header or patient is None:
        found = ", ".join(header) or "none"
        raise DataError(f"{path}: expected the columns name and patient (or patient ID), found {found}")
    name = header.index("name")
    return {row[name]: row[patient] for row in rows[1:] if len(row) > max(name, patient) and row[patient]}
