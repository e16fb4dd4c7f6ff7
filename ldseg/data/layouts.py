"""The ways in which a folder may hold images and labels, and which belong together: by name, never by position."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ldseg.data.names import stem_of
from ldseg.data.scans import SUFFIXES, find_scans
from ldseg.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Images and labels by the name of their case.

    Attributes:
        folder: where the images were looked for.
        images: all images.
        labels: the labels of those that have one.
        annotations: of images that several have labelled, the labels in the order of their numbers.
        orphans: labels without an image, with the name that it should have.
        groups: the patients of cases, as far as a table or their names tell.
    """

    folder: Path
    images: dict[str, Path]
    labels: dict[str, Path]
    annotations: dict[str, list[Path]] = field(default_factory=dict)
    orphans: list[tuple[str, Path]] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)


def find_pairs(folder: Path, axes: str, training: bool) -> Pairs:
    """Pair what a folder holds, by its layout. Raises DataError where it has none, or holds no image."""
    if (folder / "Image").is_dir():
        pairs = _pair_ldseg(folder, axes)
    elif (folder / "imagesTr").is_dir() or (folder / "imagesTs").is_dir():
        pairs = _pair_decathlon(folder, axes, training)
    elif axes == "YX":
        pairs = _pair_contest(folder, training)
    else:
        raise DataError(f"{folder}: expected a folder with Image/ and Label/, or with imagesTr/ and labelsTr/")
    if not pairs.images:
        kinds = f"files of type {' '.join(SUFFIXES[axes])}" + (" or folders" if len(axes) > 2 else "")
        raise DataError(f"{pairs.folder}: no image found, expected {kinds}")
    return pairs


def _pair_ldseg(folder: Path, axes: str) -> Pairs:
    images = _by_name(find_scans(folder / "Image", axes), "images")
    found = find_scans(folder / "Label", axes)
    annotations = _annotations_of(images, found)
    several = {path for paths in annotations.values() for path in paths}
    labels, orphans = _labels_of(images, [path for path in found if path not in several])
    labels = {name: paths[0] for name, paths in annotations.items()} | labels
    groups = _read_groups(folder / "patients.csv") or _groups_in(images)
    return Pairs(
        folder=folder / "Image", images=images, labels=labels, annotations=annotations, orphans=orphans, groups=groups
    )


def _pair_decathlon(folder: Path, axes: str, training: bool) -> Pairs:
    """imagesTr and labelsTr to train on, imagesTs and labelsTs to segment, where there are any."""
    part = "Tr" if training or not (folder / "imagesTs").is_dir() else "Ts"
    labelled = find_scans(folder / f"labels{part}", axes)
    images = _by_name(find_scans(folder / f"images{part}", axes), "images")
    names = {stem_of(path) for path in labelled}
    if names.isdisjoint(images):  # otherwise a case may well be named scan_0000
        others = [name for name in images if re.search(r"_(?!0000)\d{4}$", name) and name[:-5] in names]
        if others:
            raise DataError(f"{images[others[0]]}: expected one file for each case, ..._0000, found another channel")
        if all(name.endswith("_0000") for name in images):
            images = {name.removesuffix("_0000"): path for name, path in images.items()}
    labels, orphans = _labels_of(images, labelled)
    groups = _read_groups(folder / "patients.csv")
    return Pairs(folder=folder / f"images{part}", images=images, labels=labels, orphans=orphans, groups=groups)


def _pair_contest(folder: Path, training: bool) -> Pairs:
    files = find_scans(folder, "YX")
    images = _by_name([path for path in files if not stem_of(path).endswith("_anno")], "images")
    annotated = _by_name([path for path in files if stem_of(path).endswith("_anno")], "labels")
    labels = {name.removesuffix("_anno"): path for name, path in annotated.items()}
    orphans = [(name, path) for name, path in labels.items() if name not in images]
    if training and images:
        images = {name: path for name, path in images.items() if name.startswith("train_")}
        if not images:
            raise DataError(f"{folder}: training in the contest's layout takes train_* images, found none")
    groups = _read_groups(folder / "Grade.csv")
    return Pairs(folder=folder, images=images, labels=labels, orphans=orphans, groups=groups)


def _annotations_of(images: dict[str, Path], paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The labels ``<case>_label_1``, ``_2``, ... of each image, unless that is the name of another one's label."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        match = re.fullmatch(r"(.+)_label_\d+", stem_of(path))
        if match and match[1] in images and stem_of(path) not in images:
            found.setdefault(match[1], []).append(path)
    for several in found.values():
        _by_name(several, "labels")
    return found


def _labels_of(images: dict[str, Path], paths: Sequence[Path]) -> tuple[dict[str, Path], list[tuple[str, Path]]]:
    """Labels by the name of their image, with or without ``_label``, and those without image."""
    labels: dict[str, Path] = {}
    orphans = []
    for path in paths:
        short = stem_of(path).removesuffix("_label")
        name = short if short in images else stem_of(path)
        if name not in images:
            orphans.append((short, path))
        elif name in labels:
            raise DataError(f"{path}: second label of case {name}, the other is {labels[name]}")
        else:
            labels[name] = path
    return labels, orphans


def _by_name(paths: Sequence[Path], kind: str) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in paths:
        name = stem_of(path)
        if name in named:
            raise DataError(f"{path}: two {kind} of one name, the other is {named[name].name}; expected one")
        named[name] = path
    return named


def _groups_in(names: Iterable[str]) -> dict[str, str]:
    """Patient of each case in the names of DDTI, ``<patient>_<image>(<nodule>)``; empty for names of another kind.

    All must be of this kind, the nodule is in some only; without any, they are taken for other names: 1_2 may be anything.
    """
    found = {name: re.fullmatch(r"(\d+)_\d+(\(\d+\))?", name) for name in names}
    if not all(found.values()) or not any(match and match[2] for match in found.values()):
        return {}
    return {name: match[1] for name, match in found.items() if match}


def _read_groups(path: Path) -> dict[str, str]:
    """Patient of each case name; empty where there is no such file. Old-Mac, Unix and Windows line ends."""
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")  # universal newlines: a lone carriage return ends a line too
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    rows = [
        [cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)
    ]
    header = [cell.lower() for cell in rows[0]] if rows else []
    patient = next((header.index(key) for key in ("patient id", "patient") if key in header), None)
    if "name" not in header or patient is None:
        found = ", ".join(header) or "none"
        raise DataError(f"{path}: expected the columns name and patient (or patient ID), found {found}")
    name = header.index("name")
    return {row[name]: row[patient] for row in rows[1:] if len(row) > max(name, patient) and row[patient]}
