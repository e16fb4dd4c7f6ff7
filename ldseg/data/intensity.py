"""Stored intensities to [0, 1], by a documented rule for each modality."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ldseg.base.options import INTENSITIES
from ldseg.base.scratch import ends
from ldseg.errors import DataError
from ldseg.io.contract import said_once
from ldseg.io.planes import depth_of

Z_RANGE = 4.0
"""Standard deviations on either side of the mean that the rule ``zscore`` keeps."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""What red, green and blue bring to gray (ITU-R BT.601)."""


_MOST = 1e37
"""What no intensity exceeds, unless it is clipped: programs write the ends of 32 bits, 3.4e38, where they have none."""

_LARGE = 1 << 22
"""Values from which on they are counted, where they are whole numbers, as to sort them takes longer."""

_MOST_COUNTED = 1 << 20


class Values(Protocol):
    """What the rules ask of the values of an image, whether they lie in memory or were counted on the way.

    Attributes:
        dtype: their type.
        low: the lowest.
        high: the highest.
    """

    dtype: np.dtype
    low: float
    high: float

    def percentiles(self, shares: tuple[float, float]) -> tuple[float, float]:
        """Two percentiles, shares from 0 to 100, between values in a straight line."""
        ...

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation."""
        ...


class Held:
    """The values of an image in memory, see `Values`."""

    def __init__(self, image: np.ndarray) -> None:
        self._image = image
        self.dtype = image.dtype
        self.low, self.high = (float(value) for value in ends(image))

    def percentiles(self, shares: tuple[float, float]) -> tuple[float, float]:
        """See `Values`."""
        counted = self._counted()
        if counted is None:
            low, high = (float(value) for value in np.percentile(self._image, shares))
            return low, high
        # What `np.percentile` finds, from counts: the two values next to a place, and a straight line between them.
        behind = np.cumsum(counted)
        found = []
        for share in shares:
            place = share / 100 * (self._image.size - 1)
            first = math.floor(place)
            one, two = (float(value) + self.low for value in np.searchsorted(behind, [first, first + 1], side="right"))
            way = place - first
            found.append(one + (two - one) * way if way < 0.5 else two - (two - one) * (1 - way))
        return found[0], found[1]

    def _counted(self) -> np.ndarray | None:
        """How often each whole number from the lowest to the highest occurs in a large image of not too many of them."""
        span = self.high - self.low
        if self._image.size < _LARGE or not (self.low.is_integer() and span < _MOST_COUNTED):
            return None
        counts = np.zeros(int(span) + 1, np.int64)
        for part in self._image:
            whole = part.astype(np.int64).ravel()
            if self.dtype.kind == "f" and (whole != part.ravel()).any():
                return None
            whole -= int(self.low)
            counts += np.bincount(whole, minlength=counts.size)
        return counts

    def moments(self) -> tuple[float, float]:
        """See `Values`."""
        return float(self._image.mean(dtype=np.float64)), float(self._image.std(dtype=np.float64))


def scale_intensity(
    image: np.ndarray,
    intensity: str,
    source: str,
    window: Sequence[float] = (),
    modalities: bool = False,
    bits: int | None = None,
) -> np.ndarray:
    """An image (*S, c) as float32 in [0, 1].

    - ``dtype`` (photographs, endoscopy, histology): uint8 is divided by 255, uint16 by 2^b - 1, floats must lie in
      [0, 1] already. b are the `bits` in use that the file tells, else the fewest of 8, 10, 12, 14 and 16 that hold the
      image: cameras and scanners store 12 bits in 16.
    - ``minmax`` (what LDSeg was published with): from the darkest to the brightest value over all channels together.
    - ``percentile`` (ultrasound, MR): from the 0.5th to the 99.5th percentile over all channels together (colours
      keep their ratio), clipped.
    - ``zscore`` (MR): (I - mean) / std, from -4 to 4 brought to 0 to 1, clipped.
    - ``window`` (CT): from the lower to the upper end of `window`, in the file's units (HU), clipped.

    With `modalities` the channels are images of their own, and the rule is applied to each by itself.
    `source` names the file in messages. Raises DataError for a constant image, values that are not finite, and
    floats outside [0, 1] under ``dtype``.
    """
    return scaling_of(image, intensity, source, window, modalities, bits)(image)


def scaling_of(
    image: np.ndarray,
    intensity: str,
    source: str,
    window: Sequence[float] = (),
    modalities: bool = False,
    bits: int | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """What `scale_intensity` does to an image, as a function that takes any part (*S', c) of it."""
    if intensity not in INTENSITIES:
        raise DataError(f"{source}: unknown intensity rule {intensity!r}, expected one of {', '.join(INTENSITIES)}")
    if modalities:
        parts = [image[..., index : index + 1] for index in range(image.shape[-1])]
        named = [f"{source} (channel {index + 1} of {len(parts)})" for index in range(len(parts))]
        each = [scaling_of(part, intensity, name, window, bits=bits) for part, name in zip(parts, named, strict=True)]
        return lambda part: np.concatenate([one(part[..., k : k + 1]) for k, one in enumerate(each)], axis=-1)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        bad = int(image.size - np.isfinite(image).sum())
        raise DataError(f"{source}: expected finite intensities, found {bad} that are NaN or infinite")
    bottom, top = bounds_of(Held(image), intensity, source, window, bits)
    if intensity == "dtype":  # nothing to clip
        return lambda part: np.divide(part, np.float32(top), dtype=np.float32)
    return lambda part: between(part, bottom, top)


def between(image: np.ndarray, bottom: float, top: float) -> np.ndarray:
    """Values brought from bottom to top to 0 to 1, clipped, float32."""
    with np.errstate(over="ignore"):  # what is clipped in any case
        scaled = np.subtract(image, np.float32(bottom), dtype=np.float32)
        scaled /= np.float32(top - bottom)
    return np.clip(scaled, 0.0, 1.0, out=scaled)


def bounds_of(
    values: Values, intensity: str, source: str, window: Sequence[float] = (), bits: int | None = None
) -> tuple[float, float]:
    """What a rule of `scale_intensity` brings to 0 and to 1, for the finite values of an image or of one of its modalities.

    Raises DataError as `scale_intensity` does.
    """
    low, high = values.low, values.high
    if low == high:
        raise DataError(f"{source}: constant image, every value is {low:g}; expected an image with content")
    if intensity == "window":
        bottom, top = window
        return bottom, top
    bottom, top = values.percentiles((0.5, 99.5)) if intensity == "percentile" else (low, high)
    if bottom == top:  # nearly constant: what differs is all there is
        bottom, top = low, high
    if max(-bottom, top) > _MOST:
        raise DataError(
            f"{source}: expected intensities, found {low:g} to {high:g}: such numbers stand for what was not measured; give"
            " it a value like those beside it"
        )
    if intensity == "dtype":
        return 0.0, _top_by_type(values.dtype, low, high, source, bits)
    if intensity == "zscore":
        mean, deviation = values.moments()
        bottom, top = mean - Z_RANGE * deviation, mean + Z_RANGE * deviation
    return bottom, top


def _top_by_type(dtype: np.dtype, low: float, high: float, source: str, bits: int | None) -> float:
    if dtype == np.uint8:
        return float(2**bits - 1) if bits is not None and bits < 8 and high < 2**bits else 255.0
    if dtype == np.uint16:
        used = bits if bits is not None and high < 2**bits else depth_of(high)
        if used < 16:
            said_once(f"{used} bits", f"{source}: {used} bits are in use of 16: taken as such (this is said once)")
        return float(2**used - 1)
    if low < 0 or high > 1:
        raise DataError(
            f"{source}: values from {low:g} to {high:g} that are no unsigned whole numbers of 8 or 16 bits, expected 0 to 1;"
            " save it with 8 or 16 bits, or take weights that scale by content (trained with [Data] Intensity percentile,"
            " zscore or window)"
        )
    return 1.0


def to_channels(image: np.ndarray, channels: int, source: str, modalities: bool = False) -> np.ndarray:
    """(*S, c) to (*S, channels): gray is repeated to 3, colour is reduced to its luma for 1, all else is as it has to be.

    `source` names the file in messages. Raises DataError for another number of channels, which cannot be made up.
    """
    given = image.shape[-1]
    if given == channels:
        return image
    if not modalities and (given, channels) == (1, 3):
        return np.repeat(image, 3, axis=-1)
    if not modalities and (given, channels) == (3, 1):
        return (image @ LUMA)[..., np.newaxis]
    raise DataError(f"{source}: expected an image of {channels} channels, found {given}, see [Data] Channels")
