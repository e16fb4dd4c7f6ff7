"""What several folds hold back, each case segmented by the fold that did not learn from it: one record of all."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.bars import along
from ldseg.base.folds import MEASURED
from ldseg.base.options import AUTO
from ldseg.base.text import number
from ldseg.base.writing import remove
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.data.preprocess import Preprocessing
from ldseg.data.splits import apply_manifest, manifest_of_fold
from ldseg.description import fingerprint_of
from ldseg.evaluation import CaseResult, RunRecord, record_run, write_metrics
from ldseg.evaluation.familiarity import unfamiliar
from ldseg.evaluation.quality import Quality, Signs, fit_quality, predicted_dice, unchecked
from ldseg.evaluation.report import STD_DDOF, mean_of
from ldseg.inference import Segmented, segment_cases
from ldseg.inference.facts import facts_of
from ldseg.inference.opening import Opened, open_weights
from ldseg.inference.scoring import scores_of
from ldseg.outputs import Outputs
from ldseg.training.plan import Plan
from ldseg.training.sampling import sampling_of
from ldseg.training.stop import check_stopped
from ldseg.weights import change_description, save_folds

logger = logging.getLogger(__name__)

METRICS = ("dice", "iou")
"""Of which the mean of each fold is told."""


@dataclass(frozen=True, kw_only=True)
class _Fold:
    """A trained fold: its weights, and the cases that it did not learn from."""

    folder: Path
    opened: Opened
    cases: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A case that was held back: its fold, counted from 0, what became of it, and what tells of its quality."""

    fold: int
    result: CaseResult
    signs: Signs | None = None

    @property
    def dice(self) -> float:
        return self.result.foreground("dice")


def measure_folds(
    plan: Plan,
    cases: Sequence[Case],
    config: Config,
    folders: Sequence[Path],
    *,
    seconds: float | None = None,
    show: Callable[[Segmented, Preprocessing], None] | None = None,
) -> RunRecord:
    """Segment every case by the fold that held it back, write one record of all, and make the folds one ensemble.

    By these cases the number of steps and masks is picked, and what predicts the Dice of a mask is fitted; both go to the
    weights of the ensemble and of each fold. The Dice predicted of a case here is by the fit to the cases of other folds.

    Args:
        plan: of all folds; its split deals out the cases.
        cases: those that the split names.
        config: the settings.
        folders: of the weights, fold by fold.
        seconds: what is left for picking steps and masks; None for as long as it takes.
        show: called with each case, segmented, and their preprocessing.

    Raises:
        DataError, WeightsError: something cannot be read or written.
    """
    began = time.perf_counter()
    folder, preset, folds = config.weights_folder, plan.spec.own, []
    for index, place in enumerate(folders, start=1):
        _, held = apply_manifest(cases, manifest_of_fold(plan.split, index))
        folds.append(_Fold(folder=place, opened=open_weights(place, preset=preset), cases=held))
    sampling = plan.sampling
    if plan.picks:
        sampling = sampling_of(plan, [(fold.opened, fold.cases) for fold in folds], math.inf if seconds is None else seconds)
    config = _settled(config, plan, sampling)
    measured = list(along(_segmented(plan, config, folds, show), len(cases), "measuring"))
    quality = _fitted(measured)
    fits = {index: _fitted(measured, but=index) for index in range(len(folds))}
    least = min(fits.values(), key=lambda fit: 0 if fit is None else fit.cases)
    for place in folders:
        change_description(place, preset, quality=quality, sampling=sampling)
    facts: dict[str, Any] = {
        **facts_of(config, folds[0].opened, fingerprint_of(folders)),
        "folds": _by_fold(folders, measured),
        **({"doubts": doubts} if (doubts := [line for fold in folds for line in _doubts(fold)]) else {}),
        **({"unchecked": said} if (said := unchecked(least)) else {}),
        "problems": [],
        "seconds": round(time.perf_counter() - began, 2),
    }
    order = {case.name: place for place, case in enumerate(cases)}
    results = sorted(_predicted(measured, fits), key=lambda result: order[result.name])
    record = record_run(results, plan.preprocessing.structures, facts)
    figures = _figures(record)
    record = replace(record, facts={**record.facts, "weights_figures": figures})
    outputs = Outputs(folder / MEASURED)
    remove(outputs.report)  # whoever asked for the training writes that of this record
    write_metrics(outputs.folder, record)
    save_folds(
        folder, folders, figures=figures, split={name: plan.split[name] for name in ("version", "fraction", "seed", "folds")}
        | {"training": _all(plan.split["folds"]), "validation": _all(plan.split["folds"])},
        sampling=sampling, quality=None if quality is None else quality.to_dict(),
    )  # fmt: skip
    return record


def told(record: RunRecord) -> str:
    """The figures of all folds in one line."""
    folds, dice = record.facts["folds"], record.summary.foreground["dice"]
    mean, std = (number(folds["dice"][name]) for name in ("mean", "std"))
    return (
        f"held-back cases of {folds['count']} folds: Dice {number(dice.mean)} ± {number(dice.std)} over {dice.n} cases, "
        f"{mean} ± {std} over folds"
    )


def _settled(config: Config, plan: Plan, sampling: dict[str, Any]) -> Config:
    """The settings that the cases are segmented with, as a record of them has to say."""
    asked = config.sampler
    places = {name: config.value(name) for name in ("Data.Root", "Data.Dataset", "Model.Weights", "Output.Folder")}
    values = {
        **places,
        "Parameters.Training": False,
        "Sampler.Sampling_Steps": sampling.get("steps", plan.steps),
        "Sampler.Samples": sampling.get("samples", 1) if asked.samples == AUTO else asked.samples,
    }
    return Config.from_dict(plan.settings).with_values(values)


def _segmented(
    plan: Plan, config: Config, folds: Sequence[_Fold], show: Callable[[Segmented, Preprocessing], None] | None
) -> Iterator[_Measured]:
    """The held-back cases, fold by fold."""
    sampler, spec = config.sampler, plan.spec
    for index, fold in enumerate(folds):
        known = fold.opened.description.familiarity
        engine = fold.opened.engine(
            sampler=plan.sampler, steps=sampler.sampling_steps, samples=sampler.samples, flips=sampler.flips,
            at_once=plan.batch_size,
        )  # fmt: skip
        options: dict[str, Any] = {"batch_size": plan.batch_size, "seed": sampler.seed, "fusion": sampler.fusion}
        for item in segment_cases(engine, fold.cases, plan.preprocessing, **options, recognise=known is not None):
            check_stopped()
            name = item.case.name
            if item.problem:
                logger.error("not measured: %s", item.problem)
                yield _Measured(fold=index, result=CaseResult(name=name, status="skipped", message=item.problem))
                continue
            far, warnings = unfamiliar(item.signature, known)
            if show is not None:
                show(item, plan.preprocessing)
            result = CaseResult(
                name=name,
                entropy=item.mean_entropy,
                unfamiliar=far,
                warnings=warnings,
                seconds=item.seconds,
                **scores_of(item, spec, config.evaluation.tolerance),
            )
            yield _Measured(fold=index, result=result, signs=item.signs)


def _doubts(fold: _Fold) -> list[str]:
    """Why the masks of a fold are not to be trusted, behind its name."""
    return [f"{fold.folder.name}: {line}" for line in fold.opened.description.doubts]


def _fitted(measured: Sequence[_Measured], but: int | None = None) -> Quality | None:
    """The fit of quality to all cases, or to those of all folds but one."""
    pairs = [(one.signs, one.dice) for one in measured if one.signs is not None and one.fold != but]
    return fit_quality([signs for signs, _ in pairs], [dice for _, dice in pairs])


def _predicted(measured: Sequence[_Measured], fits: Mapping[int, Quality | None]) -> Iterator[CaseResult]:
    """What became of the cases, with the Dice that the fit to other folds predicts of each."""
    for one in measured:
        told = None if one.signs is None else predicted_dice(one.signs, fits[one.fold])
        yield replace(one.result, predicted_dice=told)


def _by_fold(folders: Sequence[Path], measured: Sequence[_Measured]) -> dict[str, Any]:
    """The mean of each fold, their mean and deviation, and which cases it held back."""
    found: dict[str, Any] = {"count": len(folders)}
    for metric in METRICS:
        own = [
            mean_of(one.result.foreground(metric) for one in measured if one.fold == index) for index in range(len(folders))
        ]
        there = [value for value in own if not math.isnan(value)]
        std = float(np.std(there, ddof=STD_DDOF)) if len(there) > STD_DDOF else math.nan
        each = {place.name: value for place, value in zip(folders, own, strict=True)}
        found[metric] = {"mean": mean_of(own), "std": std, **each}
    held = {place.name: [one.result.name for one in measured if one.fold == index] for index, place in enumerate(folders)}
    return {**found, "held_back": held}


def _figures(record: RunRecord) -> dict[str, Any]:
    """What the ensemble says that its folds reached: over all cases, as validation says it of one training."""
    summary, folds = record.summary, record.facts["folds"]
    values = {f"val_{metric}": summary.foreground[metric].mean for metric in METRICS}
    values |= {f"val_dice_{name}": summary.classes["dice"][name].mean for name in record.classes[1:]}
    plain = {name: None if math.isnan(value) else value for name, value in values.items()}
    return {**plain, "cases": summary.scored, "folds": {metric: folds[metric] for metric in METRICS}}


def _all(folds: Sequence[dict[str, list[str]]]) -> dict[str, list[str]]:
    """The names of all cases under their group."""
    return {group: names for held in folds for group, names in held.items()}
