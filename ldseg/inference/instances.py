"""From a mask of two classes to numbered objects."""

from __future__ import annotations

import numpy as np

MIN_SHARE = 2e-4
"""Objects, and holes in them, below this share of the image are removed."""


def label_instances(mask: np.ndarray) -> np.ndarray:
    """Number the connected objects of a mask.

    Args:
        mask: int ``(*S)``, 0 and 1.

    Returns:
        int32 ``(*S)``: 0 for background, 1 to n for the objects, which touch at least along a face.
    """
    from scipy import ndimage  # here, as segmenting does without
    from skimage.morphology import remove_small_holes, remove_small_objects

    smallest = max(int(MIN_SHARE * mask.size), 1)
    kept = remove_small_objects(mask.astype(bool), max_size=smallest)
    kept = remove_small_holes(kept, max_size=smallest)
    return ndimage.label(kept)[0].astype(np.int32)
