"""What is done to an image to see how masks hold out: noise, blur, loss of contrast."""

from __future__ import annotations

import numpy as np

from ldseg.base.options import DEGRADATIONS
from ldseg.inference.seeding import case_generator

BLUR = 20.0
"""Pixels of a blur's width for each unit of sigma."""

CONTRAST = 4.0
"""Share of the contrast that goes for each unit of sigma: a quarter takes it all."""

_LEAST = 1e-7
_MANY = 20.0  # counts from which on the quantile of a Poisson distribution is taken from a series


def degrade(image: np.ndarray, kind: str, sigma: float, seed: int, content: str, *, axes: str | None = None) -> np.ndarray:
    r"""Degrade an image x in [0, 1] and clip it to [0, 1]; at ``sigma`` 0 it is the image itself.

    With n standard normal at each pixel and channel, drawn from the seed and the content alone, so that every sigma and kind
    scales the same realisation:

    - ``gaussian``: :math:`x + \sigma n`.
    - ``speckle``: :math:`x (1 + \sigma n)`.
    - ``poisson``: :math:`\sigma^2 k`, k the quantile :math:`\Phi(n)` of the Poisson distribution of mean
      :math:`x / \sigma^2`: photons are counted. Standard deviation :math:`\sigma \sqrt x`, so :math:`\sigma` at white. As
      counts are whole numbers, single pixels do not change evenly with sigma.
    - ``blur``: a Gaussian of standard deviation ``BLUR`` :math:`\sigma` pixels along each axis but time; nothing random.
    - ``contrast``: :math:`m + \max(0, 1 - 4 \sigma) (x - m)`, m the mean of a channel: an image whose values have a
      standard deviation of 1/4 changes by a root mean square of :math:`\sigma`; from 1/4 on it is constant. Nothing random.

    Args:
        image: float32 ``(*S, c)``.
        kind: one of ``DEGRADATIONS``.
        sigma: strength, at least 0; below 1e-7, finer than 32 bits tell apart, it is as 0.
        seed: the run's seed.
        content: the digest of the image as it was read.
        axes: letters of S, which tell where time is; without them there is none.

    Returns:
        float32 ``(*S, c)``.

    Raises:
        ValueError: for an unknown kind, or a sigma below 0.
    """
    if kind not in DEGRADATIONS or sigma < 0:
        raise ValueError(f"expected one of {tuple(DEGRADATIONS)} and a sigma of at least 0, got {kind!r} and {sigma}")
    if sigma < _LEAST:
        return image
    strength = np.float32(sigma)
    if kind == "blur":
        from scipy import ndimage  # here, as segmenting does without

        widths = [0.0 if axis == "T" else BLUR * sigma for axis in axes or "-" * (image.ndim - 1)]
        return np.clip(ndimage.gaussian_filter(image, (*widths, 0.0), mode="nearest"), 0, 1)
    if kind == "contrast":
        mean = image.mean(axis=tuple(range(image.ndim - 1)), dtype=np.float64).astype(np.float32)
        return np.clip(mean + np.float32(max(0.0, 1 - CONTRAST * sigma)) * (image - mean), 0, 1)
    noise = case_generator(seed, content, "image").standard_normal(image.shape, dtype=np.float32)
    if kind == "poisson":
        return np.clip(strength**2 * _poisson(image / strength**2, noise), 0, 1)
    return np.clip(image + strength * (noise if kind == "gaussian" else image * noise), 0, 1)


def _poisson(mean: np.ndarray, normal: np.ndarray) -> np.ndarray:
    r"""Quantiles :math:`\Phi(n)` of the Poisson distributions of these means, float32.

    Exact for small means. For others the series of Cornish and Fisher (Extrait de la Revue de l'Institut International de
    Statistique 5, 1938), rounded: many times faster, and hardly ever off by a count.
    """
    root = np.sqrt(np.maximum(mean, _MANY))
    series = root**2 + root * normal + (normal**2 - 1) / 6 + (normal - normal**3) / (72 * root)
    counts = np.maximum(np.rint(series), 0)
    few = mean < _MANY
    if few.any():
        from scipy import special

        share, rate = special.ndtr(normal[few].astype(np.float64)), mean[few].astype(np.float64)
        above = np.ceil(special.pdtrik(share, rate))
        below = np.maximum(above - 1, 0)  # where rounding lifted a whole number to the next
        counts[few] = np.where(special.pdtr(below, rate) >= share, below, above)
    return counts
