"""Spatial axes as letters: what an axis is called decides what may be done to it.

Arrays are channels-last, so an image batch is ``(B, *S, c)`` with one size in ``S`` for each letter of its axes string.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[Any]
"""Values as stored, ``(*S)`` or ``(*S, c)``, of any type that a file may have."""

Mask: TypeAlias = NDArray[np.integer[Any]]
"""Whole numbers ``(*S)``: classes from 0, or an id for each object."""

Numbers: TypeAlias = NDArray[np.float32]
"""Probabilities, maps and prepared images."""

Tensor: TypeAlias = Any
"""Numbers of the backend that Keras runs on, or of NumPy. No library has a type for both."""

AXES: dict[str, str] = {"2D": "YX", "2D+t": "TYX", "3D": "ZYX"}
"""The axes string of every value that ``[Data] Dimensions`` may take."""


IGNORE = -1
"""In place of a class where a label says nothing: such positions count in no loss and no metric."""

COLOUR = 1 << 24
"""The number of a colour in a label that is coded in colours: this, and red, green and blue in 8 bits each."""

MOST_CHANNELS = 4
"""Channels that an image may have: as many as OpenCV handles at once."""


def slice_name(axes: str) -> str:
    """What a slice along the first of three axes is called."""
    return "frame" if axes[0] == "T" else "plane"


def strided(size: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """The size of the latent grid under an image grid.

    Args:
        size: image grid, one length per axis.
        strides: total stride of the label encoder, one per axis.

    Raises:
        ValueError: if the two differ in rank, or a length is not a positive multiple of its stride.
    """
    if len(size) != len(strides):
        raise ValueError(f"expected a size of {len(strides)} axes, got {size}")
    for length, stride in zip(size, strides, strict=True):
        if length < stride or length % stride:
            raise ValueError(f"expected every length to be a multiple of its stride {strides}, got size {size}")
    return tuple(length // stride for length, stride in zip(size, strides, strict=True))
