"""From the size of a case to the grid of the network, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
from skimage.transform import resize as resize_any_rank

from ldseg.data.cases import INTENSITIES
from ldseg.data.labels import LABEL_RULES
from ldseg.errors import ConfigError
from ldseg.spatial import AXES


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a case becomes what the network sees; stored with the weights.

    size: the grid of the network, one number per axis. channels: 1 or 3. intensity: dtype or percentile (see
    `ldseg.data.cases.scale_intensity`). classes: their names, background first. labels: the rule of
    `ldseg.data.labels.to_classes`. axes: "YX", "TYX" or "ZYX". Raises ConfigError for anything else.
    """

    size: tuple[int, ...]
    channels: int = 3
    intensity: str = "dtype"
    classes: tuple[str, ...] = ("background", "gland")
    labels: str = "auto"
    axes: str = "YX"

    def __post_init__(self) -> None:
        # Lists are what JSON gives back.
        object.__setattr__(self, "size", tuple(int(length) for length in self.size))
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.axes not in AXES.values():
            raise ConfigError(
                f"preprocessing axes must be one of {', '.join(AXES.values())}, got {self.axes!r}"
            )
        if len(self.size) != len(self.axes) or min(self.size) < 1:
            raise ConfigError(
                f"preprocessing size must be one positive number per axis of {self.axes}, got {self.size}"
            )
        if self.channels not in (1, 3):
            raise ConfigError(f"preprocessing channels must be 1 or 3, got {self.channels}")
        if self.intensity not in INTENSITIES:
            raise ConfigError(
                f"preprocessing intensity must be one of {', '.join(INTENSITIES)}, got {self.intensity!r}"
            )
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ConfigError(
                f"preprocessing classes must be two names or more, all different, got {self.classes}"
            )
        if self.labels not in LABEL_RULES:
            raise ConfigError(
                f"preprocessing labels must be one of {', '.join(LABEL_RULES)}, got {self.labels!r}"
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are, background included."""
        return len(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` takes them back."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Raises ConfigError for a key that is unknown or missing."""
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise ConfigError(
                f"preprocessing needs the keys {', '.join(sorted(known))}, got {', '.join(sorted(values))}"
            )
        return cls(**values)

    def image_to_grid(self, image: np.ndarray) -> np.ndarray:
        """Image float32 (*S, c) in [0, 1] to (*size, c), free of aliasing."""
        return np.clip(_resample(image.astype(np.float32, copy=False), self.size), 0.0, 1.0)

    def label_to_grid(self, label: np.ndarray) -> np.ndarray:
        """Classes int (*S) to int32 (*size): each class is resampled as an image, the largest share wins."""
        if label.shape == self.size:
            return label.astype(np.int32)
        # Class by class: much quicker than one-hot planes and argmax, and the same (ties to the lower).
        largest = self._share(label, 0)
        winner = np.zeros(self.size, np.int32)
        for index in range(1, self.num_classes):
            share = self._share(label, index)
            winner[share > largest] = index
            largest = np.maximum(largest, share)
        return winner

    def _share(self, label: np.ndarray, index: int) -> np.ndarray:
        return _resample((label == index).astype(np.float32)[..., np.newaxis], self.size)[..., 0]

    def probabilities_to_case(self, probabilities: np.ndarray, case_size: Sequence[int]) -> np.ndarray:
        """Probabilities float32 (*size, C) to (*case_size, C), to be followed by argmax, not preceded.

        Interpolated class indices would have steps of a grid pixel at edges, and classes that are not there.
        """
        return _resample(probabilities.astype(np.float32, copy=False), tuple(case_size))


def _resample(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(*S, c) to (*size, c), float32: area average along axes that shrink, linear along those that grow.

    Both keep the edges of the first and the last pixel in place, and weights add up to one, so that
    constants, ranges and sums over channels survive.
    """
    if values.ndim != len(size) + 1:
        raise ValueError(
            f"expected {len(size)} spatial axes and channels, got an array of shape {values.shape}"
        )
    if len(size) != 2:
        shape = (*size, values.shape[-1])
        shrinks = any(new < old for new, old in zip(size, values.shape[:-1], strict=True))
        resized = resize_any_rank(
            values, shape, order=1, mode="edge", anti_aliasing=shrinks, preserve_range=True
        )
        return resized.astype(np.float32)
    if values.shape[-1] > 4:  # OpenCV averages over areas for four channels at most
        groups = [values[..., start : start + 4] for start in range(0, values.shape[-1], 4)]
        return np.concatenate([_resample(group, size) for group in groups], axis=-1)
    # OpenCV's area average is only that where no axis grows: shrink first, then grow.
    smaller = (min(values.shape[0], size[0]), min(values.shape[1], size[1]))
    for target, method in ((smaller, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if values.shape[:2] != target:
            resized = cv2.resize(np.ascontiguousarray(values), (target[1], target[0]), interpolation=method)
            values = resized.reshape(*target, values.shape[-1])
    return values
