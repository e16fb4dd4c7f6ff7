"""From the size of a case to the grid of the network, and back."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

import cv2
import numpy as np

from ldseg.base.options import FITS, INTENSITIES, LABEL_RULES, SPARSE
from ldseg.base.regions import Regions, Unions, check_regions, structures, unions_of
from ldseg.base.spatial import AXES, COLOUR, IGNORE, MOST_CHANNELS
from ldseg.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a case becomes what the network sees; stored with the weights.

    Attributes:
        size: the grid of the network, one length per axis.
        axes: "YX", "TYX" or "ZYX".
        channels: 1 (gray), 3 (RGB), or the number of modalities, up to 4.
        intensity: a rule of `ldseg.data.intensity`.
        window: lower and upper end for the rule ``window``, else empty.
        classes: their names, background first.
        labels: a rule of `ldseg.data.labels`.
        label_map: pairs of a label's value and its class, which go before the rule. A value may be that of a colour (from
            `ldseg.base.spatial.COLOUR` on), a class `ldseg.base.spatial.IGNORE`.
        sparse: ``slices`` where slices of a volume, or frames, in which every number is 0 were not annotated, else ``no``.
        fit: ``resize`` brings the whole case to `size` along the axes of space; ``aspect`` brings it, all axes of space by
            one factor, to `zoom` times the smallest grid that `size` fits into, and covers that with tiles of `size`;
            ``tile`` keeps it, or brings it to `spacing`, and covers it. Along time a case is always covered.
        zoom: for ``aspect``, at least 1.
        smallest: positions of the grid that an object has at least when objects are numbered by weights that tell outlines,
            learned from their labels; 0 where nothing tells.
        spacing: mm per axis for ``tile``; empty keeps the case's own. The number for T is not used.
        regions: unions of classes that figures are given for in place of the classes, see `ldseg.base.regions`; or none.

    Raises ConfigError for anything else.
    """

    size: tuple[int, ...]
    axes: str = "YX"
    channels: int = 3
    intensity: str = "dtype"
    window: tuple[float, ...] = ()
    classes: tuple[str, ...] = ("background", "gland")
    labels: str = "auto"
    label_map: tuple[tuple[int, int], ...] = ()
    sparse: str = "no"
    fit: str = "resize"
    spacing: tuple[float, ...] = ()
    zoom: float = 1.0
    smallest: float = 0.0
    regions: Regions = ()

    def __post_init__(self) -> None:
        # Lists are what JSON gives back.
        object.__setattr__(self, "size", tuple(int(length) for length in self.size))
        for name in ("classes", "window", "spacing"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "label_map", tuple((int(value), int(index)) for value, index in self.label_map))
        object.__setattr__(self, "regions", tuple((name, tuple(map(int, numbers))) for name, numbers in self.regions))
        for name, known in (
            ("axes", tuple(AXES.values())), ("channels", tuple(range(1, MOST_CHANNELS + 1))), ("intensity", INTENSITIES),
            ("labels", LABEL_RULES), ("fit", FITS), ("sparse", SPARSE),
        ):  # fmt: skip
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"preprocessing {name} must be one of {', '.join(map(str, known))}, got {value!r}")
        if len(self.size) != len(self.axes) or min(self.size) < 1:
            raise ConfigError(f"preprocessing size must be one positive number per axis of {self.axes}, got {self.size}")
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"preprocessing classes must be two names or more, all different, got {self.classes}")
        if self.intensity == "window" and not (len(self.window) == 2 and self.window[0] < self.window[1]):
            raise ConfigError(f"preprocessing window must be a lower and a higher number, got {self.window}")
        if self.spacing and (len(self.spacing) != len(self.axes) or min(self.spacing) <= 0):
            wanted = f"one positive number per axis of {self.axes}"
            raise ConfigError(f"preprocessing spacing must be {wanted}, got {self.spacing}")
        if not self.zoom >= 1:
            raise ConfigError(f"preprocessing zoom must be at least 1, got {self.zoom}")
        if not 0 <= self.smallest < math.inf:
            raise ConfigError(f"preprocessing smallest must be a number of 0 or more, got {self.smallest}")
        if any(index != IGNORE and not 0 <= index < len(self.classes) for _, index in self.label_map):
            raise ConfigError(f"preprocessing label_map must lead to 0..{len(self.classes) - 1}, got {self.label_map}")

        try:
            check_regions(self.regions, self.classes)
        except ValueError as error:
            raise ConfigError(f"preprocessing regions: {error}") from error

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of what figures are given for, background first: the classes, or the regions where there are some."""
        return structures(self.classes, self.regions)

    @property
    def unions(self) -> Unions:
        """The classes of each of `structures`; nothing where they are the classes themselves."""
        return unions_of(self.regions)

    @property
    def num_classes(self) -> int:
        """How many classes there are, background included."""
        return len(self.classes)

    @property
    def coloured(self) -> bool:
        """Whether labels are coded in colours."""
        return any(value >= COLOUR for value, _ in self.label_map)

    @property
    def ignores(self) -> bool:
        """Whether labels may say nothing at some positions (`ldseg.base.spatial.IGNORE`)."""
        return self.sparse != "no" or any(index == IGNORE for _, index in self.label_map)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` takes them back."""
        found = asdict(self)
        if not self.regions:  # said only where there are some: descriptions from before stay what they are
            del found["regions"]
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Keys that are missing take their defaults. Raises ConfigError for one that is unknown, or without size."""
        known = {field.name for field in fields(cls)}
        if not {"size"} <= set(values) <= known:
            raise ConfigError(f"preprocessing knows the keys {', '.join(sorted(known))}, got {', '.join(sorted(values))}")
        return cls(**values)

    def grid_of(self, case_size: Sequence[int], spacing: Sequence[float] | None = None) -> tuple[int, ...]:
        """The grid that a whole case is brought to, before it is covered with tiles of `size`.

        Args:
            case_size: size of the case, one length per axis.
            spacing: its spacing in mm per axis, if known.
        """
        space = [index for index, axis in enumerate(self.axes) if axis != "T"]
        scale = max(self.size[index] / case_size[index] for index in space)
        grid = []
        for index, (axis, length) in enumerate(zip(self.axes, case_size, strict=True)):
            if axis == "T":
                grid.append(length)
            elif self.fit == "resize":
                grid.append(self.size[index])
            elif self.fit == "aspect":
                grid.append(max(self.size[index], math.floor(length * scale * self.zoom + 0.5)))
            elif self.spacing and spacing is not None:
                grid.append(max(1, math.floor(length * spacing[index] / self.spacing[index] + 0.5)))
            else:
                grid.append(length)
        return tuple(grid)

    def image_to_grid(self, image: np.ndarray, grid: Sequence[int] | None = None) -> np.ndarray:
        """Image float32 (*S, c) in [0, 1] to (*grid, c), free of aliasing; `grid` is `size` unless given."""
        return np.clip(_resample(image.astype(np.float32, copy=False), tuple(grid or self.size)), 0.0, 1.0)

    def label_to_grid(self, label: np.ndarray, grid: Sequence[int] | None = None) -> np.ndarray:
        """Classes int (*S) to int32 (*grid): each class is resampled as an image, the largest share wins.

        Where a label says nothing (`IGNORE`) is one more class.
        """
        target = tuple(grid or self.size)
        if label.shape == target:
            return label.astype(np.int32)
        # Class by class: much quicker than one-hot planes and argmax, and the same (ties to the lower).
        largest = _share(label, 0, target)
        winner = np.zeros(target, np.int32)
        others = [*range(1, self.num_classes), *([IGNORE] if self.ignores and (label == IGNORE).any() else [])]
        for index in others:
            share = _share(label, index, target)
            winner[share > largest] = index
            largest = np.maximum(largest, share)
        return winner

    def probabilities_to_case(self, probabilities: np.ndarray, case_size: Sequence[int]) -> np.ndarray:
        """Probabilities float32 (*grid, C) to (*case_size, C), to be followed by argmax, not preceded.

        Interpolated class indices would have steps of a grid pixel at edges, and classes that are not there.
        """
        return _resample(probabilities.astype(np.float32, copy=False), tuple(case_size))

    def slabs_of_case(
        self, probabilities: np.ndarray, case_size: Sequence[int], rows: int
    ) -> Iterator[tuple[slice, Callable[[], np.ndarray]]]:
        """What `probabilities_to_case` gives, so many positions of the first of three axes after the other.

        Yields:
            where a slab lies along the first axis, and what makes its probabilities float32 (rows, *S', C).
        """
        size = tuple(case_size)
        # Axes are resampled one after the other, the first one first: from there on slabs do not touch.
        first = _resample(probabilities.astype(np.float32, copy=False), (size[0], *probabilities.shape[1:-1]))
        for start in range(0, size[0], rows):
            part = first[start : start + rows]
            yield slice(start, start + len(part)), partial(_resample, part, (len(part), *size[1:]))


def _share(label: np.ndarray, index: int, size: tuple[int, ...]) -> np.ndarray:
    return _resample((label == index).astype(np.float32)[..., np.newaxis], size)[..., 0]


def _resample(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(*S, c) to (*size, c), float32: area average along axes that shrink, linear along those that grow.

    Both keep the edges of the first and the last pixel in place, and weights add up to one, so that
    constants, ranges and sums over channels survive.
    """
    if values.ndim != len(size) + 1:
        raise ValueError(f"expected {len(size)} spatial axes and channels, got an array of shape {values.shape}")
    if values.shape[:-1] == size:
        return values
    if len(size) == 2:
        return _resample_plane(values, size)
    # Axes are resampled one after the other as planes: (before, axis, after * c) has its axis as the height of a plane.
    for axis, length in enumerate(size):
        if values.shape[axis] != length:
            before, after = values.shape[:axis], values.shape[axis + 1 :]
            if axis == len(size) - 1 and values.shape[-1] in (3, 4):
                # One plane of many rows: to the bit the same for so many channels, and a tenth of the time.
                rows = values.reshape(math.prod(before), values.shape[axis], values.shape[-1])
                values = _resample_plane(rows, (len(rows), length)).reshape(*before, length, *after)
                continue
            planes = values.reshape(math.prod(before), values.shape[axis], math.prod(after), 1)
            planes = np.stack([_resample_plane(plane, (length, plane.shape[1])) for plane in planes])
            values = planes.reshape(*before, length, *after)
    return values


def _resample_plane(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    if values.shape[-1] > 4:  # OpenCV averages over areas for four channels at most
        groups = [values[..., start : start + 4] for start in range(0, values.shape[-1], 4)]
        return np.concatenate([_resample_plane(group, size) for group in groups], axis=-1)
    # OpenCV's area average is only that where no axis grows: shrink first, then grow.
    smaller = (min(values.shape[0], size[0]), min(values.shape[1], size[1]))
    for target, method in ((smaller, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if values.shape[:2] != target:
            resized = cv2.resize(np.ascontiguousarray(values), (target[1], target[0]), interpolation=method)
            values = resized.reshape(*target, values.shape[-1])
    return values
