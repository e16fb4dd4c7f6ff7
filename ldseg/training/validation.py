"""Validation: held-back cases, segmented by the sampler with the moving average of the weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tqdm import tqdm

from ldseg.data.cases import Case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.evaluation.collapse import Collapse
from ldseg.evaluation.metrics import dice, iou, scored
from ldseg.evaluation.objects import object_sums, pooled
from ldseg.evaluation.quality import Quality, fit_quality
from ldseg.evaluation.record import foreground
from ldseg.evaluation.report import mean_foreground, mean_of
from ldseg.inference import segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.segmenter import Segmenter
from ldseg.training.plan import Plan
from ldseg.training.trainer import Trainer

logger = logging.getLogger(__name__)


class Validator:
    """Segments the validation cases of a plan with the moving average of a trainer's weights.

    Args:
        plan: the training.
        cases: those to validate on.

    Attributes:
        segmenter: the networks with the averaged weights, on the grid of whole cases.
        problems: by name, what was wrong with cases that could not be read, one line each.
        quality: what tells the Dice of a mask without a label, fitted in the last validation; None with too few cases.
    """

    def __init__(self, plan: Plan, cases: Sequence[Case]) -> None:
        self.plan = plan
        self.cases = cases
        self.segmenter = Segmenter(plan.spec)
        self.predictor = Predictor(self.segmenter, sampler=plan.sampler, steps=plan.steps)
        self.predictor.compile()
        self.quality: Quality | None = None
        self.problems: dict[str, str] = {}

    def __call__(self, trainer: Trainer) -> tuple[dict[str, float], Collapse]:
        """The scores of ``validation_scores`` for the weights of now."""
        trainer.copy_average(self.segmenter)
        step, size = self.plan.preprocessing, self.plan.batch_size
        found, collapse, self.quality = validation_scores(
            self.segmenter, self.cases, step, self.predictor, size, self.problems
        )
        return found, collapse


def validation_scores(
    segmenter: Segmenter,
    cases: Sequence[Case],
    preprocessing: Preprocessing,
    predictor: Predictor,
    batch_size: int,
    problems: dict[str, str],
) -> tuple[dict[str, float], Collapse, Quality | None]:
    """Mean Dice and IoU over the foreground classes of every case, segmented by the sampler at its own size.

    ``val_dice`` and ``val_iou`` are means over the cases of the mean over their classes, as reports have them;
    ``val_dice_<class>`` over all cases; with regions, of these in place of the classes. A class absent from a case and from
    its mask does not count. Of networks that tell outlines there are ``val_object_f1`` and ``val_object_dice`` as well,
    pooled over the objects of all cases whose label numbers them. Beside the scores, whether the masks have collapsed, and
    the fit that tells the Dice of a mask without a label.

    A case that cannot be read is left out, told once, and put down in ``problems``, by its name.

    Raises:
        DataError: if no case can be read.
    """
    overlaps, unions, signs, sums, collapse = [], [], [], [], Collapse(preprocessing.classes, segmenter.strides)
    results = segment_cases(predictor, cases, preprocessing, batch_size=batch_size, seed=0)
    for result in tqdm(results, total=len(cases), desc="validating", unit="case", leave=False, delay=2.0):
        if result.loaded is None or result.loaded.label is None:
            line = f"{result.case.image}: cannot be validated on: {result.problem or 'it has no label'}"
            if result.case.name not in problems:
                logger.error("left out %s", line)
            problems[result.case.name] = line
            continue
        pair = result.mask, result.loaded.label, segmenter.spec.classes, preprocessing.unions
        overlaps.append(scored(dice, *pair).tolist())
        unions.append(scored(iou, *pair).tolist())
        signs.append(result.signs)
        if segmenter.spec.outline and result.loaded.instances is not None:
            video = preprocessing.axes.startswith("T")
            sums.append(object_sums(result.instances, result.loaded.instances, result.loaded.spacing, frames=video))
        grid = preprocessing.grid_of(result.loaded.size, result.loaded.spacing)
        collapse.add(result.mask, result.loaded.label, grid)
    if not overlaps:
        raise DataError(f"none of {len(cases)} cases can be validated on, the first: {problems[cases[0].name]}")
    by_class = {name: mean_of(row[k] for row in overlaps) for k, name in enumerate(preprocessing.structures)}
    found = {
        "val_dice": mean_foreground(overlaps),
        "val_iou": mean_foreground(unions),
        **{f"val_dice_{name}": by_class[name] for name in preprocessing.structures[1:]},
    }
    if sums:
        found["val_object_f1"], found["val_object_dice"], _ = pooled(sums)
    return found, collapse, fit_quality(signs, [foreground(row) for row in overlaps])
