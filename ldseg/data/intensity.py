"""Stored intensities to [0, 1], by a documented rule for each modality."""

from collections.abc import Sequence

import numpy as np

from ldseg.errors import DataError
from ldseg.io.contract import said_once
from ldseg.io.planes import depth_of
from ldseg.options import INTENSITIES

Z_RANGE = 4.0
"""Standard deviations on either side of the mean that the rule ``zscore`` keeps."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""What red, green and blue bring to gray (ITU-R BT.601)."""


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
    - ``percentile`` (ultrasound, MR): from the 0.5th to the 99.5th percentile over all channels together (colours
      keep their ratio), clipped.
    - ``zscore`` (MR): (I - mean) / std, from -4 to 4 brought to 0 to 1, clipped.
    - ``window`` (CT): from the lower to the upper end of `window`, in the file's units (HU), clipped.

    With `modalities` the channels are images of their own, and the rule is applied to each by itself.
    `source` names the file in messages. Raises DataError for a constant image, values that are not finite, and
    floats outside [0, 1] under ``dtype``.
    """
    if intensity not in INTENSITIES:
        raise DataError(f"{source}: unknown intensity rule {intensity!r}, expected one of {', '.join(INTENSITIES)}")
    if modalities:
        parts = [image[..., index : index + 1] for index in range(image.shape[-1])]
        named = [f"{source} (channel {index + 1} of {len(parts)})" for index in range(len(parts))]
        scaled = [scale_intensity(part, intensity, name, window, bits=bits) for part, name in zip(parts, named, strict=True)]
        return np.concatenate(scaled, axis=-1)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        bad = int(image.size - np.isfinite(image).sum())
        raise DataError(f"{source}: expected finite intensities, found {bad} that are NaN or infinite")
    low, high = float(image.min()), float(image.max())
    if low == high:
        raise DataError(f"{source}: constant image, every value is {low:g}; expected an image with content")
    if intensity == "dtype":
        return _by_type(image, low, high, source, bits)
    if intensity == "percentile":
        bottom, top = (float(value) for value in np.percentile(image, (0.5, 99.5)))
        if bottom == top:  # nearly constant: what differs is all there is
            bottom, top = low, high
    elif intensity == "zscore":
        mean, deviation = float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64))
        bottom, top = mean - Z_RANGE * deviation, mean + Z_RANGE * deviation
    else:
        bottom, top = window
    return np.clip((image.astype(np.float32) - np.float32(bottom)) / np.float32(top - bottom), 0.0, 1.0)


def _by_type(image: np.ndarray, low: float, high: float, source: str, bits: int | None) -> np.ndarray:
    if image.dtype == np.uint8:
        return image.astype(np.float32) / np.float32(255)
    if image.dtype == np.uint16:
        used = bits if bits is not None and high < 2**bits else depth_of(high)
        if used < 16:
            said_once(f"{used} bits", f"{source}: {used} bits are in use of 16: taken as such (this is said once)")
        return image.astype(np.float32) / np.float32(2**used - 1)
    if low < 0 or high > 1:
        raise DataError(
            f"{source}: values from {low:g} to {high:g} that are no unsigned whole numbers of 8 or 16 bits, expected 0 to 1;"
            " save it with 8 or 16 bits, or take weights that scale by content (trained with [Data] Intensity percentile,"
            " zscore or window)"
        )
    return image.astype(np.float32)


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
