"""What a segmented case scores against its label, or holds where it has none."""

from __future__ import annotations

from typing import Any

import numpy as np

from ldseg.base.spatial import IGNORE
from ldseg.evaluation import class_scores, object_sums
from ldseg.evaluation.amounts import amounts
from ldseg.inference.segmented import Segmented
from ldseg.spec import SegmenterSpec


def scores_of(item: Segmented, spec: SegmenterSpec, tolerance: float) -> dict[str, Any]:
    """What `CaseResult` takes of the mask of a case and its label, by name; of its regions, where it has some.

    Args:
        item: the case, without a problem.
        spec: the networks that segmented it.
        tolerance: of the surface Dice, in mm or, where they are not known, in pixels.
    """
    loaded = item.loaded
    assert loaded is not None  # as it has no problem
    common: dict[str, Any] = {"spacing": loaded.spacing, "frames": spec.axes.startswith("T")}
    scores: dict[str, Any] = {"unit": "pixels" if loaded.spacing is None else "mm"}
    if loaded.label is not None:
        scores["scores"] = class_scores(
            item.mask, loaded.label, spec.classes, tolerance=tolerance, unions=item.unions, **common
        )
    if loaded.instances is not None:
        pair = item.instances, loaded.instances
        if loaded.label is not None and (unknown := loaded.label == IGNORE).any():
            pair = np.where(unknown, 0, pair[0]), np.where(unknown, 0, pair[1])
        scores["sums"] = object_sums(*pair, **common)
        scores["objects"] = scores["sums"].scores
    if loaded.label is None:
        objects = item.instances if spec.classes == 2 else None
        scores["amounts"] = amounts(item.mask, spec.classes, spec.axes, loaded.spacing, objects, item.unions)
    return scores
