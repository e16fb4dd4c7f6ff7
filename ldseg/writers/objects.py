"""The objects of a mask, numbered and measured, by scikit-image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldseg.base.spatial import Mask, Numbers

FINE = 0.01
"""mm: with a pixel below this, lengths are told in µm."""

_SHAPE = ("area", "centroid", "bbox", "perimeter", "eccentricity", "solidity", "orientation")
_AXES = ("axis_major_length", "axis_minor_length")


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Objects of a mask.

    Attributes:
        labels: int32 ``(*S)``, 0 for background and another number for each object.
        classes: the class of each number, int ``(n + 1,)``.
    """

    labels: Mask
    classes: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What was measured of objects, a value of each column for each row.

    Attributes:
        columns: by name; ``object`` and ``class`` first, in videos ``frame`` too, where each frame of an object has a row.
        unit: of lengths: ``um``, ``mm`` or ``pixels``; areas and volumes have its square and its cube.
    """

    columns: Mapping[str, Any]
    unit: str

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows, values by column."""
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))


def objects_of(mask: Mask, instances: Mask | None = None) -> Objects:
    """Number the objects of a mask.

    Args:
        mask: class numbers ``(*S)``.
        instances: a number for each object ``(*S)``; without it, objects are the parts of a class that touch along faces,
            in a video also those from frame to frame.

    Returns:
        the objects; the class of each is that of most of its positions, the background left out.
    """
    from skimage.measure import label as parts_of  # here, and likewise below: a run without such formats begins sooner

    labels = parts_of(mask, connectivity=1) if instances is None else instances
    count, num_classes = int(labels.max(initial=0)) + 1, int(mask.max(initial=0)) + 1
    inside = labels > 0
    votes = np.bincount(labels[inside].astype(np.int64) * num_classes + mask[inside], minlength=count * num_classes)
    votes = votes.reshape(count, num_classes)
    classes = np.argmax(votes[:, 1:], axis=1) + 1 if num_classes > 1 else np.ones(count, int)
    classes[0] = 0
    return Objects(labels=labels.astype(np.int32), classes=classes)


def scale_of(spacing: Sequence[float] | None) -> tuple[str, tuple[float, ...] | None]:
    """The unit of lengths for pixels of so many mm, and the pixels in it; pixels where the spacing is not known."""
    if spacing is None:
        return "pixels", None
    fine = min(spacing) < FINE
    return ("um", tuple(1000.0 * step for step in spacing)) if fine else ("mm", tuple(map(float, spacing)))


def measure(
    objects: Objects,
    *,
    axes: str,
    classes: Sequence[str],
    spacing: Sequence[float] | None,
    image: np.ndarray,
    uncertainty: Numbers,
) -> Measurements:
    """Measure objects.

    Area, centroid, box, perimeter, eccentricity, solidity and orientation are those of ``skimage.measure.regionprops_table``
    (orientation: the angle from the first axis to the longest axis, in radians), in a video of each frame by itself. It
    tells a perimeter for square pixels alone; for others it is the length of the outline by marching squares. Of volumes:
    the surface by marching cubes; the share that an object fills of the convex hull of its voxels; of the ellipsoid with the
    same second moments the eccentricity ``sqrt(1 - shortest² / longest²)`` and the direction of the longest axis.

    Args:
        objects: numbered.
        axes: of the arrays.
        classes: names of the classes.
        spacing: mm along each axis; None where it is not known.
        image: ``(*S, c)``, for the mean of each channel, in its own numbers.
        uncertainty: float32 ``(*S)``, for its mean.
    """
    spatial = spacing[1:] if spacing is not None and axes[0] == "T" else spacing
    unit, steps = scale_of(spatial)
    values = np.concatenate([image, uncertainty[..., np.newaxis]], axis=-1, dtype=np.float32)
    if axes[0] == "T":
        parts = [_measured(*frame, axes[1:], steps) for frame in zip(objects.labels, values, strict=True)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        frames = np.repeat(np.arange(len(parts)), [len(part["object"]) for part in parts])
    else:
        columns, frames = _measured(objects.labels, values, axes, steps), None
    first: dict[str, Any] = {"object": columns.pop("object")}
    first["class"] = [classes[k] for k in objects.classes[np.asarray(first["object"])]]
    if frames is not None:
        first["frame"] = frames
    return Measurements(columns=first | columns, unit=unit)


def _measured(labels: Mask, values: Numbers, axes: str, steps: Sequence[float] | None) -> dict[str, np.ndarray]:
    """The columns of objects of two or three axes of space."""
    from skimage.measure import regionprops_table

    scale = np.ones(len(axes)) if steps is None else np.array(steps)
    flat, letters = len(axes) == 2, axes.lower()
    square = bool(np.ptp(scale) == 0)
    extra = () if flat and square else _extra(scale)
    wanted = ("label", *(_SHAPE if flat else ("area", "centroid", "bbox")), *(_AXES if flat else ()), "intensity_mean")
    if flat and not square:
        wanted = tuple(name for name in wanted if name != "perimeter")
    found = regionprops_table(labels, values, properties=wanted, spacing=tuple(scale), extra_properties=extra)
    size = "area" if flat else "volume"
    columns = {"object": found["label"], size: found["area"]}
    for axis, letter in enumerate(letters):  # places are told in pixels, as images count them
        columns[f"centroid_{letter}"] = found[f"centroid-{axis}"] / scale[axis]
    for axis, letter in enumerate(letters):
        columns[f"min_{letter}"] = found[f"bbox-{axis}"]
        columns[f"max_{letter}"] = found[f"bbox-{axis + len(letters)}"]
    if flat:
        found.setdefault("perimeter", found.get("own_perimeter"))
        columns |= {name: found[name] for name in ("perimeter", "eccentricity", "solidity", "orientation")}
        columns |= {"major_axis": found[_AXES[0]], "minor_axis": found[_AXES[1]]}
    else:
        columns |= {"surface": found["own_surface"], "solidity": found["own_solidity"]}
        names = ("eccentricity", "direction_z", "direction_y", "direction_x", "major_axis", "minor_axis")
        columns |= {name: found[f"own_ellipsoid-{place}"] for place, name in enumerate(names)}
    channels = values.shape[-1] - 1
    for channel in range(channels):
        columns[f"mean_intensity_{channel + 1}"] = found[f"intensity_mean-{channel}"]
    columns["mean_uncertainty"] = found[f"intensity_mean-{channels}"]
    return columns


def _extra(scale: np.ndarray) -> tuple[Callable[[np.ndarray], Any], ...]:
    """What regionprops does not tell of such pixels; each is called with the mask of an object in its box.

    Their names differ from its own, which it would look up first.
    """

    def own_perimeter(inside: np.ndarray) -> float:
        from skimage.measure import find_contours

        outlines = find_contours(np.pad(inside, 1).astype(np.float32), 0.5)
        return float(sum(np.linalg.norm(np.diff(line * scale, axis=0), axis=1).sum() for line in outlines))

    def own_surface(inside: np.ndarray) -> float:
        from skimage.measure import marching_cubes, mesh_surface_area

        corners, faces, *_ = marching_cubes(np.pad(inside, 1).astype(np.float32), 0.5, spacing=tuple(scale))
        return float(mesh_surface_area(corners, faces))

    def own_solidity(inside: np.ndarray) -> float:
        from scipy.spatial import ConvexHull

        return float(inside.sum() * scale.prod() / ConvexHull(_corners(inside) * scale).volume)

    def own_ellipsoid(inside: np.ndarray) -> np.ndarray:
        places = np.argwhere(inside) * scale
        # A voxel is no point: its own extent adds the twelfth of its square.
        spread = np.cov(places.T, bias=True) + np.diag(scale**2 / 12)
        lengths, directions = np.linalg.eigh(spread)
        longest = directions[:, -1] * (np.sign(directions[:, -1][np.argmax(abs(directions[:, -1]))]) or 1.0)
        eccentricity = np.sqrt(max(0.0, 1.0 - lengths[0] / lengths[-1]))
        return np.array([eccentricity, *longest, *(2 * np.sqrt(5 * lengths[[-1, 0]]))])

    return (own_perimeter,) if len(scale) == 2 else (own_surface, own_solidity, own_ellipsoid)


def _corners(inside: np.ndarray) -> np.ndarray:
    """Corners of the first and the last voxel of each row, which span the convex hull of all."""
    rows = inside.any(axis=-1)
    first, last = inside.argmax(axis=-1)[rows], inside.shape[-1] - inside[..., ::-1].argmax(axis=-1)[rows]
    heads = np.argwhere(rows)
    ends = np.concatenate([np.column_stack([heads, first]), np.column_stack([heads, last])])
    lead = np.array([(z, y, 0) for z in (0, 1) for y in (0, 1)])
    return np.unique((ends[:, np.newaxis] + lead).reshape(-1, 3), axis=0)
