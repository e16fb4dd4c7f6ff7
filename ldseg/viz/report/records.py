"""What the record of a run says, in the rows and columns that a report shows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ldseg.base.text import counted, interval, number
from ldseg.config import Config
from ldseg.evaluation.metrics import DISTANCES
from ldseg.evaluation.record import CaseResult, Figures, Pooled, RunRecord

TITLES = {
    "dice": "Dice", "iou": "IoU", "hd95": "HD95", "object_f1": "Object F1", "precision": "Precision", "recall": "Recall",
    "assd": "ASSD", "surface_dice": "Surface Dice", "object_dice": "Object Dice", "object_hausdorff": "Object Hausdorff",
    "pooled_object_f1": "Object F1 pooled over the set", "pooled_object_dice": "Object Dice pooled over the set",
    "pooled_object_hausdorff": "Object Hausdorff pooled over the set",
}  # fmt: skip
"""Of the metrics, in the order in which they are shown; others follow them. What is not pooled is a mean over cases."""

RINGS = 500
"""Rings of a strip, at most."""

HEADLINES = ("dice", "iou", "hd95", "object_f1", "pooled_object_f1")
POOLED = "pooled_"


def title_of(metric: str) -> str:
    """What a metric is called; one without a title by its name."""
    return TITLES.get(metric) or metric.replace("_", " ").capitalize()


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """A figure of a set of cases.

    Attributes:
        metric: its name.
        of: the class; empty for the foreground and for objects.
        unit: of a distance, else empty.
        values: what sums up the cases; a pooled score stands as the mean.
    """

    metric: str
    of: str = ""
    unit: str = ""
    values: Figures

    @property
    def title(self) -> str:
        return title_of(self.metric) + (self.of and f" of {self.of}") + (self.unit and f" ({self.unit})")

    @property
    def headline(self) -> bool:
        return self.metric in HEADLINES

    @property
    def mean(self) -> str:
        return number(self.values.mean, self._digits)

    @property
    def with_std(self) -> str:
        spread = number(self.values.std, self._digits)
        return self.mean if spread == "–" else f"{self.mean} ± {spread}"

    @property
    def interval(self) -> str:
        return interval(self.values.interval, self._digits)

    @property
    def median(self) -> str:
        return number(self.values.median, self._digits)

    @property
    def _digits(self) -> int:
        return 2 if self.metric.removeprefix(POOLED) in DISTANCES else 4


def statistics(run: RunRecord) -> list[Statistic]:
    """Those that a run has, without its background; those of single classes where there are several."""
    order = list(TITLES)
    found = [each for each in _statistics(run) if each.values.n]
    return sorted(found, key=lambda each: order.index(each.metric) if each.metric in TITLES else len(order))


def _statistics(run: RunRecord) -> Iterator[Statistic]:
    summary, several = run.summary, run.classes[1:] if len(run.classes) > 2 else ()

    def statistic(metric: str, values: Figures, of: str = "") -> Statistic:
        unit = summary.unit if metric.removeprefix(POOLED) in DISTANCES else ""
        return Statistic(metric=metric, of=of, unit=unit, values=values)

    for metric, figures in summary.foreground.items():
        yield statistic(metric, figures)
        yield from (statistic(metric, summary.classes[metric][name], name) for name in several)
    for metric, figures in summary.objects.items():
        yield statistic(metric, figures)
    for metric, pooled in summary.pooled.items():
        yield statistic(POOLED + metric, _as_figures(pooled))


def _as_figures(pooled: Pooled) -> Figures:
    return Figures(mean=pooled.value, interval=pooled.interval, n=pooled.n)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of figures in the table of cases.

    Attributes:
        title: its head.
        of: the figure of a case, NaN where there is none.
        digits: after the point.
        falls: whether one wants to see the highest first.
    """

    title: str
    of: Callable[[CaseResult], float]
    digits: int = 4
    falls: bool = False

    def shown(self, case: CaseResult) -> str:
        return number(self.of(case), self.digits)


def columns(run: RunRecord, compared: Mapping[str, RunRecord]) -> list[Column]:
    """The figures of a case that some case of the run has; the Dice comes first, then that in the other runs, by name."""
    several = run.classes[1:] if len(run.classes) > 2 else ()
    found = [Column(title="Dice", of=foreground("dice"))]
    for name, other in compared.items():
        found.append(Column(title=f"Dice in {name}", of=dice_in(other)))
    found += [Column(title=f"Dice of {name}", of=dice_of(k)) for k, name in enumerate(several, start=1)]
    found += [
        Column(title="IoU", of=foreground("iou")),
        Column(title=f"HD95 ({run.summary.unit})", of=foreground("hd95"), digits=2, falls=True),
        Column(title="Object F1", of=lambda case: case.objects.get("object_f1", math.nan)),
        *(Column(title=title, of=of, digits=digits) for title, of, digits in amounts_of(run)),
        Column(title="Predicted Dice", of=lambda case: _float(case.predicted_dice)),
        Column(title="Unfamiliar", of=lambda case: _float(case.unfamiliar), digits=2, falls=True),
        Column(title="Entropy", of=lambda case: _float(case.entropy), falls=True),
        Column(title="Seconds", of=lambda case: _float(case.seconds), digits=2, falls=True),
    ]
    return [column for column in found if any(not math.isnan(column.of(case)) for case in run.cases)]


def amounts_of(run: RunRecord) -> Iterator[tuple[str, Callable[[CaseResult], float], int]]:
    """Columns of what masks without a label hold: their titles, the figure of a case, and digits after the point."""
    units = sorted({case.amounts.unit for case in run.cases if case.amounts is not None})
    for index, name in enumerate(run.classes[1:] if units else ()):
        of = f" of {name}" if len(run.classes) > 2 else ""
        yield f"Objects{of}", partial(_amount, kind="counts", index=index), 0
        for unit in units:
            what = "Volume" if unit in ("ml", "voxels") else "Area"
            digits = 0 if unit in ("pixels", "voxels") else 2
            yield f"{what}{of} ({unit})", partial(_amount, kind="sizes", index=index, unit=unit), digits


def _amount(case: CaseResult, *, kind: str, index: int, unit: str = "") -> float:
    if case.amounts is None or (unit and case.amounts.unit != unit):
        return math.nan
    return float(getattr(case.amounts, kind)[index])


def foreground(metric: str) -> Callable[[CaseResult], float]:
    """From a case to its figure over the classes but the background."""
    return lambda case: case.foreground(metric)


def dice_in(run: RunRecord) -> Callable[[CaseResult], float]:
    """From a case to its Dice in another run."""
    scores = {case.name: case.foreground("dice") for case in run.cases}
    return lambda case: scores.get(case.name, math.nan)


def dice_of(index: int) -> Callable[[CaseResult], float]:
    """From a case to its Dice of a class, by the number of the class."""
    return lambda case: case.scores["dice"][index] if "dice" in case.scores else math.nan


def worst_first(cases: Sequence[CaseResult]) -> list[CaseResult]:
    """The cases with the lowest Dice first, then those without by the Dice to expect, then those that were skipped."""

    def rank(case: CaseResult) -> tuple[bool, bool, float, float]:
        dice = case.foreground("dice")
        missing = math.isnan(dice)
        expected = case.predicted_dice if case.predicted_dice is not None else 1.0 - (case.entropy or 0.0)  # earlier runs
        return not case.ok, missing, 0.0 if missing else dice, expected

    return sorted(cases, key=rank)


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The Dice of each case of a set by its name, and the mean over them."""

    title: str
    mean: Statistic
    scores: Mapping[str, float]

    @property
    def rings(self) -> list[tuple[float, str]]:
        """Where a ring stands, and what it says: one for a case or, of more than `RINGS`, for all that are about equal."""
        if len(self.scores) <= RINGS:
            return [(score, f"{name}: {number(score)}") for name, score in self.scores.items()]
        places = Counter(round(score * RINGS) / RINGS for score in self.scores.values())
        return [(place, f"{counted(count, 'case')} about {number(place)}") for place, count in sorted(places.items())]


@dataclass(frozen=True, kw_only=True)
class Strips:
    """Strips along a common axis, which begins and ends at tenths."""

    rows: list[Strip]
    ends: tuple[float, float] = field(init=False, default=(0.0, 1.0))

    def __post_init__(self) -> None:
        scores = [score for row in self.rows for score in row.scores.values()] or [0.0, 1.0]
        low = min(math.floor(10 * min(scores)), 9)
        object.__setattr__(self, "ends", (low / 10, max(math.ceil(10 * max(scores)), low + 1) / 10))

    @property
    def ticks(self) -> list[float]:
        """Six values, evenly from one end of the axis to the other."""
        low, high = self.ends
        return [low + (high - low) * step / 5 for step in range(6)]

    def at(self, value: float) -> float:
        """Where a value lies, in percent of the axis."""
        low, high = self.ends
        return round(100 * (value - low) / (high - low), 2)


def strips(runs: Mapping[str, RunRecord]) -> Strips:
    """Of each run over the foreground, then of each class of the first, where there are several."""
    rows = []
    for name, run in runs.items():
        for mean in statistics(run):
            if mean.metric == "dice" and (not mean.of or run is next(iter(runs.values()))):
                of = dice_of(run.classes.index(mean.of)) if mean.of else foreground("dice")
                scores = {case.name: of(case) for case in run.cases}
                there = {case: score for case, score in scores.items() if not math.isnan(score)}
                rows.append(Strip(title=mean.of or name, mean=mean, scores=there))
    return Strips(rows=sorted(rows, key=lambda row: bool(row.mean.of)))


def settings(runs: Mapping[str, RunRecord]) -> list[tuple[str, bool, list[Any]]]:
    """(``Section.Key``, whether a run differs from the default, [the default, of each run]) of every key, in their order."""
    found = []
    for section, keys in Config().to_dict().items():
        for key, default in keys.items():
            values = [run.config.get(section, {}).get(key, default) for run in runs.values()]
            found.append((f"{section}.{key}", any(value != default for value in values), [default, *values]))
    return found


def regions_of(run: RunRecord) -> str:
    """What the regions of a run are made of, in words, ``disc (rim and cup), cup (cup)``; nothing without regions."""
    data = run.config.get("Data", {})
    names = dict(enumerate(data.get("Classes", ())))
    return ", ".join(
        f"{name} ({' and '.join(names.get(number, str(number)) for number in numbers)})"
        for name, numbers in data.get("Regions", ())
    )


def members(config: Mapping[str, Any]) -> int:
    """Masks of each image in a run, those of all folds together."""
    return int(config["Sampler"]["Samples"]) * folds_of(config)


def folds_of(config: Mapping[str, Any]) -> int:
    """Folds that segment in a run: 1 unless the weights have several."""
    folds = config["Sampler"].get("Folds", 1)
    return folds if isinstance(folds, int) else 1


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with colons between the keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{above}{key}: ") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def words(value: Any, between: str = ",:+") -> str:
    """A setting or a fact; lists of pairs as ``cfg.ini`` has them, such as ``disc:1+2, cup:2``."""
    if isinstance(value, list | tuple):
        mark = ", " if between[0] == "," else between[0]
        return mark.join(words(each, between[1:] or between) for each in value) or "–"
    return "–" if value in (None, "") else f"{value:.6g}" if isinstance(value, float) else str(value)


def _float(value: float | None) -> float:
    return math.nan if value is None else value
