"""Data sets as they are downloaded: folders whose names say what they hold, tables of pairs, BraTS."""

import os
import re
from pathlib import Path

from ldseg.base.text import natural
from ldseg.errors import DataError
from ldseg.io.contract import said_once
from ldseg.io.formats import SUFFIXES
from ldseg.io.names import same_form, stem_of, suffix_of, visible
from ldseg.io.scans import find_scans
from ldseg.layouts.pairs import Pairs, beside, by_name, groups_of, labels_of, not_used, reason_of, rows_of, several_masks
from ldseg.outputs import FOLDERS, METRICS

MODALITIES = (("flair", "t2f"), ("t1", "t1n"), ("t1ce", "t1c"), ("t2", "t2w"))
"""The channels of BraTS in their order, that of the Decathlon's brain tumours: names until 2021, names since 2023."""

_BRATS = re.compile(r"(.+)[-_](flair|t1|t1ce|t2|t2f|t1n|t1c|t2w|seg)\.nii(\.gz)?", re.IGNORECASE)
_MASKS = re.compile(
    r"(?<!un)(?<!da)mask(?!ed|ing)|(?<!un)label|annotation|ground.?truth|segmentation.?class|(?<![a-z])gt(?![a-z])",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""The words of a name: TestData, test_data and testdata2 are about a test, intestine and contest are not."""
_END = "(s|ing|sets?|data|datasets?|images?|imgs?|masks?|labels?|gts?|files?|folders?|cases?)?"
_PARTS = {
    "training": re.compile(f"train(ing|val|er)?{_END}"),
    "validation": re.compile(f"val(id|idation|idating)?{_END}"),
    "test": re.compile(f"test(ing)?{_END}"),
}
_NO_IMAGES = re.compile(r"_superpixels$")
"""What stands among the images of ISIC 2017."""
_UNREAD = (
    ".heic",
    ".heif",
    ".svs",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".czi",
    ".nd2",
    ".lif",
    ".psd",
    ".tga",
    ".jxl",
    ".exr",
    ".mgz",
    ".mnc",
)
"""Extensions of pictures that are not read."""


def pair_brats(folder: Path, axes: str, training: bool) -> Pairs | None:
    """A folder for each case, at any depth, with a NIfTI file for each modality and ``seg``; see `MODALITIES`."""
    if axes != "ZYX":
        return None
    found: dict[str, dict[str, Path]] = {}
    for path in _scans(folder, axes):
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
            try:
                listed = rows_of(table, errors="replace")  # one about something else may be in any encoding
            except DataError as error:
                said_once(str(table), str(error))
                continue
            named = [[cell for cell in cells if suffix_of(Path(cell)) in SUFFIXES[axes]] for cells in listed]
            if any(len(cells) == 2 for cells in named):  # otherwise it is about something else
                rows |= {(table, row): cells for row, cells in enumerate(named, start=1) if cells}
    if not rows:
        return None
    files: dict[str, list[Path]] = {}
    for path in _scans(folder, axes):
        files.setdefault(same_form(path.name), []).append(path)
    part_of = {table: _part(table.name) for table, _ in rows}
    parts = _chosen(folder, set(part_of.values()), training)
    images: list[Path] = []
    labels: dict[str, Path] = {}
    problems = []
    for (table, row), cells in rows.items():
        if part_of[table] not in parts:
            continue
        if len(cells) != 2:
            problems.append(f"{table}: row {row}: expected the files of an image and its mask, found {', '.join(cells)}")
            continue
        paths = [folder / cell.replace("\\", "/") for cell in cells]
        found = [[path] if path.is_file() else files.get(same_form(path.name), []) for path in paths]
        problems += [
            f"{table}: row {row}: expected one file {cell}, found {len(those) or 'none'}"
            for cell, those in zip(cells, found, strict=True)
            if len(those) != 1
        ]
        if all(len(those) == 1 for those in found):
            images.append(found[0][0])
            labels[stem_of(found[0][0])] = found[1][0]
    chosen = by_name(images, "images", problems)
    groups = groups_of(folder / "patients.csv", chosen)
    return Pairs(folder=folder, images=chosen, labels=labels, groups=groups, problems=problems)


def pair_beside(folder: Path, axes: str, training: bool) -> Pairs | None:
    """Masks beside their images, in folders at any depth: ``x.png`` and ``x_mask.png``, as BUSI and LGG MRI have them."""
    files = _scans(folder, axes)
    found = beside(files)
    masks = {mask for own in found.values() for mask in own}
    images = [path for path in files if path not in masks]
    # Where masks have folders of their own, only some of them happen to have an image of their name there.
    if len(found) * 2 <= len(images) or folder.joinpath("Grade.csv").exists():
        return None
    parts = _chosen(folder, {_part(_above(folder, path)) for path in images}, training)
    chosen = [path for path in images if _part(_above(folder, path)) in parts]
    problems: list[str] = []
    named = by_name(chosen, "images", problems)
    return Pairs(
        folder=folder,
        images=named,
        labels={name: found[path][0] for name, path in named.items() if path in found},
        groups=groups_of(folder / "patients.csv", named),
        problems=[
            *problems,
            *several_masks({path: found[path] for path in chosen if path in found}),
            *_others(folder, axes),
        ],
    )


def pair_folders(folder: Path, axes: str, training: bool) -> Pairs | None:
    """Images and masks in folders at any depth: masks where a folder's name says so, images elsewhere.

    The names of folders also say what is for training, for validation, and for the test: training takes what is for
    neither of the others, segmentation what is for the test or else for validation, if any, and everything otherwise.
    """
    files = [(path, _above(folder, path)) for path in _scans(folder, axes)]
    masks = [(path, _part(place)) for path, place in files if _MASKS.search(place)]
    others = [(path, place) for path, place in files if not _MASKS.search(place)]
    if not masks and (not others or not all(place for _, place in others)):
        return None
    images = [(path, _part(place)) for path, place in others if not _NO_IMAGES.search(stem_of(path))]
    parts = _chosen(folder, {part for _, part in images}, training)
    problems: list[str] = []
    named = by_name([path for path, part in images if part in parts], "images", problems)
    labels, orphans = labels_of(named, [path for path, part in masks if part in parts | {""}], problems)
    known = {stem_of(path) for path, _ in images}
    return Pairs(
        folder=folder,
        images=named,
        labels=labels,
        orphans=[(name, path) for name, path in orphans if name not in known],
        groups=groups_of(folder / "patients.csv", named),
        problems=[*problems, *_others(folder, axes)],
    )


def unused_masks(folder: Path, used: str, axes: str) -> list[str]:
    """A line with the folders beside that of the images whose names say that masks are in them, and that are not used.

    Args:
        folder: of the data set.
        used: the name of the folder of labels that is.
        axes: of the scans.
    """
    names = [
        f"{path.name} (labels are expected in {used})"
        for path in visible(folder)
        if path.is_dir() and path.name not in (used, *FOLDERS) and _MASKS.search(path.name) and find_scans(path, axes)
    ]
    return [not_used(folder, names)] if names else []


def _part(name: str) -> str:
    """What a name says that its files are for; empty where it says nothing."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return next((part for part, kind in _PARTS.items() if any(kind.fullmatch(word) for word in words)), "")


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


def _files(folder: Path) -> list[Path]:
    """The files at any depth that may be scans, in natural order; not those that were written by a run of LDSeg."""
    found = []
    seen: set[tuple[int, int]] = set()  # folders that link to themselves
    for place, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if METRICS in names or (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX")) and name not in FOLDERS]
        found += [Path(place) / name for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: natural(str(path)))


def _scans(folder: Path, axes: str) -> list[Path]:
    """The files at any depth that may be scans."""
    return [path for path in _files(folder) if suffix_of(path) in SUFFIXES[axes] and path.is_file()]


def _others(folder: Path, axes: str) -> list[str]:
    """A line with the pictures at any depth whose type is not read, links that lead nowhere, pipes and devices."""
    names = [
        f"{path.relative_to(folder)} ({reason_of(path)})"
        for path in _files(folder)
        if (suffix_of(path) in _UNREAD and suffix_of(path) not in SUFFIXES[axes]) or not path.is_file()
    ]
    return [not_used(folder, names)] if names else []
