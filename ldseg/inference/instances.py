"""From a mask of two classes to numbered objects."""

from __future__ import annotations

import numpy as np

from ldseg.components import components

MIN_SHARE = 2e-4
"""Objects, and holes in them, below this share of the image are removed."""


def label_instances(mask: np.ndarray) -> np.ndarray:
    """Number the connected objects of a mask.

    Args:
        mask: int ``(*S)``, 0 and 1.

    Returns:
        int32 ``(*S)``: 0 for background, 1 to n for the objects, which touch at least along a face.
    """
    smallest = max(int(MIN_SHARE * mask.size), 1)
    kept = _without_small(mask.astype(bool), smallest)
    kept = ~_without_small(~kept, smallest)
    return components(kept)[0]


def _without_small(mask: np.ndarray, smallest: int) -> np.ndarray:
    """A mask bool ``(*S)`` without its components of so many pixels or fewer."""
    labels, _ = components(mask)
    large = np.bincount(labels.ravel()) > smallest
    large[0] = False
    kept: np.ndarray = large[labels]
    return kept
