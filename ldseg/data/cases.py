"""Finding and checking cases.

`ldseg.layouts.standard` and `ldseg.layouts.downloads` hold the layouts that are understood; data/README.md shows them.

An image and its label belong together by name, never by position.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ldseg.base.deferred import Deferred
from ldseg.base.paths import require_folder
from ldseg.base.pausing import many_objects
from ldseg.base.scratch import slabs
from ldseg.base.text import natural, some, times
from ldseg.data.intensity import scaling_of, to_channels
from ldseg.data.labels import distinct, to_classes, to_instances, without_empty_slices
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError, memory_told
from ldseg.io.contract import check_prepared
from ldseg.io.geometry import Geometry
from ldseg.io.names import matches
from ldseg.io.scans import Scan, read_scan, read_scan_label
from ldseg.layouts.standard import find_pairs

log = logging.getLogger(__name__)

_MOST_ENLARGED, _MOST_TILES = 16, 64
"""By how much a case is enlarged at most along an axis where it then covers more than so many tiles."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image, its label if any, and the group (patient) it belongs to: its own name where unknown.

    Image and label are a file each or, for volumes and videos, a folder of slices or frames. Where each channel of an image
    has a file, `channels` are those after the first. `annotations` are the labels of several annotators, in the order of
    their numbers; unless there is another, the first of them is the label.
    """

    name: str
    image: Path
    label: Path | None
    group: str
    channels: tuple[Path, ...] = ()
    annotations: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """The cases of a folder in natural order, and what was wrong beside them, one line each."""

    cases: tuple[Case, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedCase:
    """A case in memory: image float32 (*S, channels) in [0, 1], label int32 (*S) of classes or None, size S.

    The label is `IGNORE` where it says nothing.

    S is also the size that the mask is written in; `geometry` tells where it lies, for files that know. `instances`
    holds the ids int32 (*S) of a label that numbers its objects (`to_instances`), else None; `numbers` are those that occur
    in the label as stored, int (n,), sorted. `digest` tells images apart by their values, shape and type as they were read,
    whatever their names: noise is drawn by it. `stored` is the image (*S, channels) as it was read, for measurements, and
    `made` what makes the image of it, which of volumes and videos is made when it is asked for; None where it was degraded.
    """

    name: str
    image: np.ndarray = Deferred()  # type: ignore[assignment]
    label: np.ndarray | None
    size: tuple[int, ...]
    digest: str
    geometry: Geometry | None = None
    instances: np.ndarray | None = None
    numbers: np.ndarray | None = None
    stored: np.ndarray | None = None
    made: Callable[[np.ndarray], np.ndarray] | None = None

    def part(self, rows: slice) -> np.ndarray:
        """A part of the image along its first axis; the whole image is not kept in memory for it."""
        if self.made is None or self.stored is None:
            return self.image[rows]
        return self.made(self.stored[rows])

    @property
    def outlined(self) -> np.ndarray | None:
        """What pictures outline.

        Every object of a label that numbers them, so that those that touch are told apart, else the classes.
        """
        found = self.label if self.instances is None else self.instances
        return None if found is None else np.maximum(found, 0)  # nothing around what a label says nothing about

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """mm per axis of the array, z or t first; None where the file does not say."""
        return None if self.geometry is None else self.geometry.array_spacing


def find_cases(folder: Path, patterns: Sequence[str] = ("*",), training: bool = False, axes: str = "YX") -> Found:
    """The cases of `folder` that match one of the glob `patterns`, in natural order (Case2 before Case10).

    Training takes labelled cases only, and of a contest folder only ``train_*``. A label without image and a
    pattern that matches nothing are reported as problems. Raises DataError for a folder that is missing or
    holds no (matching) image, and for two images or two labels of one name.
    """
    with many_objects():
        return _found(Path(folder), patterns, training, axes)


def _found(folder: Path, patterns: Sequence[str], training: bool, axes: str) -> Found:
    """See `find_cases`."""
    require_folder(folder, "one with Image/ (and Label/), imagesTr/ (and labelsTr/), or another layout of data/README.md")
    pairs = find_pairs(folder, axes, training)
    names, groups = list(pairs.images), pairs.groups
    problems = [
        f"{path}: label without image, expected an image named {name}"
        for name, path in pairs.orphans
        if matches(name, patterns)
    ]
    problems += pairs.problems
    problems += [
        f"{folder}: no case matches the pattern {pattern!r}"
        for pattern in patterns
        if not any(matches(name, [pattern]) for name in names)
    ]
    matching = sorted((name for name in names if matches(name, patterns)), key=natural)
    if not matching:
        raise DataError(f"{folder}: no case matches {', '.join(patterns)}; there are {some(names)}")
    cases = [
        Case(
            name=name,
            image=pairs.images[name],
            label=pairs.labels.get(name),
            group=groups.get(name, name),
            channels=tuple(pairs.channels.get(name, ())),
            annotations=tuple(pairs.annotations.get(name, ())),
        )
        for name in matching
    ]
    if training:
        unlabelled = [case.name for case in cases if case.label is None]
        cases = [case for case in cases if case.label is not None]
        if not cases:
            for problem in problems:  # why there are none
                log.warning(problem)
            raise DataError(
                f"{folder}: training needs labels, found none for {some(unlabelled)}; expected images in "
                f"{folder / 'Image'} and {unlabelled[0]}_label.* in {folder / 'Label'}, or another layout of data/README.md"
            )
        if unlabelled:
            log.warning("%s: %d without label, not used for training: %s", folder, len(unlabelled), some(unlabelled))
    ungrouped = [case.name for case in cases if case.name not in groups]
    if groups and ungrouped:
        log.warning("%s: patient unknown, each taken as its own: %s", folder, some(ungrouped))
    for problem in problems:
        log.warning(problem)
    return Found(cases=tuple(cases), problems=tuple(problems))


def load_case(case: Case, preprocessing: Preprocessing) -> LoadedCase:
    """Read a case and `prepare` it.

    Raises DataError as `prepare` does, and for a file that cannot be read or has other axes, and a label that does not
    lie on its image.
    """
    with memory_told(str(case.image), "read it"):
        scan = read_scan(case.image, preprocessing.axes, *case.channels)
        numbers = None
        if case.label is not None:
            numbers = read_case_label(
                case.label, case, preprocessing.axes, scan.values.shape[:-1], scan.geometry, coloured=preprocessing.coloured
            )
        return prepare(case.name, scan, preprocessing, numbers, source=str(case.image), label_source=str(case.label))


def prepare(
    name: str,
    scan: Scan,
    preprocessing: Preprocessing,
    numbers: np.ndarray | None = None,
    *,
    source: str = "array",
    label_source: str = "label",
) -> LoadedCase:
    """Check a scan and make it a case: intensities to [0, 1] (`scale_intensity`), label to classes (`to_classes`).

    Files and arrays in memory take this one way, so that they give the same case.

    Args:
        name: what the case is called.
        scan: the image, read (`read_scan`) or given (`scan_of`).
        preprocessing: the rules for intensities, channels and labels.
        numbers: the label int32 (*S) as stored; None without one.
        source: what messages call the image.
        label_source: what messages call the label.

    Raises:
        DataError: an image that is constant, not finite, too large, or of other channels (`to_channels`), a label of another
            size or with values that the rule does not allow.
    """
    step, size, label, instances, occurring = preprocessing, scan.values.shape[:-1], None, None, None
    check_prepared(size, max(step.channels, scan.values.shape[-1]), source)
    _check_grid(step, size, scan.geometry, source)
    scaled = scaling_of(scan.values, step.intensity, source, step.window, scan.modalities, scan.bits)

    def made(values: np.ndarray) -> np.ndarray:
        return to_channels(scaled(values), step.channels, source, scan.modalities)

    made(scan.values[:0])  # refuses channels that it cannot make
    if numbers is not None:
        _check_size(numbers, size, label_source, source)
        label_map, occurring = dict(step.label_map), distinct(numbers)
        label = classes_by(step, numbers, label_source, occurring)
        instances = to_instances(numbers, step.labels, step.num_classes, label_map, occurring)
    return LoadedCase(
        name=name,
        image=(lambda: made(scan.values)) if len(size) > 2 else made(scan.values),  # type: ignore[arg-type]
        label=label,
        size=size,
        digest=content_digest(scan.values),
        geometry=scan.geometry,
        instances=instances,
        numbers=occurring,
        stored=scan.values,
        made=made,
    )


def _check_grid(step: Preprocessing, size: tuple[int, ...], geometry: Geometry | None, source: str) -> None:
    """Raises DataError for a case whose grid does not fit into memory, or is far larger than what there is to see."""
    grid = step.grid_of(size, None if geometry is None else geometry.array_spacing)
    check_prepared(grid, step.channels, f"{source}: its grid")
    space = [index for index, axis in enumerate(step.axes) if axis != "T"]
    enlarged = max(grid[index] / size[index] for index in space)
    if enlarged > _MOST_ENLARGED and math.prod(grid[index] / step.size[index] for index in space) > _MOST_TILES:
        raise DataError(
            f"{source}: {times(size)} is too narrow, or its spacing too wide: the networks would see it {enlarged:.0f} times"
            f" as large, as {times(grid)} in tiles of {times(step.size)}; cut it or add to its sides"
        )


def content_digest(values: np.ndarray) -> str:
    """The SHA-256 of an image as stored, (*S, c): its type, its shape and its values in little-endian order."""
    digest = ContentDigest(values.dtype, values.shape)
    for part in slabs(values):
        digest.add(part)
    return digest.hexdigest()


class ContentDigest:
    """`content_digest` of an image that comes in bands along its first axis."""

    def __init__(self, dtype: np.dtype, shape: Sequence[int]) -> None:
        self._dtype = dtype.newbyteorder("<")
        lengths = tuple(int(length) for length in shape)
        self._digest = hashlib.sha256(f"{self._dtype.str} {lengths}".encode())

    def add(self, band: np.ndarray) -> None:
        """The next band, as stored."""
        self._digest.update(np.ascontiguousarray(band, self._dtype).data)

    def hexdigest(self) -> str:
        """The digest, once all bands were added."""
        return self._digest.hexdigest()


def load_annotations(case: Case, loaded: LoadedCase, preprocessing: Preprocessing) -> np.ndarray:
    """The labels of all annotators of a case as classes int32 (A, *S), checked as `load_case` does; A may be 0."""
    step = preprocessing
    found = np.zeros((len(case.annotations), *loaded.size), np.int32)
    for index, path in enumerate(case.annotations):
        numbers = read_case_label(path, case, step.axes, loaded.size, loaded.geometry, coloured=step.coloured)
        found[index] = classes_by(step, numbers, str(path))
    return found


def classes_by(step: Preprocessing, numbers: np.ndarray, source: str, occurring: np.ndarray | None = None) -> np.ndarray:
    """The classes int32 (*S) of the numbers of a label, by the rules of a preprocessing; see `to_classes`."""
    found = to_classes(numbers, step.labels, step.num_classes, source, dict(step.label_map), occurring)
    return without_empty_slices(found, numbers, source) if step.sparse == "slices" else found


def read_case_label(
    path: Path,
    case: Case,
    axes: str,
    size: tuple[int, ...] | None,
    geometry: Geometry | None,
    *,
    coloured: bool = False,
) -> np.ndarray:
    """The numbers of a label int32 (*S). Raises DataError where it does not lie on its image, as far as that is known."""
    numbers, found = read_scan_label(path, axes, like=case.image, coloured=coloured)
    if size is not None:
        _check_size(numbers, size, str(path), str(case.image))
    difference = found.difference(geometry) if found and geometry else ""
    if difference:
        raise DataError(f"{path}: label of {difference} as its image {case.image}")
    return numbers


def _check_size(numbers: np.ndarray, size: tuple[int, ...], label: str, image: str) -> None:
    if numbers.shape != size:
        raise DataError(f"{label}: label of size {times(numbers.shape)}, expected {times(size)} as its image {image}")
