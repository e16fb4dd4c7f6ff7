"""Segmented cases to write, drawn from a seed."""

from pathlib import Path
from typing import Any

import numpy as np

from ldseg.io.geometry import Geometry
from ldseg.writers.contract import Segmentation

COLOURS = ((0, 0, 0), (0, 158, 115), (86, 180, 233))


def case_of(mask: np.ndarray, spacing: tuple[float, ...] = (), *, channels: int = 1, **changes: Any) -> Segmentation:
    """A case of a mask of three classes: image and probabilities drawn from a seed, the entropy a tenth of the class."""
    mask, rng = mask.astype(np.int32), np.random.default_rng(0)
    axes = changes.pop("axes", {2: "YX", 3: "ZYX"}[mask.ndim])
    scores = rng.random((*mask.shape, 3), np.float32)
    values: dict[str, Any] = {
        "name": "a.1",
        "axes": axes,
        "classes": ("background", "gland", "lumen"),
        "colours": COLOURS,
        "mask": mask,
        "probabilities": scores / scores.sum(axis=-1, keepdims=True),
        "entropy": (mask / 10).astype(np.float32),
        "image": rng.integers(0, 256, (*mask.shape, channels), np.uint8),
        "geometry": Geometry.upright(mask.shape, spacing) if spacing else None,
        "source": Path(f"a.1.{'png' if mask.ndim == 2 else 'nii.gz'}"),
    }
    return Segmentation(**values | changes)


def blobs(shape: tuple[int, ...], share: float = 0.5, seed: int = 0) -> np.ndarray:
    """Random areas of two classes with holes, parts that touch at corners, and specks."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.integers(1, 3, shape), 0).astype(np.int32)
