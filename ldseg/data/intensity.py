"""Stored intensities to [0, 1], by a documented rule for each modality."""

from collections.abc import Sequence

import numpy as np

from ldseg.errors import DataError

INTENSITIES = ("dtype", "percentile", "zscore", "window")
Z_RANGE = 4.0
"""Standard deviations on either side of the mean that the rule ``zscore`` keeps."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def scale_intensity(image: np.ndarray, intensity: str, source: str, window: Sequence[float] = ()) -> np.ndarray:
    """An image (*S, c) as float32 in [0, 1].

    - ``dtype`` (photographs, endoscopy, histology): uint8 is divided by 255, uint16 by 65535, floats must lie in
      [0, 1] already.
    - ``percentile`` (ultrasound, MR): from the 0.5th to the 99.5th percentile over all channels together (colours
      keep their ratio), clipped.
    - ``zscore`` (MR): (I - mean) / std, from -4 to 4 brought to 0 to 1, clipped.
    - ``window`` (CT): from the lower to the upper end of `window`, in the file's units (HU), clipped.

    `source` names the file in messages. Raises DataError for a constant image, values that are not finite, and
    floats outside [0, 1] under ``dtype``.
    """
    if intensity not in INTENSITIES:
        raise DataError(f"{source}: unknown intensity rule {intensity!r}, expected one of {', '.join(INTENSITIES)}")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        bad = int(image.size - np.isfinite(image).sum())
        raise DataError(f"{source}: expected finite intensities, found {bad} that are NaN or infinite")
    low, high = float(image.min()), float(image.max())
    if low == high:
        raise DataError(f"{source}: constant image, every value is {low:g}; expected an image with content")
    if intensity == "dtype":
        return _by_type(image, low, high, source)
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


def _by_type(image: np.ndarray, low: float, high: float, source: str) -> np.ndarray:
    if image.dtype in (np.uint8, np.uint16):
        return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    if low < 0 or high > 1:
        raise DataError(
            f"{source}: {image.dtype} values from {low:g} to {high:g}, expected 0 to 1"
            " (set [Data] Intensity to percentile, zscore or window to scale by content)"
        )
    return image.astype(np.float32)


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """(*S, 1 or 3) to (*S, channels): gray is repeated, colour is reduced to its luma."""
    if channels not in (1, 3):
        raise DataError(f"images have 1 or 3 channels, got {channels}")
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    return (image @ _LUMA)[..., np.newaxis]
