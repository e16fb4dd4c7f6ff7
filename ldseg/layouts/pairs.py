"""Which image, label and patient belong together: by name, never by position."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ldseg.base.text import some
from ldseg.errors import DataError
from ldseg.io.contract import check_file
from ldseg.io.formats import SUFFIXES, is_scan
from ldseg.io.names import same_form, stem_of, suffix_of, visible
from ldseg.io.tables import cells_of
from ldseg.outputs import FOLDERS

_WORDS = r"labels?|masks?|seg|segmentations?|gt|ground_?truth|ann|annotations?|manual\d?"
"""What the name of a label has behind that of its image."""
_ENDS = re.compile(rf"[_\-. ]({_WORDS})$", re.IGNORECASE)
_PATIENTS = (
    r"(?P<patient>\d+)_\d+(?P<mark>\(\d+\))?",  # DDTI: case_image(nodule)
    r"(?P<patient>BraTS-\w+-\d+)(?P<mark>-\d+)",  # BraTS since 2023: patient-time
)
"""Names that tell the patient; all of a set must be of one kind, and some have its mark: 1_2 alone may mean anything."""


MOST_TABLE = 1 << 26
"""Bytes that a table may have."""
_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
_COLUMNS = ("name", "patient", "patient id", "image", "img")
"""Of tables of patients and of pairs."""
_BESIDE = re.compile(rf"(.+?)[_\-. ]({_WORDS})([_\-. ]?\d+)?", re.IGNORECASE)
_COMPANIONS = (
    *(".raw", ".zraw", ".img", ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".ini", ".toml"),
    *(".pdf", ".html", ".htm", ".log", ".py", ".db", ".bib", ".xls", ".xlsx", ".doc", ".docx", ".license"),
)
"""Extensions of what stands beside images and is none: voxels of a header elsewhere, tables, texts."""


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


def by_name(paths: Iterable[Path], kind: str, problems: list[str]) -> dict[str, Path]:
    """Files by their name without extension.

    Args:
        paths: the files.
        kind: what they are, such as "images".
        problems: takes a line for each file of a name that another has; none of that name is used.
    """
    named: dict[str, Path] = {}
    twice = set()
    for path in paths:
        name = stem_of(path)
        if name in named:
            other = named[name].name if named[name].parent == path.parent else named[name]
            problems.append(f"{path}: two {kind} of one name, the other is {other}; expected one, none is used")
            twice.add(name)
        named.setdefault(name, path)
    return {name: path for name, path in named.items() if name not in twice}


def labels_of(
    images: dict[str, Path], paths: Iterable[Path], problems: list[str]
) -> tuple[dict[str, Path], list[tuple[str, Path]]]:
    """Labels by the name of their image, and those without image.

    With or without ``_label`` (``_mask``, ``-gt``, ...: `_WORDS`) at the end of their names.
    `problems` takes a line for a second label of an image, which then has none.
    """
    labels: dict[str, Path] = {}
    orphans = []
    twice = set()
    for path in paths:
        short = _ENDS.sub("", stem_of(path))
        name = short if short in images else stem_of(path)
        if name not in images:
            orphans.append((short, path))
        elif name in labels:
            problems.append(f"{path}: second label of case {name}, the other is {labels[name]}; none is used")
            twice.add(name)
        else:
            labels[name] = path
    return {name: path for name, path in labels.items() if name not in twice}, orphans


def annotations_of(images: dict[str, Path], paths: Sequence[Path], problems: list[str]) -> dict[str, list[Path]]:
    """The labels ``<case>_label_1``, ``_2``, ... of each image, unless that is the name of another one's label.

    `problems` takes a line for two of one name, of which none is used.
    """
    found: dict[str, list[Path]] = {}
    for path in paths:
        match = re.fullmatch(r"(.+)_label_\d+", stem_of(path))
        if match and match[1] in images and stem_of(path) not in images:
            found.setdefault(match[1], []).append(path)
    kept = {name: list(by_name(several, "labels", problems).values()) for name, several in found.items()}
    return {name: several for name, several in kept.items() if several}


def beside(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """The masks ``x_mask`` (``_label``, ``-gt``, ...: `_WORDS`) that stand beside an image ``x``, by that image.

    Further ones, ``x_mask_1``, ``x_mask_2``, ..., come after it.
    """
    paths = list(paths)
    named = [(path, match) for path in paths if (match := _BESIDE.fullmatch(stem_of(path)))]
    images = {(path.parent, stem_of(path)): path for path in paths} if named else {}
    found: dict[Path, list[Path]] = {}
    for path, match in named:
        if (path.parent, match[1]) in images and images[path.parent, stem_of(path)] == path:  # of two of one name the last
            found.setdefault(images[path.parent, match[1]], []).append(path)
    return {image: sorted(masks, key=lambda mask: (len(stem_of(mask)), mask.name)) for image, masks in found.items()}


def several_masks(found: dict[Path, list[Path]]) -> list[str]:
    """A line for each image that has more than one mask beside it: the first is used."""
    return [
        f"{image}: {len(masks)} masks beside it, used {masks[0].name}; not used: {some([mask.name for mask in masks[1:]])}"
        for image, masks in found.items()
        if len(masks) > 1
    ]


def left_out(folder: Path, axes: str) -> list[str]:
    """A line with what stands in a folder and is not used, if there is anything but texts and tables."""
    if not folder.is_dir():
        return []
    names = []
    for path in visible(folder):
        if path.is_dir():
            if len(axes) == 2 and path.name not in FOLDERS and any(path.iterdir()):
                names.append(f"{path.name} (a folder)")
        elif not path.is_file() or not (
            is_scan(path, axes) or suffix_of(path) in _COMPANIONS or path.stem.lower() in _TEXTS
        ):
            names.append(f"{path.name} ({reason_of(path)})")
    return [not_used(folder, names)] if names else []


def reason_of(path: Path) -> str:
    """Why what stands at a path, and is no folder, is not used as a scan."""
    if path.is_file():
        return "of no type that is read"
    return "a pipe or a device" if path.exists() else "a link that leads nowhere"


def not_used(folder: Path, names: Sequence[str]) -> str:
    """The line that names what is not used, each with its reason."""
    return f"{folder}: not used: {some(names)}"


_TEXTS = ("license", "licence", "readme", "attribution", "dicomdir", "desktop", "thumbs")


def groups_of(table: Path, names: Iterable[str]) -> dict[str, str]:
    """The patient of each case as a table lists it or, without one, as the names tell (`_PATIENTS`); may be empty.

    Raises DataError for a table that cannot be read or lacks a column.
    """
    if table.exists():
        listed = _listed(table)
        # Some list the files of their images; a dot in a name is none of a file.
        files = {stem_of(Path(name)): patient for name, patient in listed.items() if suffix_of(Path(name)) in _SUFFIXES}
        return {name: files[name] for name in names if name in files} | listed
    for pattern in _PATIENTS:
        found = {name: re.fullmatch(pattern, name) for name in names}
        if all(found.values()) and any(match and match["mark"] for match in found.values()):
            return {name: match["patient"] for name, match in found.items() if match}
    return {}


def rows_of(path: Path, errors: str = "strict") -> list[list[str]]:
    """The rows of a CSV file that are not empty, see `ldseg.io.tables`; `errors` of the text as in `open`.

    Raises DataError for a file that cannot be read.
    """
    check_file(path)
    try:
        if path.stat().st_size > MOST_TABLE:
            raise DataError(f"{path}: a table of more than {MOST_TABLE >> 20} MiB, which is not read")
        return cells_of(path.read_bytes(), _COLUMNS, errors=errors)
    except csv.Error as error:
        raise DataError(f"{path}: not a table of CSV: {error}") from error
    except DataError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _listed(path: Path) -> dict[str, str]:
    rows = rows_of(path)
    header = [cell.lower() for cell in rows[0]] if rows else []
    patient = next((header.index(key) for key in ("patient id", "patient") if key in header), None)
    if "name" not in header or patient is None:
        columns = ", ".join(header) or "none"
        raise DataError(f"{path}: expected the columns name and patient (or patient ID), found {columns}")
    name = header.index("name")
    found: dict[str, str] = {}
    for row in rows[1:]:
        if len(row) > max(name, patient) and row[patient]:
            case = same_form(row[name])
            if found.setdefault(case, row[patient]) != row[patient]:
                raise DataError(f"{path}: {case} has two patients, {found[case]} and {row[patient]}; expected one")
    return found
