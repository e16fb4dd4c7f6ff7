"""One composed map from a patch to its image, applied once: image and label stay in register.

Planes are mapped by OpenCV; volumes, whose rotations leave the plane, by SciPy.
"""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ldseg.augmentation.colours import as_float
from ldseg.augmentation.strength import Strength, factor

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]


def plane_map(
    shape: Sequence[int], plane: Sequence[int], rng: np.random.Generator, strength: Strength
) -> tuple[FloatArray, FloatArray]:
    """For each pixel of the patch where it comes from in the image: x and y, each of size `plane`."""
    height, width = plane
    angle = rng.uniform(-strength.rotation, strength.rotation)
    scale = math.exp(rng.uniform(*np.log(strength.scale)))
    stretch = math.sqrt(factor(rng, strength.aspect))
    shear = rng.uniform(-strength.shear, strength.shear)
    # With any rotation, one mirroring gives all flips.
    mirror = -1.0 if rng.random() < 0.5 and "X" in strength.mirror else 1.0
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


def _elastic(height: int, width: int, rng: np.random.Generator, strength: Strength) -> FloatArray:
    """Smooth random displacement (height, width, 2) in pixels of the patch."""
    side = min(height, width)
    cell = max(1.0, strength.elastic_cell * side)
    coarse = (math.ceil(height / cell) + 2, math.ceil(width / cell) + 2, 2)
    deviation = np.float32(rng.uniform(0.3, 1.0) * strength.elastic * side)
    knots = deviation * rng.standard_normal(coarse, dtype=np.float32)
    return as_float(cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC))


def warp_plane(plane: FloatArray, map_x: FloatArray, map_y: FloatArray) -> FloatArray:
    """A plane (H, W) or (H, W, c) at the places of `plane_map`, mirrored at the border."""
    return as_float(cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


def warp_label(label: IntArray, shape: Sequence[int], warp: Callable[[FloatArray], FloatArray]) -> IntArray:
    """Each value as a mask of its own, warped like the image to `shape`; the strongest wins: outlines stay smooth."""
    values = np.flatnonzero(np.bincount(label.ravel()))
    warped = np.full(shape, values[0], np.int32)
    if len(values) == 1:
        return warped
    most = warp((label == values[0]).astype(np.float32))
    for value in values[1:]:
        share = warp((label == value).astype(np.float32))
        stronger = share > most
        warped[stronger] = value
        np.maximum(most, share, out=most)
    return warped


def volume_map(shape: Sequence[int], patch: Sequence[int], rng: np.random.Generator, strength: Strength) -> FloatArray:
    """For each voxel of the patch where it comes from in the volume: (3, *patch), z, y, x."""
    turn = Rotation.from_rotvec(rng.uniform(-1.0, 1.0, 3) * strength.rotation / math.sqrt(3.0)).as_matrix()
    scale = math.exp(rng.uniform(*np.log(strength.scale)))
    stretch = np.array([factor(rng, math.sqrt(strength.aspect)) for _ in range(3)])
    mirror = np.array([-1.0 if rng.random() < 0.5 and letter in strength.mirror else 1.0 for letter in "ZYX"])
    linear = turn @ np.diag(mirror * stretch) / scale
    free = np.maximum(0.0, np.subtract(shape, np.divide(patch, scale))) / 2.0 + strength.jitter * np.divide(patch, scale)
    centre = (np.asarray(shape) - 1) / 2.0 + rng.uniform(-1.0, 1.0, 3) * free
    steps = np.meshgrid(*(np.arange(n, dtype=np.float32) - (n - 1) / 2.0 for n in patch), indexing="ij", sparse=True)
    places = np.stack([sum(linear[row, axis] * steps[axis] for axis in range(3)) + centre[row] for row in range(3)])
    if rng.random() < strength.elastic_p:
        side = min(patch)
        cell = max(1.0, strength.elastic_cell * side)
        coarse = [math.ceil(n / cell) + 2 for n in patch]
        deviation = rng.uniform(0.3, 1.0) * strength.elastic * side / scale
        knots = deviation * rng.standard_normal((3, *coarse), dtype=np.float32)
        zoom = [new / old for new, old in zip(patch, coarse, strict=True)]
        places += np.stack([ndimage.zoom(one, zoom, order=3, mode="nearest") for one in knots])
    return places.astype(np.float32)


def warp_volume(volume: FloatArray, places: FloatArray) -> FloatArray:
    """One channel (Z, Y, X) at the places of `volume_map`, mirrored at the border."""
    return as_float(ndimage.map_coordinates(volume, places, order=1, mode="mirror"))
