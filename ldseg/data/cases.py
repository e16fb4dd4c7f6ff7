"""Finding, pairing and checking cases.

Two layouts are understood:

- LDSeg's: ``folder/Image/<case>.<ext>`` with ``folder/Label/<case>_label.<ext>`` (or ``Label/<case>.<ext>``),
  and optionally ``folder/patients.csv`` with the columns ``name`` and ``patient``.
- the GlaS contest's: ``folder/<case>.<ext>`` with ``folder/<case>_anno.<ext>``, and ``folder/Grade.csv``.

An image and its label belong together by name, never by position.
"""

import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ldseg.data.files import IMAGE_SUFFIXES, read_image, read_label
from ldseg.data.intensity import scale_intensity, to_channels
from ldseg.data.labels import to_classes
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image, its label if any, and the group (patient) it belongs to: its own name where unknown."""

    name: str
    image: Path
    label: Path | None
    group: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """The cases of a folder in natural order, and what was wrong beside them, one line each."""

    cases: tuple[Case, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedCase:
    """A case in memory: image float32 (*S, channels) in [0, 1], label int32 (*S) of classes or None, size S.

    For flat files S is (H, W), which is also the size that the mask is written in.
    """

    name: str
    image: np.ndarray
    label: np.ndarray | None
    size: tuple[int, ...]


def find_cases(folder: Path, patterns: Sequence[str] = ("*",), training: bool = False) -> Found:
    """The cases of `folder` that match one of the glob `patterns`, in natural order (Case2 before Case10).

    Training takes labelled cases only, and of a contest folder only ``train_*``. A label without image and a
    pattern that matches nothing are reported as problems. Raises DataError for a folder that is missing or
    holds no (matching) image, and for two images or two labels of one name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder, expected one with Image/ (and Label/), or a GlaS contest folder"
        )
    contest = not (folder / "Image").is_dir()
    images, labels, orphans = _pair_contest(folder) if contest else _pair_ldseg(folder)
    if not images:
        where = folder if contest else folder / "Image"
        raise DataError(f"{where}: no image found, expected files of type {' '.join(IMAGE_SUFFIXES)}")
    if training and contest:
        names = [name for name in images if name.startswith("train_")]
        if not names:
            raise DataError(f"{folder}: training in the contest's layout takes train_* images, found none")
    else:
        names = list(images)

    groups = _read_groups(folder / ("Grade.csv" if contest else "patients.csv"))
    problems = [
        f"{path}: label without image, expected an image named {name}"
        for name, path in orphans
        if _matches(name, patterns)
    ]
    problems += [
        f"{folder}: no case matches the pattern {pattern!r}"
        for pattern in patterns
        if not any(_matches(name, [pattern]) for name in names)
    ]
    matching = sorted((name for name in names if _matches(name, patterns)), key=_natural)
    if not matching:
        raise DataError(f"{folder}: no case matches {', '.join(patterns)}; there are {_shortened(names)}")
    cases = [
        Case(name=name, image=images[name], label=labels.get(name), group=groups.get(name, name))
        for name in matching
    ]
    if training:
        unlabelled = [case.name for case in cases if case.label is None]
        cases = [case for case in cases if case.label is not None]
        if not cases:
            raise DataError(f"{folder}: training needs labels, found none for {_shortened(unlabelled)}")
        if unlabelled:
            log.warning(
                "%s: %d without label, not used for training: %s",
                folder,
                len(unlabelled),
                _shortened(unlabelled),
            )
    ungrouped = [case.name for case in cases if case.name not in groups]
    if groups and ungrouped:
        log.warning("%s: patient unknown, each taken as its own: %s", folder, _shortened(ungrouped))
    for problem in problems:
        log.warning(problem)
    return Found(cases=tuple(cases), problems=tuple(problems))


def load_case(case: Case, preprocessing: Preprocessing) -> LoadedCase:
    """Read and check a case: intensities to [0, 1] (`scale_intensity`), label to classes (`to_classes`).

    A gray image is repeated to 3 channels, an RGB image is reduced to its luma for 1. Raises DataError that
    names the file: unreadable, constant, not finite, a label of another size or with values that the rule does
    not allow.
    """
    step = preprocessing
    stored = read_image(case.image)
    size = stored.shape[:-1]
    scaled = scale_intensity(stored, step.intensity, str(case.image), step.window)
    image = to_channels(scaled, step.channels)
    label = None
    if case.label is not None:
        numbers = read_label(case.label)
        if numbers.shape != size:
            raise DataError(
                f"{case.label}: label of size {_by(numbers.shape)},"
                f" expected {_by(size)} as its image {case.image}"
            )
        label = to_classes(numbers, step.labels, step.num_classes, str(case.label), dict(step.label_map))
    return LoadedCase(name=case.name, image=image, label=label, size=size)


Pairs = tuple[dict[str, Path], dict[str, Path], list[tuple[str, Path]]]


def _pair_ldseg(folder: Path) -> Pairs:
    images = _by_name(_image_files(folder / "Image"), "images")
    labels: dict[str, Path] = {}
    orphans = []
    for path in _image_files(folder / "Label"):
        short = path.stem.removesuffix("_label")
        name = short if short in images else path.stem
        if name not in images:
            orphans.append((short, path))
        elif name in labels:
            raise DataError(f"{path}: second label of case {name}, the other is {labels[name]}")
        else:
            labels[name] = path
    return images, labels, orphans


def _pair_contest(folder: Path) -> Pairs:
    files = _image_files(folder)
    images = _by_name([path for path in files if not path.stem.endswith("_anno")], "images")
    annotated = [path for path in files if path.stem.endswith("_anno")]
    labels = {path.stem.removesuffix("_anno"): path for path in annotated}
    if len(labels) != len(annotated):
        _by_name(annotated, "labels")
    orphans = [(name, path) for name, path in labels.items() if name not in images]
    return images, labels, orphans


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    try:
        found = [
            path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
        ]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}") from error
    # Hidden files: macOS leaves ._Case1.png beside Case1.png on foreign disks.
    return sorted(path for path in found if not path.name.startswith("."))


def _by_name(paths: Sequence[Path], kind: str) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in paths:
        if path.stem in named:
            raise DataError(
                f"{path}: two {kind} of one name, the other is {named[path.stem].name}; expected one"
            )
        named[path.stem] = path
    return named


def _read_groups(path: Path) -> dict[str, str]:
    """Patient of each case name; empty where there is no such file. Old-Mac, Unix and Windows line ends."""
    if not path.exists():
        return {}
    try:
        text = path.read_text(
            encoding="utf-8-sig"
        )  # universal newlines: a lone carriage return ends a line too
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(text.splitlines())
        if any(cell.strip() for cell in row)
    ]
    header = [cell.lower() for cell in rows[0]] if rows else []
    patient = next((header.index(key) for key in ("patient id", "patient") if key in header), None)
    if "name" not in header or patient is None:
        raise DataError(
            f"{path}: expected the columns name and patient (or patient ID),"
            f" found {', '.join(header) or 'none'}"
        )
    name = header.index("name")
    return {row[name]: row[patient] for row in rows[1:] if len(row) > max(name, patient) and row[patient]}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts], name


def _by(size: Sequence[int]) -> str:
    return "×".join(str(length) for length in size)


def _shortened(names: Sequence[str]) -> str:
    ordered = sorted(names, key=_natural)
    return ", ".join(ordered[:8]) + (f", ... ({len(ordered)} in all)" if len(ordered) > 8 else "")
