"""Training-time augmentation: one training sample from one case.

All randomness comes from the generator that is passed in: the same generator state gives the same sample.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ldseg.augmentation.colours import jitter_colours
from ldseg.augmentation.strength import KINDS, STRENGTHS, Strength
from ldseg.augmentation.warps import plane_map, volume_map, warp_label, warp_plane, warp_volume
from ldseg.errors import ConfigError, DataError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]


def augment(
    image: FloatArray,
    label: IntArray,
    *,
    kind: str,
    patch: Sequence[int],
    axes: str,
    rng: np.random.Generator,
    strength: Strength | None = None,
) -> tuple[FloatArray, IntArray]:
    """Draw one training sample.

    image: (*S, c) in [0, 1], c 1 or 3. label: (*S), integers of at least 0.
    axes: one letter per spatial axis, such as "YX", "TYX", "ZYX".
    patch: size of the sample, one number per axis; where it exceeds the image, the image is mirrored.
    kind:
        histology: any rotation, flips, scale, aspect, shear and elastic displacement in the plane of Y and X
            (the same for all planes of a stack), random position, stain and colour jitter, now and then another stain,
            gray, other channels or any hue, fading, blur and noise.
        anatomy: the same with small rotations, mirrored along X only, without stains; in a volume ("ZYX") it turns
            and bends in space, all voxels taken as cubes.
        flips: random position, flips along every axis but T, and quarter turns where axes is "YX".
        none: the centre of the image, the same each time.
    strength: for histology and anatomy; None takes that of the kind.
    Returns new arrays: image (*patch, c) float32 in [0, 1], label (*patch) int32.
    Raises ConfigError for an unknown kind or a patch that does not fit the axes, DataError where image and
    label do not fit each other.
    """
    patch = tuple(int(n) for n in patch)
    _check(image, label, kind=kind, patch=patch, axes=axes)
    if kind in STRENGTHS:
        strength = strength or STRENGTHS[kind]
        bend = _in_space if axes == "ZYX" and kind == "anatomy" else _in_planes
        return bend(image, label, patch=patch, axes=axes, rng=rng, strength=strength)
    if kind == "flips":
        return _flips(image, label, patch=patch, axes=axes, rng=rng)
    starts = [max(0, (n - p) // 2) for n, p in zip(label.shape, patch, strict=True)]
    return _finish(*_crop(image, label, starts, patch))


def _check(image: FloatArray, label: IntArray, *, kind: str, patch: tuple[int, ...], axes: str) -> None:
    if kind not in KINDS:
        raise ConfigError(f"augmentation: expected one of {', '.join(KINDS)}, got {kind!r}")
    if len(patch) != len(axes) or min(patch) < 1:
        raise ConfigError(f"patch: expected {len(axes)} numbers of at least 1 for the axes {axes}, got {patch}")
    if kind in STRENGTHS and not axes.endswith("YX"):
        raise ConfigError(f"augmentation {kind}: expected axes that end with YX, got {axes}")
    if image.ndim != len(axes) + 1 or image.shape[:-1] != label.shape:
        raise DataError(
            f"expected an image (*S, c) and a label (*S) over the axes {axes}, got {image.shape} and {label.shape}"
        )


def _finish(image: FloatArray, label: IntArray) -> tuple[FloatArray, IntArray]:
    return np.array(image, np.float32, order="C"), np.array(label, np.int32, order="C")


def _crop(image: FloatArray, label: IntArray, starts: Sequence[int], patch: Sequence[int]) -> tuple[FloatArray, IntArray]:
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


def _in_planes(
    image: FloatArray,
    label: IntArray,
    *,
    patch: tuple[int, ...],
    axes: str,
    rng: np.random.Generator,
    strength: Strength,
) -> tuple[FloatArray, IntArray]:
    stack, plane = len(axes) - 2, patch[-2:]
    starts = _random_starts(label.shape[:stack], patch[:stack], rng)
    image, label = _crop(image, label, [*starts, 0, 0], [*patch[:stack], *label.shape[stack:]])
    turnable = [axis for axis, letter in enumerate(axes[:stack]) if letter != "T" and letter in strength.mirror]
    flipped = tuple(axis for axis in turnable if rng.random() < 0.5)
    image, label = np.flip(image, flipped), np.flip(label, flipped)

    map_x, map_y = plane_map(label.shape[stack:], plane, rng, strength)
    planes = np.ascontiguousarray(image, np.float32).reshape(-1, *image.shape[stack:])
    image = np.stack([warp_plane(one, map_x, map_y) for one in planes]).reshape(*patch, image.shape[-1])
    masks = np.asarray(label, np.int32).reshape(-1, *label.shape[stack:])
    label = np.stack([warp_label(one, plane, lambda mask: warp_plane(mask, map_x, map_y)) for one in masks]).reshape(patch)
    return _finish(jitter_colours(image, stack, rng, strength), label)


def _in_space(
    image: FloatArray,
    label: IntArray,
    *,
    patch: tuple[int, ...],
    axes: str,
    rng: np.random.Generator,
    strength: Strength,
) -> tuple[FloatArray, IntArray]:
    places = volume_map(label.shape, patch, rng, strength)
    image = np.stack([warp_volume(channel, places) for channel in np.moveaxis(image, -1, 0)], axis=-1)
    label = warp_label(np.asarray(label, np.int32), patch, lambda mask: warp_volume(mask, places))
    return _finish(jitter_colours(image, len(axes) - 2, rng, strength), label)
