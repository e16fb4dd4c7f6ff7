"""Colour and noise of training samples.

Colour is two affine maps of the colour vector, one in optical density and one in RGB, so that stain, gamma,
contrast, saturation and hue together cost two small matrix products per pixel.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ldseg.augmentation.strength import Strength, factor

FloatArray = NDArray[np.float32]

# Optical-density directions of haematoxylin and eosin, Ruifrok & Johnston, "Quantification of histochemical
# staining by color deconvolution" (2001); the third is orthogonal to both and keeps what they do not explain.
_HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
_EOSIN = np.array([0.07, 0.99, 0.11])
_RGB_TO_GRAY = np.array([0.299, 0.587, 0.114])
_DARKEST = 1.0 / 255.0


def _stain_matrix() -> NDArray[np.float64]:
    rows = np.stack([_HAEMATOXYLIN, _EOSIN, np.cross(_HAEMATOXYLIN, _EOSIN)])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


_STAINS = _stain_matrix()
_UNSTAIN = np.linalg.inv(_STAINS)


def as_float(array: NDArray[Any]) -> FloatArray:
    """float32 without a copy; OpenCV's signatures leave the type open."""
    return np.asarray(array, np.float32)


def jitter_colours(image: FloatArray, stack: int, rng: np.random.Generator, strength: Strength) -> FloatArray:
    """Stain and colour jitter, blur and noise of (*S, c) in [0, 1]; one jitter for all planes of a stack."""
    channels = image.shape[-1]
    flat = image.reshape(-1, 1, channels)
    colour = rng.random() < strength.colour_p
    density = np.eye(channels, channels + 1)  # affine map of the optical density: matrix and offset
    if rng.random() < strength.stain_p and channels == 3:
        gain = 1.0 + rng.uniform(-1.0, 1.0, 3) * strength.stain_gain
        offset = rng.uniform(-1.0, 1.0, 3) * strength.stain_offset
        gain[2], offset[2] = 1.0, 0.0
        density[:, :3] = (_UNSTAIN @ np.diag(gain) @ _STAINS).T
        density[:, 3] = offset @ _STAINS
    if colour:
        density *= factor(rng, strength.gamma)  # (I ** gamma) is gamma times the optical density
    restain = strength.restain_p > 0.0 and channels == 3 and rng.random() < strength.restain_p
    if restain or not np.array_equal(density, np.eye(channels, channels + 1)):
        logarithm = cv2.log(np.maximum(flat, np.float32(_DARKEST))).reshape(flat.shape)
        if restain:
            density = _other_stains(as_float(-logarithm.reshape(-1, 3)), density, rng)
        density[:, -1] *= -1.0  # the logarithm is the negative optical density
        flat = as_float(cv2.exp(cv2.transform(logarithm, density))).reshape(flat.shape)
    matrix = np.eye(channels, channels + 1)
    if channels == 3:
        matrix[:, :3] = _exchange(rng, strength)
    if colour:
        matrix = _after(_colour_map(_mean(flat, matrix), rng, strength), matrix)
    if strength.fade_p > 0.0 and rng.random() < strength.fade_p:
        mean, share = _mean(flat, matrix), rng.uniform(0.0, strength.fade)
        level = mean + rng.random() * (1.0 - mean)
        matrix = _after(np.column_stack([(1.0 - share) * np.eye(channels), share * level]), matrix)
    if not np.array_equal(matrix, np.eye(channels, channels + 1)):
        flat = as_float(cv2.transform(flat, matrix))
    image = flat.reshape(image.shape)

    if rng.random() < strength.blur_p:
        sigma = rng.uniform(0.3, max(0.3, strength.blur))
        planes = image.reshape(-1, *image.shape[stack:])
        blurred = np.stack([cv2.GaussianBlur(one, (0, 0), sigma).reshape(one.shape) for one in planes])
        image = blurred.reshape(image.shape)
    if rng.random() < strength.noise_p:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + np.float32(rng.uniform(0.0, strength.noise)) * noise
    return np.clip(image, 0.0, 1.0)


def _after(second: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine map (c, c + 1) that does `first` and then `second`."""
    joined = second[:, :-1] @ first
    joined[:, -1] += second[:, -1]
    return joined


def _mean(flat: FloatArray, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean colour (c,) of the pixels (n, 1, c) after an affine map."""
    return matrix[:, :-1] @ np.array(cv2.mean(flat)[: flat.shape[-1]]) + matrix[:, -1]


def _other_stains(density: FloatArray, first: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Affine map (3, 4) of optical densities (n, 3), after the map `first`, to those of stains drawn at random.

    Random statistics of a colour space as in RandStainNA (Shen et al. 2022, arXiv 2206.12694), here in optical density
    and from ranges wide enough for any stain in place of those of a training set.
    """
    if rng.random() < 0.5:
        rows = rng.dirichlet(np.ones(3), 2)  # colours of absorption: never negative
        rows = np.vstack([rows, 0.5 * np.cross(*rows)])
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 0.1)  # two alike leave next to nothing of the third
        first = _after(np.column_stack([(_UNSTAIN @ rows).T, np.zeros(3)]), first)
    few = density[:: max(1, len(density) // 4096)].astype(np.float64)
    mapped = few @ first[:, :3].T + first[:, 3]
    mean = math.exp(rng.uniform(math.log(0.15), math.log(0.9))) * np.exp(rng.normal(0.0, 0.4, 3))
    deviation = mean * rng.uniform(0.35, 0.8) * np.exp(rng.normal(0.0, 0.15, 3))
    gain = deviation / np.maximum(mapped.std(axis=0), 0.02)  # what has no colour of its own is not made to have noise
    return _after(np.column_stack([np.diag(gain), mean - gain * mapped.mean(axis=0)]), first)


def _exchange(rng: np.random.Generator, strength: Strength) -> NDArray[np.float64]:
    """Matrix (3, 3) that makes an image gray, swaps its channels, turns its hue anywhere, or leaves it."""
    limits = np.cumsum([strength.gray_p, strength.swap_p, strength.any_hue_p])
    if limits[-1] == 0.0:
        return np.eye(3)
    kind = np.searchsorted(limits, rng.random(), side="right")
    if kind == 0:
        return np.tile(rng.dirichlet(np.full(3, 2.0)), (3, 1))
    if kind == 1:
        order = np.roll(np.arange(3), rng.integers(3))[:: rng.choice([-1, 1])]
        return np.eye(3)[order]
    return _turn(rng.uniform(-math.pi, math.pi)) if kind == 2 else np.eye(3)


def _turn(angle: float) -> NDArray[np.float64]:
    """Rotation (3, 3) of colours about the gray axis, radians."""
    matrix, _ = cv2.Rodrigues(np.full(3, angle / math.sqrt(3.0)))
    return np.asarray(matrix, np.float64)


def _colour_map(mean: NDArray[np.float64], rng: np.random.Generator, strength: Strength) -> NDArray[np.float64]:
    """Affine map (c, c + 1): hue and saturation about the gray axis, contrast about the mean (c,)."""
    channels = len(mean)
    contrast = factor(rng, strength.contrast)
    offset = rng.uniform(-strength.brightness, strength.brightness)
    matrix = np.eye(channels)
    if channels == 3:
        saturation = factor(rng, strength.saturation)
        gray = np.tile(_RGB_TO_GRAY, (3, 1))
        matrix = (gray + saturation * (np.eye(3) - gray)) @ _turn(rng.uniform(-1.0, 1.0) * strength.hue)
    matrix = contrast * matrix
    # contrast pivots at the mean colour, so that it does not act as brightness as well
    return np.column_stack([matrix, (1.0 - contrast) * mean + offset])
