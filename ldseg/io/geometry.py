"""Where the voxels of a scan lie in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ldseg.base.text import times

TOLERANCE = 1e-3
"""What spacing (relative), direction (cosines) and origin (voxels) may differ by: headers hold 32-bit numbers or text."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Size, spacing, origin and direction of a file, x first, as SimpleITK gives them; an axis of channels is left out.

    Attributes:
        size: voxels along each axis of the file.
        spacing: mm along each axis of the file; along time whatever unit the file has.
        origin: the world coordinates of the first voxel.
        direction: the matrix of direction cosines, row by row.
        axes: which axis of the file each axis of the array is; the others have length 1.
        channels: length of the axis of channels, 1 without one.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    axes: tuple[int, ...]
    channels: int = 1

    @classmethod
    def upright(cls, size: Sequence[int], spacing: Sequence[float]) -> Geometry:
        """The geometry of an array of a size and a spacing (z or t first): at the origin, along the axes of the world."""
        rank = len(size)
        return cls(
            size=tuple(reversed(size)),
            spacing=tuple(reversed(spacing)),
            origin=(0.0,) * rank,
            direction=tuple(np.eye(rank).ravel().tolist()),
            axes=tuple(reversed(range(rank))),
        )

    @property
    def array_spacing(self) -> tuple[float, ...]:
        """The spacing in the order of the array's axes: z or t, y, x."""
        return tuple(self.spacing[axis] for axis in self.axes)

    @property
    def array_size(self) -> tuple[int, ...]:
        """The shape of the array, without channels."""
        return tuple(self.size[axis] for axis in self.axes)

    def difference(self, expected: Geometry) -> str:
        """In words what differs from `expected` by more than the tolerance; empty if nothing does.

        Files of different numbers of axes, such as (x, y, t) and (x, y, 1, t), are compared along the array's axes.
        """
        if self.array_size != expected.array_size:
            return f"size {times(self.array_size)}, expected {times(expected.array_size)}"
        mine, other = np.array(self.array_spacing), np.array(expected.array_spacing)
        if (abs(mine - other) > TOLERANCE * other).any():
            return f"spacing {_shown(mine)}, expected {_shown(other)}"
        if len(self.size) != len(expected.size):
            return ""
        voxel = TOLERANCE * min(expected.spacing[:3])
        for name, tolerance in (("origin", voxel), ("direction", TOLERANCE)):
            found, wanted = np.array(getattr(self, name)), np.array(getattr(expected, name))
            if (abs(found - wanted) > tolerance).any():
                return f"{name} ({_shown(found)}), expected ({_shown(wanted)})"
        return ""


def _shown(values: np.ndarray) -> str:
    return ", ".join(f"{value:.6g}" for value in values.tolist())
