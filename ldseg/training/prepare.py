"""From settings and a folder of images to a plan and the cases it is for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from ldseg.config import Config
from ldseg.data.cases import Case, find_cases, load_case
from ldseg.data.labels import Misread
from ldseg.data.preprocess import Preprocessing
from ldseg.data.reading import check_reading
from ldseg.data.splits import apply_manifest, split_by_group, split_by_name, split_manifest
from ldseg.errors import DataError
from ldseg.models import Preset
from ldseg.spatial import AXES
from ldseg.text import counted, few, some
from ldseg.training.checkpoint import read_meta
from ldseg.training.choices import choose, choose_outline, look, microns_of
from ldseg.training.fit import TrainingResult, train
from ldseg.training.folder import checkpoint_to_go_on
from ldseg.training.plan import Plan, check_sizes, plan, preprocessing_of
from ldseg.training.start import Start, start_of, with_start

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

    Where ``config.weights_folder`` holds a training that the settings go on with, what it chose and how it split the cases
    stays.

    Raises:
        ConfigError: if settings do not suit each other.
        DataError: if there is too little to train on.
        WeightsError: if the checkpoint to go on from cannot be read.
    """
    axes = AXES[config.data.dimensions]
    checkpoint = checkpoint_to_go_on(config.weights_folder) if config.parameters.checkpoint else None
    before = read_meta(checkpoint) if checkpoint else {}
    start = None if before else start_of(config, preset)
    if config.model.start and preset is None:
        config = with_start(config, start.description.training if start else before["settings"])
    check_sizes(config, preset)  # before images are read
    found = find_cases(config.dataset_folder, config.data.cases, training=True, axes=axes)
    given = replace(config.data, classes=config.data.classes or before.get("chosen", {}).get("Data.Classes", ()))
    seen = look(found.cases, axes)
    config, reasons = choose(config, seen, before.get("chosen", {}), preset)
    usable = usable_cases(found.cases, preprocessing_of(config))
    cases, problems, empty = usable.cases, usable.problems, usable.empty
    check_reading(usable.numbers, given.classes, given.labels, given.label_map, str(config.dataset_folder))
    if not cases:
        raise DataError(f"none of {len(found.cases)} cases can be trained on, the first: {problems[0]}")
    config, more = choose_outline(config, usable.instances, before)
    reasons += more
    for reason in reasons:
        logger.info("%s", reason)
    split = before.get("split") or _split(cases, config)
    training, validation = apply_manifest(cases, split)
    if before:
        _tell_new(cases, split)
    logger.info("%s to train on, %d to validate on", counted(len(training), "case"), len(validation))
    for purpose, part in (("train on", training), ("validate on", validation)):
        if empty.issuperset(names := [case.name for case in part]):
            raise DataError(f"expected an object in at least one label to {purpose}, found background alone: {some(names)}")
    if start:
        _tell_known(validation, start)
    microns = microns_of(config, preprocessing_of(config), seen)  # not those of Start: other images
    made = replace(plan(config, split, reasons, preset), start=start, microns=microns)
    return Prepared(plan=made, cases=cases, problems=(*found.problems, *problems))


def train_config(
    config: Config, watch: Callable[[TrainingResult], None] | None = None, preset: Preset | None = None
) -> TrainingResult:
    """Plan and train as the settings say, and keep the best and the last state in ``config.weights_folder``.

    ``Checkpoint = True`` goes on with the training whose checkpoint is there, exactly where it was; where there is none,
    and with ``Checkpoint = False``, a training begins, from the weights of ``[Model] Start`` or from chance. Earlier weights
    that it does not go on with are set aside, never overwritten.

    Args:
        config: the settings.
        watch: called after each validation.
        preset: networks of the user's own, in place of those that the settings name.

    Raises:
        ConfigError, DataError, WeightsError, TrainingStopped: see ``plan_of`` and ``ldseg.training.train``.
    """
    since = time.perf_counter()
    prepared = plan_of(config, preset)
    go_on = config.parameters.checkpoint
    result = train(prepared.plan, prepared.cases, config.weights_folder, go_on=go_on, watch=watch, since=since)
    return replace(result, problems=prepared.problems)


@dataclass(frozen=True, kw_only=True)
class Usable:
    """What reading every case once found.

    Attributes:
        cases: those that can be trained on.
        problems: what is wrong with the others, one line each.
        empty: names of cases with background alone.
        numbers: those that occur in the labels as stored.
        instances: whether the label of a case numbers its objects.
    """

    cases: tuple[Case, ...]
    problems: tuple[str, ...]
    empty: frozenset[str]
    numbers: frozenset[int]
    instances: bool


def usable_cases(cases: Sequence[Case], preprocessing: Preprocessing) -> Usable:
    """Read every case once before the work."""
    good, problems, empty, instances = [], [], set(), False
    numbers: set[int] = set()
    for case in tqdm(cases, desc="checking", unit="case"):
        try:
            loaded = load_case(case, preprocessing)
        except DataError as error:
            logger.error("left out %s: %s", case.name, error)
            problems.append(str(error))
            numbers.update(error.numbers.tolist() if isinstance(error, Misread) else ())
        else:
            good.append(case)
            numbers.update(() if loaded.numbers is None else loaded.numbers.tolist())
            if loaded.label is None or not (loaded.label > 0).any():
                empty.add(case.name)
            instances = instances or loaded.instances is not None
    return Usable(
        cases=tuple(good),
        problems=tuple(problems),
        empty=frozenset(empty),
        numbers=frozenset(numbers),
        instances=instances,
    )


def _split(cases: Sequence[Case], config: Config) -> dict[str, Any]:
    """The manifest of a training that begins."""
    settings = config.training
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
