"""What a training would be: the settings with everything chosen that they leave open, and why. Needs no Keras."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ldseg.base.options import AUTO
from ldseg.base.paths import require_folder
from ldseg.base.spatial import AXES
from ldseg.base.text import counted
from ldseg.config import Config
from ldseg.data.cases import Case, Found, find_cases
from ldseg.data.dimensions import dimensions_of
from ldseg.data.reading import check_reading
from ldseg.data.splits import folds_by_group
from ldseg.errors import DataError
from ldseg.models import Preset
from ldseg.training.choices import Reason, choose, summary
from ldseg.training.look import Seen, look
from ldseg.training.plan import check_sizes
from ldseg.training.reach import with_preset
from ldseg.training.start import Start, start_of, with_start

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Settings with nothing left open.

    Attributes:
        config: the settings.
        found: the cases to train on, and what is wrong beside them.
        seen: what a sample of them is like.
        summary: what the cases are like, a line each.
        reasons: what was chosen and why, and what else is worth knowing.
        start: the weights that a training which begins starts from, if any.
    """

    config: Config
    found: Found
    seen: Seen
    summary: tuple[str, ...]
    reasons: tuple[Reason, ...]
    start: Start | None = None


def propose(config: Config, before: Mapping[str, Any] | None = None, preset: Preset | None = None) -> Proposal:
    """Look at a sample of the data that the settings name, and choose.

    Args:
        config: the settings.
        before: what the checkpoint says of the training that goes on, see ``ldseg.training.fit``; nothing for a new one.
        preset: networks of the user's own, in place of those that the settings name.

    Raises:
        ConfigError: if settings do not suit each other.
        DataError: if there is nothing to train on, or no label can be read.
        WeightsError: if the weights to start from cannot be used.
    """
    before = before or {}
    earlier = before.get("chosen", {})
    config, first = with_dimensions(config)
    # Of several folds, some may not have begun yet.
    start = None if before and not config.training.folds else start_of(config, preset)
    if config.model.start and preset is None:
        config = with_start(config, start.description.training if start else before["settings"])
    if preset is None:
        config, networks = with_preset(config, before)
    else:
        networks = ()
    check_sizes(config, preset)  # before images are read
    found = find_cases(config.dataset_folder, config.data.cases, training=True, axes=AXES[config.data.dimensions])
    dealt = _dealt(found.cases, config, before)
    seen = look(found.cases, config.data, config.training.seed)
    given = replace(config.data, classes=config.data.classes or tuple(earlier.get("Data.Classes", ())))
    check_reading(seen.numbers, given.classes, given.labels, given.label_map, str(config.dataset_folder))
    if not seen.shares:
        raise DataError(f"none of {len(seen.sizes)} labels can be read, the first: {seen.problems[0]}")
    spent = 0.0 if config.training.folds else before.get("spent", 0.0)  # of several, each has its own
    config, reasons = choose(config, seen, earlier, preset, spent=spent)
    return Proposal(
        config=config,
        found=found,
        seen=seen,
        summary=tuple(summary(seen, config)),
        reasons=(*first, *networks, *reasons, *dealt),
        start=start,
    )


def _dealt(cases: Sequence[Case], config: Config, before: Mapping[str, Any]) -> tuple[Reason, ...]:
    """What folds hold back, where a training of several begins.

    Raises:
        DataError: if there are fewer groups of cases than folds.
    """
    folds = config.training.folds
    if not folds or before:
        return ()
    sizes = [len(part) for part in folds_by_group(cases, folds, config.training.seed)]
    held = counted(max(sizes), "case") if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)} cases"
    groups = len({case.group for case in cases})
    patients = f" of {counted(groups, 'patient')}" if groups < len(cases) else ""
    return (Reason(why=f"{folds} folds hold back {held} each, whole groups of {len(cases)} cases{patients}"),)


def with_dimensions(config: Config) -> tuple[Config, tuple[Reason, ...]]:
    """The settings with [Data] Dimensions, found out where they leave it open, and why.

    Raises:
        ConfigError: if the images may be videos or volumes, or other settings do not suit what they are.
        DataError: if there is no data set, or no image in it.
    """
    if config.data.dimensions != AUTO:
        return config, ()
    require_folder(config.dataset_folder, "a data set there")
    value, why = dimensions_of(config.dataset_folder, config.data.cases)
    return config.with_values({"Data.Dimensions": value}), (Reason(name="Data.Dimensions", value=value, why=why),)
