"""Training-time augmentation: one training sample from one case.

Geometry is one composed map that is applied once: image and label stay in register and are interpolated once.
Colour is two affine maps of the colour vector, one in optical density and one in RGB, so that stain, gamma,
contrast, saturation and hue together cost two small matrix products per pixel.
All randomness comes from the generator that is passed in: the same generator state gives the same sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ldseg.errors import ConfigError, DataError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

KINDS = ("histology", "flips", "none")

# Optical-density directions of haematoxylin and eosin, Ruifrok & Johnston, "Quantification of histochemical
# staining by color deconvolution" (2001); the third is orthogonal to both and keeps what they do not explain.
_HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
_EOSIN = np.array([0.07, 0.99, 0.11])
_RGB_TO_GRAY = np.array([0.299, 0.587, 0.114])
_AMOUNTS = ("shear", "elastic", "jitter", "stain_gain", "stain_offset", "brightness", "hue", "blur", "noise")
_DARKEST = 1.0 / 255.0


def _stain_matrix() -> NDArray[np.float64]:
    rows = np.stack([_HAEMATOXYLIN, _EOSIN, np.cross(_HAEMATOXYLIN, _EOSIN)])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


_STAINS = _stain_matrix()
_UNSTAIN = np.linalg.inv(_STAINS)


@dataclass(frozen=True, kw_only=True)
class Histology:
    """Strengths of the augmentation kind `histology`. Every `*_p` is a probability in [0, 1].

    scale: range of the magnification (above 1 shows less tissue, larger), drawn log-uniformly.
    aspect: largest ratio of the magnifications along x and y.
    shear: largest shear (tangent of its angle).
    elastic: standard deviation of the displacement, as a fraction of the patch's shorter side.
    elastic_cell: spacing of the displacement's control points, in the same unit: large against `elastic`, so
        that the map does not fold.
    jitter: how far, in patches, the patch may hang over the border of the image (which is mirrored there).
    stain_gain, stain_offset: largest relative change and largest offset (optical density) of each stain.
    gamma, contrast, saturation: largest change, as a factor or its inverse (1 is none).
    brightness: largest offset, image range 1. hue: largest rotation about the gray axis, radians.
    blur: largest standard deviation, pixels. noise: largest standard deviation, image range 1.
    """

    scale: tuple[float, float] = (0.7, 1.5)
    aspect: float = 1.3
    shear: float = 0.12
    elastic: float = 0.025
    elastic_cell: float = 0.25
    elastic_p: float = 0.5
    jitter: float = 0.1
    stain_gain: float = 0.25
    stain_offset: float = 0.06
    stain_p: float = 0.7
    gamma: float = 1.25
    contrast: float = 1.25
    saturation: float = 1.3
    brightness: float = 0.08
    hue: float = 0.15
    colour_p: float = 0.7
    blur: float = 1.2
    blur_p: float = 0.2
    noise: float = 0.04
    noise_p: float = 0.2

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0.0 < low <= high:
            raise ConfigError(f"scale: expected 0 < low <= high, got {self.scale}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_p") and not 0.0 <= value <= 1.0:
                raise ConfigError(f"{field.name}: expected a probability in [0, 1], got {value}")
        for name in ("aspect", "gamma", "contrast", "saturation"):
            if getattr(self, name) < 1.0:
                raise ConfigError(f"{name}: expected a factor of at least 1, got {getattr(self, name)}")
        for name in _AMOUNTS:
            if getattr(self, name) < 0.0:
                raise ConfigError(f"{name}: expected a number of at least 0, got {getattr(self, name)}")
        if self.elastic_cell <= 0.0:
            raise ConfigError(f"elastic_cell: expected a number above 0, got {self.elastic_cell}")


def augment(
    image: FloatArray,
    label: IntArray,
    *,
    kind: str,
    patch: Sequence[int],
    axes: str,
    rng: np.random.Generator,
    strength: Histology | None = None,
) -> tuple[FloatArray, IntArray]:
    """Draw one training sample.

    image: (*S, c) in [0, 1], c 1 or 3. label: (*S), integers of at least 0.
    axes: one letter per spatial axis, such as "YX", "TYX", "ZYX".
    patch: size of the sample, one number per axis; where it exceeds the image, the image is mirrored.
    kind:
        histology: any rotation, flips, scale, aspect, shear and elastic displacement in the plane of Y and X
            (the same for all planes of a stack), random position, stain and colour jitter, blur and noise.
        flips: random position, flips along every axis but T, and quarter turns where axes is "YX".
        none: the centre of the image, the same each time.
    strength: only for histology; None takes the defaults.
    Returns new arrays: image (*patch, c) float32 in [0, 1], label (*patch) int32.
    Raises ConfigError for an unknown kind or a patch that does not fit the axes, DataError where image and
    label do not fit each other.
    """
    patch = tuple(int(n) for n in patch)
    _check(image, label, kind=kind, patch=patch, axes=axes)
    if kind == "histology":
        return _histology(image, label, patch=patch, axes=axes, rng=rng, strength=strength or Histology())
    if kind == "flips":
        return _flips(image, label, patch=patch, axes=axes, rng=rng)
    starts = [max(0, (n - p) // 2) for n, p in zip(label.shape, patch, strict=True)]
    return _finish(*_crop(image, label, starts, patch))


def _check(image: FloatArray, label: IntArray, *, kind: str, patch: tuple[int, ...], axes: str) -> None:
    if kind not in KINDS:
        raise ConfigError(f"augmentation: expected one of {', '.join(KINDS)}, got {kind!r}")
    if len(patch) != len(axes) or min(patch) < 1:
        raise ConfigError(
            f"patch: expected {len(axes)} numbers of at least 1 for the axes {axes}, got {patch}"
        )
    if kind == "histology" and not axes.endswith("YX"):
        raise ConfigError(f"augmentation histology: expected axes that end with YX, got {axes}")
    if image.ndim != len(axes) + 1 or image.shape[:-1] != label.shape:
        raise DataError(
            f"expected an image (*S, c) and a label (*S) over the axes {axes}, "
            f"got {image.shape} and {label.shape}"
        )


def _float(array: NDArray[Any]) -> FloatArray:
    return np.asarray(array, np.float32)  # no copy; OpenCV's signatures leave the type open


def _finish(image: FloatArray, label: IntArray) -> tuple[FloatArray, IntArray]:
    return np.array(image, np.float32, order="C"), np.array(label, np.int32, order="C")


def _crop(
    image: FloatArray, label: IntArray, starts: Sequence[int], patch: Sequence[int]
) -> tuple[FloatArray, IntArray]:
    """The patch at `starts`; axes shorter than the patch are mirrored evenly on both sides."""
    window = tuple(slice(start, start + p) for start, p in zip(starts, patch, strict=True))
    image, label = image[window], label[window]
    missing = [p - n for p, n in zip(patch, label.shape, strict=True)]
    if any(missing):
        margins = [(m // 2, m - m // 2) for m in missing]
        image = np.pad(image, [*margins, (0, 0)], mode="reflect")
        label = np.pad(label, margins, mode="reflect")
    return image, label


def _random_starts(shape: Sequence[int], patch: Sequence[int], rng: np.random.Generator) -> list[int]:
    return [int(rng.integers(0, max(0, n - p) + 1)) for n, p in zip(shape, patch, strict=True)]


def _flips(
    image: FloatArray, label: IntArray, *, patch: tuple[int, ...], axes: str, rng: np.random.Generator
) -> tuple[FloatArray, IntArray]:
    turns = int(rng.integers(4)) if axes == "YX" else 0
    # a patch that is turned afterwards is cut the other way round
    taken = patch[::-1] if turns % 2 else patch
    image, label = _crop(image, label, _random_starts(label.shape, taken, rng), taken)
    flipped = tuple(axis for axis, letter in enumerate(axes) if letter != "T" and rng.random() < 0.5)
    image, label = np.flip(image, flipped), np.flip(label, flipped)
    return _finish(np.rot90(image, turns), np.rot90(label, turns)) if turns else _finish(image, label)


def _histology(
    image: FloatArray,
    label: IntArray,
    *,
    patch: tuple[int, ...],
    axes: str,
    rng: np.random.Generator,
    strength: Histology,
) -> tuple[FloatArray, IntArray]:
    stack, plane = len(axes) - 2, patch[-2:]
    starts = _random_starts(label.shape[:stack], patch[:stack], rng)
    image, label = _crop(image, label, [*starts, 0, 0], [*patch[:stack], *label.shape[stack:]])
    flipped = tuple(axis for axis, letter in enumerate(axes[:stack]) if letter != "T" and rng.random() < 0.5)
    image, label = np.flip(image, flipped), np.flip(label, flipped)

    map_x, map_y = _plane_map(label.shape[stack:], plane, rng, strength)
    planes = np.ascontiguousarray(image, np.float32).reshape(-1, *image.shape[stack:])
    image = np.stack([_warp(one, map_x, map_y) for one in planes]).reshape(*patch, image.shape[-1])
    masks = np.asarray(label, np.int32).reshape(-1, *label.shape[stack:])
    label = np.stack([_warp_label(one, map_x, map_y) for one in masks]).reshape(patch)
    return _finish(_colours(image, stack, rng, strength), label)


def _factor(rng: np.random.Generator, most: float) -> float:
    """A factor between 1/most and most, log-uniform."""
    return math.exp(rng.uniform(-1.0, 1.0) * math.log(most))


def _plane_map(
    shape: Sequence[int], plane: Sequence[int], rng: np.random.Generator, strength: Histology
) -> tuple[FloatArray, FloatArray]:
    """For each pixel of the patch where it comes from in the image: x and y, each of size `plane`."""
    height, width = plane
    angle = rng.uniform(0.0, 2.0 * math.pi)
    scale = math.exp(rng.uniform(*np.log(strength.scale)))
    stretch = math.sqrt(_factor(rng, strength.aspect))
    shear = rng.uniform(-strength.shear, strength.shear)
    mirror = -1.0 if rng.random() < 0.5 else 1.0  # with any rotation, one mirroring gives all flips
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = rotation @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([mirror / stretch, stretch]) / scale

    centre = np.empty(2)
    for i, (whole, part) in enumerate(((shape[1], width), (shape[0], height))):
        free = max(0.0, whole - part / scale) / 2.0 + strength.jitter * part / scale
        centre[i] = (whole - 1) / 2.0 + rng.uniform(-free, free)

    x = np.arange(width, dtype=np.float32) - (width - 1) / 2.0
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2.0)[:, None]
    map_x = (linear[0, 0] * x + centre[0]) + linear[0, 1] * y
    map_y = (linear[1, 0] * x + centre[1]) + linear[1, 1] * y
    if rng.random() < strength.elastic_p:
        shift = _elastic(height, width, rng, strength) / scale
        map_x, map_y = map_x + shift[..., 0], map_y + shift[..., 1]
    return map_x.astype(np.float32), map_y.astype(np.float32)


def _elastic(height: int, width: int, rng: np.random.Generator, strength: Histology) -> FloatArray:
    """Smooth random displacement (height, width, 2) in pixels of the patch."""
    side = min(height, width)
    cell = max(1.0, strength.elastic_cell * side)
    coarse = (math.ceil(height / cell) + 2, math.ceil(width / cell) + 2, 2)
    deviation = np.float32(rng.uniform(0.3, 1.0) * strength.elastic * side)
    knots = deviation * rng.standard_normal(coarse, dtype=np.float32)
    return _float(cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC))


def _warp(plane: FloatArray, map_x: FloatArray, map_y: FloatArray) -> FloatArray:
    return _float(cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


def _warp_label(plane: IntArray, map_x: FloatArray, map_y: FloatArray) -> IntArray:
    """Each value as a mask of its own, warped like the image; the strongest wins: outlines stay smooth."""
    values = np.flatnonzero(np.bincount(plane.ravel()))
    warped = np.full(map_x.shape, values[0], np.int32)
    if len(values) == 1:
        return warped
    most = _warp((plane == values[0]).astype(np.float32), map_x, map_y)
    for value in values[1:]:
        share = _warp((plane == value).astype(np.float32), map_x, map_y)
        stronger = share > most
        warped[stronger] = value
        np.maximum(most, share, out=most)
    return warped


def _colours(image: FloatArray, stack: int, rng: np.random.Generator, strength: Histology) -> FloatArray:
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
        density *= _factor(rng, strength.gamma)  # (I ** gamma) is gamma times the optical density
    if not np.array_equal(density, np.eye(channels, channels + 1)):
        logarithm = cv2.log(np.maximum(flat, np.float32(_DARKEST))).reshape(flat.shape)
        density[:, -1] *= -1.0  # the logarithm is the negative optical density
        flat = _float(cv2.exp(cv2.transform(logarithm, density))).reshape(flat.shape)
    if colour:
        flat = _float(cv2.transform(flat, _colour_map(flat, channels, rng, strength)))
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


def _colour_map(
    flat: FloatArray, channels: int, rng: np.random.Generator, strength: Histology
) -> NDArray[np.float64]:
    """Affine map (c, c + 1): hue and saturation about the gray axis, contrast about the mean."""
    contrast = _factor(rng, strength.contrast)
    offset = rng.uniform(-strength.brightness, strength.brightness)
    matrix = np.eye(channels)
    if channels == 3:
        saturation = _factor(rng, strength.saturation)
        hue, _ = cv2.Rodrigues(np.full(3, rng.uniform(-1.0, 1.0) * strength.hue / math.sqrt(3.0)))
        gray = np.tile(_RGB_TO_GRAY, (3, 1))
        matrix = (gray + saturation * (np.eye(3) - gray)) @ hue
    matrix = contrast * matrix
    # contrast pivots at the mean colour, so that it does not act as brightness as well
    mean = np.array(cv2.mean(flat)[:channels])
    return np.column_stack([matrix, (1.0 - contrast) * mean + offset])
