"""Data sets as they are downloaded: folders whose names say what they hold, tables of pairs, BraTS."""

import os
import re
from pathlib import Path

from ldseg.errors import DataError
from ldseg.io.formats import SUFFIXES
from ldseg.io.names import stem_of, suffix_of, visible
from ldseg.layouts.pairs import Pairs, by_name, groups_of, labels_of, rows_of
from ldseg.outputs import FOLDERS, METRICS
from ldseg.text import natural

MODALITIES = (("flair", "t2f"), ("t1", "t1n"), ("t1ce", "t1c"), ("t2", "t2w"))
"""The channels of BraTS in their order, that of the Decathlon's brain tumours: names until 2021, names since 2023."""

_BRATS = re.compile(r"(.+)[-_](flair|t1|t1ce|t2|t2f|t1n|t1c|t2w|seg)\.nii(\.gz)?", re.IGNORECASE)
_MASKS = re.compile(r"mask|(?<!un)label|annotation|ground.?truth|(?<![a-z])gt(?![a-z])", re.IGNORECASE)
_PARTS = {"training": "train", "validation": r"valid|(?<![a-z])val(?![a-z])", "test": "test"}
_NO_IMAGES = re.compile(r"_superpixels$")
"""What stands among the images of ISIC 2017."""


def pair_brats(folder: Path, axes: str, training: bool) -> Pairs | None:
    """A folder for each case, at any depth, with a NIfTI file for each modality and ``seg``; see `MODALITIES`."""
    if axes != "ZYX":
        return None
    found: dict[str, dict[str, Path]] = {}
    for path in _files(folder, axes):
        match = _BRATS.fullmatch(path.name)
        if match:
            files, kind = found.setdefault(match[1], {}), match[2].lower()
            if kind in files:
                raise DataError(f"{path}: two images of one name, the other is {files[kind]}; expected one")
            files[kind] = path
    cases = {name: [files[kind] for kinds in MODALITIES for kind in kinds if kind in files] for name, files in found.items()}
    whole = {name: paths for name, paths in cases.items() if len(paths) == len(MODALITIES)}
    if not whole:
        return None
    wanted = ", ".join(kinds[0] for kinds in MODALITIES)
    problems = [
        f"{next(iter(files.values())).parent}: expected {wanted}, found {', '.join(files)}"
        for name, files in found.items()
        if name not in whole
    ]
    return Pairs(
        folder=folder,
        images={name: paths[0] for name, paths in whole.items()},
        channels={name: paths[1:] for name, paths in whole.items()},
        labels={name: found[name]["seg"] for name in whole if "seg" in found[name]},
        groups=groups_of(folder / "patients.csv", whole),
        problems=problems,
    )


def pair_tables(folder: Path, axes: str, training: bool) -> Pairs | None:
    """CSV files beside the folders, with the file of an image and that of its mask in each row.

    Other columns may stand around them. A file is named from `folder` on, or by its name alone.
    """
    rows: dict[tuple[Path, int], list[str]] = {}
    for table in visible(folder):
        if table.suffix.lower() == ".csv":
            listed = rows_of(table, errors="replace")  # one about something else may be in any encoding
            named = [[cell for cell in cells if suffix_of(Path(cell)) in SUFFIXES[axes]] for cells in listed]
            if any(len(cells) == 2 for cells in named):  # otherwise it is about something else
                rows |= {(table, row): cells for row, cells in enumerate(named, start=1) if cells}
    if not rows:
        return None
    files: dict[str, list[Path]] = {}
    for path in _files(folder, axes):
        files.setdefault(path.name, []).append(path)
    part_of = {table: _part(table.name) for table, _ in rows}
    parts = _chosen(folder, set(part_of.values()), training)
    images: list[Path] = []
    labels: dict[str, Path] = {}
    problems = []
    for (table, row), cells in rows.items():
        if part_of[table] not in parts:
            continue
        if len(cells) != 2:
            raise DataError(f"{table}: row {row}: expected the files of an image and its mask, found {', '.join(cells)}")
        paths = [folder / cell.replace("\\", "/") for cell in cells]
        found = [[path] if path.is_file() else files.get(path.name, []) for path in paths]
        problems += [
            f"{table}: row {row}: expected one file {cell}, found {len(those) or 'none'}"
            for cell, those in zip(cells, found, strict=True)
            if len(those) != 1
        ]
        if all(len(those) == 1 for those in found):
            images.append(found[0][0])
            labels[stem_of(found[0][0])] = found[1][0]
    chosen = by_name(images, "images")
    groups = groups_of(folder / "patients.csv", chosen)
    return Pairs(folder=folder, images=chosen, labels=labels, groups=groups, problems=problems)


def pair_folders(folder: Path, axes: str, training: bool) -> Pairs | None:
    """Images and masks in folders at any depth: masks where a folder's name says so, images elsewhere.

    The names of folders also say what is for training, for validation, and for the test: training takes what is for
    neither of the others, segmentation what is for the test or else for validation, if any, and everything otherwise.
    """
    files = [(path, _above(folder, path)) for path in _files(folder, axes)]
    masks = [(path, _part(place)) for path, place in files if _MASKS.search(place)]
    others = [(path, place) for path, place in files if not _MASKS.search(place)]
    if not masks and (not others or not all(place for _, place in others)):
        return None
    images = [(path, _part(place)) for path, place in others if not _NO_IMAGES.search(stem_of(path))]
    parts = _chosen(folder, {part for _, part in images}, training)
    named = by_name([path for path, part in images if part in parts], "images")
    labels, orphans = labels_of(named, [path for path, part in masks if part in parts | {""}])
    known = {stem_of(path) for path, _ in images}
    return Pairs(
        folder=folder,
        images=named,
        labels=labels,
        orphans=[(name, path) for name, path in orphans if name not in known],
        groups=groups_of(folder / "patients.csv", named),
    )


def _part(name: str) -> str:
    """What a name says that its files are for; empty where it says nothing."""
    return next((part for part, word in _PARTS.items() if re.search(word, name, re.IGNORECASE)), "")


def _chosen(folder: Path, parts: set[str], training: bool) -> set[str]:
    """The parts to train on, or to segment, among those that there are. Raises DataError where none is for training."""
    if not training:
        return next(({part} for part in ("test", "validation") if part in parts), parts)
    if parts and not parts & {"training", ""}:
        raise DataError(f"{folder}: training takes no folder or table for {' or '.join(sorted(parts))}, found no other")
    return parts & {"training", ""}


def _above(folder: Path, path: Path) -> str:
    """The folders between the data set's and a file."""
    return "/".join(path.relative_to(folder).parts[:-1])


def _files(folder: Path, axes: str) -> list[Path]:
    """The files at any depth that may be scans, in natural order; not those that were written by a run of LDSeg."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        if METRICS in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX")) and name not in FOLDERS]
        found += [Path(place) / name for name in names if not name.startswith(".")]
    return sorted((path for path in found if suffix_of(path) in SUFFIXES[axes]), key=lambda path: natural(str(path)))
