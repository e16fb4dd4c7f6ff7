"""From settings and a folder of images to a plan and the cases it is for."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg import devices
from ldseg.base.bars import along
from ldseg.base.options import AUTO
from ldseg.base.text import counted, few, some
from ldseg.base.writing import held_folder
from ldseg.config import Config
from ldseg.data.cases import Case, load_case
from ldseg.data.labels import Misread
from ldseg.data.outline import areas_on_grid, smallest_of
from ldseg.data.preprocess import Preprocessing
from ldseg.data.reading import check_reading
from ldseg.data.splits import (
    apply_manifest,
    folds_by_group,
    folds_manifest,
    manifests,
    split_by_group,
    split_by_name,
    split_manifest,
)
from ldseg.errors import ConfigError, DataError, WeightsError
from ldseg.group import Group
from ldseg.inference import Segmented
from ldseg.models import Preset
from ldseg.published import is_published
from ldseg.training.checkpoint import read_meta
from ldseg.training.choices import microns_of
from ldseg.training.folder import check_folds, first_checkpoint
from ldseg.training.look import FEWEST, MOST_POSITIONS, order_of
from ldseg.training.plan import Plan, plan, preprocessing_of
from ldseg.training.proposal import propose
from ldseg.training.start import Start
from ldseg.training.told import heard, told

if TYPE_CHECKING:
    from ldseg.training.fit import TrainingResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A training that is ready to begin.

    Attributes:
        plan: what it will do.
        cases: those that can be trained on, in either part of the split.
        problems: what is wrong with others, one line each.
    """

    plan: Plan
    cases: tuple[Case, ...]
    problems: tuple[str, ...]


def plan_of(config: Config, preset: Preset | None = None) -> Prepared:
    """Look at the data that the settings name, read every case once, and plan.

    Of more than ``ldseg.training.look.MOST_CASES`` cases a sample is read, so that training begins soon; the others are
    checked as training comes to them, and one that cannot be used is then left out.

    Where ``config.weights_folder`` holds a training that the settings go on with, what it chose and how it split the cases
    stays.

    Raises:
        ConfigError: if settings do not suit each other.
        DataError: if there is too little to train on.
        WeightsError: if the checkpoint to go on from cannot be read.
    """
    checkpoint = first_checkpoint(config)
    before = read_meta(checkpoint) if checkpoint else {}
    check_folds(config, before)
    proposal = propose(config, before, preset)
    given = replace(config.data, classes=config.data.classes or before.get("chosen", {}).get("Data.Classes", ()))
    config, found = proposal.config, proposal.found
    for line in (*proposal.summary, *proposal.reasons):
        logger.info("%s", line)
    some_cases = sample_of(found.cases, config.training.seed)
    sampled = len(some_cases) < len(found.cases)
    usable = usable_cases(some_cases, preprocessing_of(config), MOST_POSITIONS if sampled else math.inf)
    problems, shown = usable.problems, usable.shown
    cases = tuple(case for case in found.cases if case.name not in usable.bad) if sampled else usable.cases
    check_reading(usable.numbers, given.classes, given.labels, given.label_map, str(config.dataset_folder))
    if not usable.cases:
        raise DataError(f"none of {len(some_cases)} cases can be trained on, the first: {problems[0]}")
    split = before.get("split") or _split(cases, config)
    if before:
        _tell_new(cases, split)
    if sampled and not any(shown.values()):
        raise DataError(f"expected an object in at least one label, found background alone in a sample of {len(shown)}")
    for each in manifests(split):
        training, validation = apply_manifest(cases, each)
        which = f"fold {each['fold']} of {len(each['folds'])}: " if "folds" in each else ""
        logger.info("%s%s to train on, %d to validate on", which, counted(len(training), "case"), len(validation))
        for purpose, part in (("train on", training), ("validate on", validation)):
            if not any(shown.get(case.name, sampled) for case in part):
                names = [case.name for case in part]
                wanted = f"expected an object in at least one label to {purpose}"
                raise DataError(f"{which}{wanted}, found background alone: {some(names)}")
        if proposal.start:
            _tell_known(validation, proposal.start)
    made = plan(
        config,
        split,
        proposal.reasons,
        preset,
        summary=proposal.summary,
        shown={index: tuple(name for name in shown if index in shown[name]) for index in range(1, len(config.data.classes))},
        sampled=sampled,
        start=proposal.start,
        microns=microns_of(config, preprocessing_of(config), proposal.seen),  # not those of Start: other images
    )
    if made.spec.outline and usable.areas:
        made = replace(made, preprocessing=replace(made.preprocessing, smallest=smallest_of(usable.areas)))
    return Prepared(plan=made, cases=cases, problems=(*found.problems, *problems))


def train_config(
    config: Config,
    watch: Callable[[TrainingResult], None] | None = None,
    preset: Preset | None = None,
    show: Callable[[Segmented, Preprocessing], None] | None = None,
    group: Group | None = None,
) -> TrainingResult:
    """Plan and train as the settings say, and keep the best and the last state in ``config.weights_folder``.

    ``Checkpoint = True`` goes on with the training whose checkpoint is there, exactly where it was; where there is none,
    and with ``Checkpoint = False``, a training begins, from the weights of ``[Model] Start`` or from chance. Earlier weights
    that it does not go on with are set aside, never overwritten.

    What is wrong with settings, images or weights is told before Keras is imported, which takes seconds.

    Args:
        config: the settings; those of the arithmetic hold for whatever is built from now on.
        watch: called after each validation.
        preset: networks of the user's own, in place of those that the settings name.
        show: called with each case that several folds held back, segmented, and their preprocessing.
        group: the processes that train together. The first one looks at the data and plans; its settings count.

    Raises:
        ConfigError, DataError, WeightsError, TrainingStopped: see ``plan_of`` and ``ldseg.training.train``.
    """
    since = time.perf_counter()
    if is_published(config.weights_folder):
        raise WeightsError(
            f"{config.weights_folder}: holds weights as LDSeg was published with them, which training does not write to; "
            "name another folder in [Model] Weights, and this one in [Model] Start to begin with them"
        )
    group = group or Group()
    if config.training.folds and group.count > 1:
        wanted = f"expected 0 where {group.count} processes train together (GPU.Hosts)"
        raise ConfigError(f"Training.Folds: {wanted}, got {config.training.folds}")
    prepared = plan_together(config, preset, group)
    if group.first:
        with held_folder(config.weights_folder, "[Model] Weights"):
            pass  # that the folder cannot be written, or that another training does, is told now, too
    _make_ready(config, group)
    from ldseg.training.fit import train
    from ldseg.training.folds import train_folds

    if config.training.folds:
        result = train_folds(prepared.plan, prepared.cases, config, watch=watch, show=show, since=since)
        return replace(result, problems=(*prepared.problems, *result.problems))
    options: dict[str, Any] = {"go_on": config.parameters.checkpoint, "watch": watch, "since": since, "group": group}
    result = train(prepared.plan, prepared.cases, config.weights_folder, **options)
    return replace(result, problems=(*prepared.problems, *result.problems))


def _make_ready(config: Config, group: Group) -> None:
    """Import Keras, on the devices of all processes and in the arithmetic of the settings."""
    from ldseg.devices.together import connect

    connect(group)
    precision = group.share("the arithmetic", devices.training_precision(config.gpu.precision))
    for line in filter(None, (devices.unused_gpus(), devices.slow_precision(precision))):
        logger.warning("%s", line)
    if precision != "float32" and config.gpu.precision == AUTO:
        logger.info("GPU.Precision = auto: %s, which this processor has", precision)
    devices.set_precision(precision)


def plan_together(config: Config, preset: Preset | None, group: Group) -> Prepared:
    """What ``plan_of`` gives the first process of a group, in all of them."""
    if group.count == 1:
        return plan_of(config, preset)
    prepared = plan_of(config, preset) if group.first else None
    given = None if prepared is None else [told(prepared.plan), told(prepared.cases), told(prepared.problems)]
    plan, cases, problems = (heard(entry, preset) for entry in group.share("the plan", given))
    return Prepared(plan=plan, cases=cases, problems=problems)


@dataclass(frozen=True, kw_only=True)
class Usable:
    """What reading cases found.

    Attributes:
        cases: those that can be trained on.
        bad: names of the others.
        problems: what is wrong with the others, one line each.
        shown: by the name of each of the first, the classes in its label, background aside.
        numbers: those that occur in the labels as stored.
        areas: positions of the grid that each object has, of labels that number them.
    """

    cases: tuple[Case, ...]
    bad: frozenset[str]
    problems: tuple[str, ...]
    shown: dict[str, frozenset[int]]
    numbers: frozenset[int]
    areas: tuple[float, ...]


def sample_of(cases: Sequence[Case], seed: int) -> Sequence[Case]:
    """The cases that are read before the work: all or, of very many, those that a plan looks at, in their order."""
    order = order_of(len(cases), seed)
    return cases if len(order) == len(cases) else [cases[index] for index in order]


def usable_cases(cases: Sequence[Case], preprocessing: Preprocessing, most: float = math.inf) -> Usable:
    """Read cases once before the work.

    Args:
        cases: those to read.
        preprocessing: how they are read.
        most: pixels or voxels after which, and `FEWEST` cases, no more are read.
    """
    good: list[Case] = []
    problems: list[str] = []
    shown: dict[str, frozenset[int]] = {}
    numbers: set[int] = set()
    areas: list[float] = []
    bad: set[str] = set()
    read = 0
    for case in along(cases, len(cases), "checking"):
        if read > most and len(good) >= FEWEST:
            break
        try:
            loaded = load_case(case, preprocessing)
        except DataError as error:
            bad.add(case.name)
            logger.error("left out %s: %s", case.name, error)
            problems.append(str(error))
            numbers.update(error.numbers.tolist() if isinstance(error, Misread) else ())
        else:
            good.append(case)
            read += math.prod(loaded.size)
            numbers.update(() if loaded.numbers is None else loaded.numbers.tolist())
            counts = np.bincount(np.zeros(0, np.int32) if loaded.label is None else loaded.label[loaded.label > 0])
            shown[case.name] = frozenset(np.flatnonzero(counts).tolist())
            areas += areas_on_grid(loaded, preprocessing)
    return Usable(
        cases=tuple(good),
        bad=frozenset(bad),
        problems=tuple(problems),
        shown=shown,
        numbers=frozenset(numbers),
        areas=tuple(areas),
    )


def _split(cases: Sequence[Case], config: Config) -> dict[str, Any]:
    """The manifest of a training that begins; of several folds that of the first."""
    settings = config.training
    if settings.folds:
        return folds_manifest(folds_by_group(cases, settings.folds, settings.seed), settings.seed)
    if settings.validation:
        parts = split_by_name(cases, settings.validation)
    else:
        parts = split_by_group(cases, settings.validation_fraction, settings.seed)
    return split_manifest(*parts, fraction=settings.validation_fraction, seed=settings.seed)


def _tell_known(validation: Sequence[Case], start: Start) -> None:
    """Say which cases are held back that the weights to start from may have learned from: they would flatter the figures."""
    learned = {name for names in start.description.split.get("training", {}).values() for name in names}
    if known := [case.name for case in validation if case.name in learned]:
        logger.warning(
            "%s learned from cases of these names, which are held back here: %s; if they are the same, the figures of "
            "validation are too high",
            start.folder, few(known),
        )  # fmt: skip


def _tell_new(cases: Sequence[Case], split: Mapping[str, Any]) -> None:
    """Say which cases a training that goes on does not know."""
    named = {name for part in ("training", "validation") for names in split[part].values() for name in names}
    if new := [case.name for case in cases if case.name not in named]:
        logger.info(
            "%d cases are not in the split of the training that goes on: %s; Checkpoint = False begins anew with them",
            len(new), few(new),
        )  # fmt: skip
