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
    if not np.array_equal(density, np.eye(channels, channels + 1)):
        logarithm = cv2.log(np.maximum(flat, np.float32(_DARKEST))).reshape(flat.shape)
        density[:, -1] *= -1.0  # the logarithm is the negative optical density
        flat = as_float(cv2.exp(cv2.transform(logarithm, density))).reshape(flat.shape)
    if colour:
        flat = as_float(cv2.transform(flat, _colour_map(flat, channels, rng, strength)))
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


def _colour_map(flat: FloatArray, channels: int, rng: np.random.Generator, strength: Strength) -> NDArray[np.float64]:
    """Affine map (c, c + 1): hue and saturation about the gray axis, contrast about the mean."""
    contrast = factor(rng, strength.contrast)
    offset = rng.uniform(-strength.brightness, strength.brightness)
    matrix = np.eye(channels)
    if channels == 3:
        saturation = factor(rng, strength.saturation)
        hue, _ = cv2.Rodrigues(np.full(3, rng.uniform(-1.0, 1.0) * strength.hue / math.sqrt(3.0)))
        gray = np.tile(_RGB_TO_GRAY, (3, 1))
        matrix = (gray + saturation * (np.eye(3) - gray)) @ hue
    matrix = contrast * matrix
    # contrast pivots at the mean colour, so that it does not act as brightness as well
    mean = np.array(cv2.mean(flat)[:channels])
    return np.column_stack([matrix, (1.0 - contrast) * mean + offset])
