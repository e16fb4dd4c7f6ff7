"""The table of layouts, and those of LDSeg, the Decathlon and the GlaS contest; others are in `downloads`."""

import re
from collections.abc import Callable
from pathlib import Path

from ldseg.base.text import some
from ldseg.errors import DataError
from ldseg.io.formats import SUFFIXES
from ldseg.io.names import stem_of
from ldseg.io.scans import find_scans
from ldseg.layouts.downloads import pair_beside, pair_brats, pair_folders, pair_tables, unused_masks
from ldseg.layouts.pairs import Pairs, annotations_of, beside, by_name, groups_of, labels_of, left_out, several_masks


def find_pairs(folder: Path, axes: str, training: bool) -> Pairs:
    """Pair what a folder holds, by the first layout that it has. Raises DataError where it has none, or no image."""
    for pair in LAYOUTS:
        pairs = pair(folder, axes, training)
        if pairs is not None:
            break
    else:
        raise DataError(
            f"{folder}: expected a folder with Image/ and Label/, with imagesTr/ and labelsTr/,"
            " or of another layout of data/README.md"
        )
    if not pairs.images and pairs.problems:
        raise DataError(pairs.problems[0])
    if not pairs.images:
        kinds = f"files of type {' '.join(SUFFIXES[axes])}" + (" or folders" if len(axes) > 2 else "")
        raise DataError(f"{pairs.folder}: no image found, expected {kinds}")
    return pairs


def _pair_ldseg(folder: Path, axes: str, training: bool) -> Pairs | None:
    if not (folder / "Image").is_dir():
        return None
    found = find_scans(folder / "Label", axes)
    labelled = {stem_of(path) for path in found}
    stored = find_scans(folder / "Image", axes)
    # A mask beside its image, unless it is itself an image with a label.
    masks = {
        image: [mask for mask in masks if not labelled & {stem_of(mask), f"{stem_of(mask)}_label"}]
        for image, masks in beside(stored).items()
    }
    aside = {mask for several in masks.values() for mask in several}
    problems: list[str] = []
    images = by_name([path for path in stored if path not in aside], "images", problems)
    annotations = annotations_of(images, found, problems)
    several = {path for paths in annotations.values() for path in paths}
    labels, orphans = labels_of(images, [path for path in found if path not in several], problems)
    spare = {stem_of(image): own[0] for image, own in masks.items() if own and stem_of(image) not in {*labels, *annotations}}
    if not found and not spare:
        problems += unused_masks(folder, "Label", axes)
    unused = [mask.name for image, own in masks.items() for mask in own[:1] if stem_of(image) not in spare]
    problems += several_masks({image: own for image, own in masks.items() if stem_of(image) in spare})
    if unused:
        problems.append(f"{folder / 'Image'}: not used, as Label has labels of their images: {some(unused)}")
    return Pairs(
        problems=[*problems, *left_out(folder / "Image", axes), *left_out(folder / "Label", axes)],
        folder=folder / "Image",
        images=images,
        labels=spare | {name: paths[0] for name, paths in annotations.items()} | labels,
        annotations=annotations,
        orphans=orphans,
        groups=groups_of(folder / "patients.csv", images),
    )


def _pair_decathlon(folder: Path, axes: str, training: bool) -> Pairs | None:
    """imagesTr and labelsTr to train on, imagesTs and labelsTs to segment, where there are any."""
    if not any((folder / name).is_dir() for name in ("imagesTr", "imagesTs")):
        return None
    part = "Tr" if training or not (folder / "imagesTs").is_dir() else "Ts"
    labelled = find_scans(folder / f"labels{part}", axes)
    problems: list[str] = []
    images = by_name(find_scans(folder / f"images{part}", axes), "images", problems)
    known = {stem_of(path) for name in ("labelsTr", "labelsTs") for path in find_scans(folder / name, axes)}
    channels = _numbered(images, known, problems)
    if channels is not None:
        images = {name: paths.pop(0) for name, paths in channels.items()}
    labels, orphans = labels_of(images, labelled, problems)
    groups = groups_of(folder / "patients.csv", images)
    if not known:
        problems += unused_masks(folder, f"labels{part}", axes)
    return Pairs(
        folder=folder / f"images{part}",
        images=images,
        labels=labels,
        channels=channels or {},
        orphans=orphans,
        groups=groups,
        problems=problems + [line for kind in ("images", "labels") for line in left_out(folder / f"{kind}{part}", axes)],
    )


def _numbered(images: dict[str, Path], known: set[str], problems: list[str]) -> dict[str, list[Path]] | None:
    """The channels ``<case>_0000``, ``_0001``, ... of each case, as nnU-Net names them; None where names are not such.

    Cases of their own may well be named scan_0000, scan_0001: labels that are `known` to be so named tell, and without
    labels there have to be channels of several cases. `problems` takes a line for a case that lacks a channel, which is
    left out.
    """
    number = re.compile(r"(.+)_(\d{4})")
    found: dict[str, dict[int, Path]] = {}
    for name, path in images.items():
        match = number.fullmatch(name)
        if match is None:
            return None
        found.setdefault(match[1], {})[int(match[2])] = path
    alike = any(match[1] in found for match in map(number.fullmatch, known) if match)
    first = all(0 in numbers for numbers in found.values())
    if alike or not first or not (known or len(found) > 1 or len(images) == 1):
        return None
    whole = {}
    for name, numbers in found.items():
        if max(numbers) >= len(numbers):
            wanted = f"expected the channels {name}_0000 to {max(numbers):04}"
            problems.append(f"{numbers[max(numbers)]}: {wanted}, found only {len(numbers)} of them")
        else:
            whole[name] = [numbers[index] for index in range(len(numbers))]
    return whole


def _pair_contest(folder: Path, axes: str, training: bool) -> Pairs | None:
    if axes != "YX":
        return None
    files = find_scans(folder, "YX")
    problems: list[str] = []
    images = by_name([path for path in files if not stem_of(path).endswith("_anno")], "images", problems)
    annotated = by_name([path for path in files if stem_of(path).endswith("_anno")], "labels", problems)
    labels = {name.removesuffix("_anno"): path for name, path in annotated.items()}
    orphans = [(name, path) for name, path in labels.items() if name not in images]
    if training and images and labels:
        images = {name: path for name, path in images.items() if name.startswith("train_")}
        if not images:
            raise DataError(f"{folder}: training in the contest's layout takes train_* images, found none")
    groups = groups_of(folder / "Grade.csv", images)
    return Pairs(
        folder=folder,
        images=images,
        labels=labels,
        orphans=orphans,
        groups=groups,
        problems=[*problems, *left_out(folder, axes)],
    )


LAYOUTS: tuple[Callable[[Path, str, bool], Pairs | None], ...] = (
    _pair_ldseg,
    _pair_decathlon,
    pair_brats,
    pair_tables,
    pair_beside,
    pair_folders,
    _pair_contest,
)
"""Each pairs a folder, or says by None that it is none of its own."""
