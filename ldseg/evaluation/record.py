"""The record of a run, which `metrics.json` holds: its cases, what sums them up, and how they came about.

What does not exist is NaN in memory and `null` in the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from ldseg.base.untrusted import check_types
from ldseg.evaluation.amounts import Amounts
from ldseg.evaluation.bootstrap import LEVEL, RESAMPLES
from ldseg.evaluation.metrics import CLASS_METRICS, OBJECT_METRICS
from ldseg.evaluation.objects import ObjectSums

T = TypeVar("T")

FORMAT_VERSION = 1
STATUSES = ("ok", "skipped")


def foreground(values: Sequence[float] | None) -> float:
    """The figure of a case: the mean of its classes 1..C-1 that exist; NaN when none does."""
    there = [value for value in (values if values is not None else ())[1:] if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """What became of one case.

    Attributes:
        name: Name of the case.
        status: 'ok' (segmented and written) or 'skipped' (could not be read, segmented or written).
        message: Why it was skipped; of an archive also which of its files it lacks. Empty where there is nothing to say.
        mask: Path of the mask that was written; None when skipped.
        scores: By the names of CLASS_METRICS, one value per class, NaN where it does not exist; empty without a label.
        objects: By the names of OBJECT_METRICS; empty where the label has no objects.
        sums: What the scores of objects are made of, to pool them over the set; None where the label has no objects.
        unit: 'mm' or 'pixels', the unit of the distances.
        entropy: Mean predictive entropy of its pixels in [0, 1]; None when skipped.
        predicted_dice: The Dice to expect of it, told without its label, see `ldseg.evaluation.quality`; None when skipped.
        unfamiliar: How far its image lies from what the weights learned from, as a share of the limit, see
            `ldseg.evaluation.familiarity`; None when skipped, and where the weights do not know.
        warnings: Why not to trust its mask, one line each.
        amounts: What its mask holds of each class but the background; None when skipped, and with a label, to which it is
            compared instead.
        seconds: Wall-clock time spent on the case; None when skipped.
    """

    name: str
    status: str = "ok"
    message: str = ""
    mask: Path | None = None
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    objects: Mapping[str, float] = field(default_factory=dict)
    sums: ObjectSums | None = None
    unit: str = "pixels"
    entropy: float | None = None
    predicted_dice: float | None = None
    unfamiliar: float | None = None
    warnings: tuple[str, ...] = ()
    amounts: Amounts | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status of case {self.name}: expected one of {STATUSES}, got {self.status!r}")
        for given, known in ((self.scores, CLASS_METRICS), (self.objects, OBJECT_METRICS)):
            if unknown := set(given) - set(known):
                wanted = f"expected {', '.join(known)}, got {', '.join(sorted(unknown))}"
                raise ValueError(f"scores of case {self.name}: {wanted}")
        plain = {metric: tuple(float(value) for value in values) for metric, values in self.scores.items()}
        object.__setattr__(self, "scores", plain)

    @property
    def ok(self) -> bool:
        """Whether it was segmented and written."""
        return self.status == "ok"

    def foreground(self, metric: str) -> float:
        """Its figure over the classes but the background; NaN where there is none."""
        return foreground(self.scores.get(metric))

    def mask_name(self, folder: Path) -> str | None:
        """Where the mask lies: by its name within the folder of the run, so that this can be moved."""
        if self.mask is None:
            return None
        inside = self.mask.is_relative_to(folder)
        return self.mask.relative_to(folder).as_posix() if inside else str(self.mask)

    def to_dict(self, classes: Sequence[str], folder: Path) -> dict[str, Any]:
        """As the file of a run in that folder holds it."""
        record: dict[str, Any] = {
            "name": self.name,
            "status": self.status,
            "message": self.message,
            "mask": self.mask_name(folder),
            "seconds": self.seconds,
            "unit": self.unit if self.scores else None,
            "entropy": self.entropy,
            "predicted_dice": self.predicted_dice,
            "unfamiliar": self.unfamiliar,
            "warnings": list(self.warnings),
            "amounts": None if self.amounts is None else asdict(self.amounts),
        }
        for metric in CLASS_METRICS:
            values = self.scores.get(metric)
            record[metric] = None if values is None else dict(zip(classes, values, strict=True))
        sums = None if self.sums is None else asdict(self.sums)
        return record | {"objects": dict(self.objects) or None, "object_sums": sums}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], classes: Sequence[str]) -> Self:
        """The inverse of `to_dict`; of a file that knew fewer metrics, those that it has."""
        scores = {metric: values[metric] for metric in CLASS_METRICS if values.get(metric) is not None}
        objects, sums = values.get("objects") or {}, values.get("object_sums")
        return _checked(
            cls(
                name=values["name"],
                status=values["status"],
                message=values["message"],
                mask=None if values["mask"] is None else Path(values["mask"]),
                scores={metric: tuple(_float(found.get(name)) for name in classes) for metric, found in scores.items()},
                objects={metric: _float(objects[metric]) for metric in OBJECT_METRICS if metric in objects},
                sums=None if sums is None else _checked(ObjectSums(**sums)),
                unit=values["unit"] or "pixels",
                entropy=values.get("entropy"),
                predicted_dice=values.get("predicted_dice"),
                unfamiliar=values.get("unfamiliar"),
                warnings=tuple(values.get("warnings", ())),
                amounts=_amounts(values.get("amounts")),
                seconds=values["seconds"],
            )
        )


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What sums up the values of a set of cases.

    Attributes:
        mean: Of the cases that have a value; NaN when none has.
        std: That of a sample (ddof = 1); NaN for fewer than two.
        interval: Ends of the bootstrap interval of the mean; NaN for fewer cases than `ldseg.evaluation.bootstrap.FEWEST`.
        median: Of the cases that have a value.
        n: How many have one.
        worst: Up to five cases with their values, the worst first.
    """

    mean: float = math.nan
    std: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    median: float = math.nan
    n: int = 0
    worst: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `asdict`, with NaN for what is missing."""
        low, high = values["interval"]
        mean, std, median = (_float(values[name]) for name in ("mean", "std", "median"))
        interval = (_float(low), _float(high))
        return _checked(cls(mean=mean, std=std, interval=interval, median=median, n=values["n"], worst=values["worst"]))


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A score over all objects of a set together.

    Attributes:
        value: The score; NaN where there is none.
        interval: Ends of its bootstrap interval, whole cases drawn.
        n: Number of cases.
    """

    value: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    n: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `asdict`, with NaN for what is missing."""
        low, high = values["interval"]
        return _checked(cls(value=_float(values["value"]), interval=(_float(low), _float(high)), n=values["n"]))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What sums up a set of cases.

    Attributes:
        segmented, skipped: Numbers of cases.
        scored: Number of segmented cases with a label.
        unit: Of the distances, "mm", "pixels" or both.
        seed: Of the bootstrap.
        foreground: By metric, over the mean of each case's classes but the background.
        classes: By metric and class.
        objects: By metric, means over cases; empty if no case has objects.
        pooled: By metric, over all objects of the set together, as the GlaS contest has them.
    """

    segmented: int
    skipped: int
    scored: int
    unit: str
    seed: int = 0
    foreground: Mapping[str, Figures]
    classes: Mapping[str, Mapping[str, Figures]]
    objects: Mapping[str, Figures] = field(default_factory=dict)
    pooled: Mapping[str, Pooled] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As the file holds it."""
        found: dict[str, Any] = {name: getattr(self, name) for name in ("segmented", "skipped", "scored", "unit")}
        found["bootstrap"] = {"level": LEVEL, "resamples": RESAMPLES, "seed": self.seed}
        for metric, figures in self.foreground.items():
            classes = {name: asdict(each) for name, each in self.classes[metric].items()}
            found[metric] = {"classes": classes, "foreground": asdict(figures)}
        found["objects"] = {metric: asdict(figures) for metric, figures in self.objects.items()}
        found["objects_pooled"] = {metric: asdict(figures) for metric, figures in self.pooled.items()}
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; of an earlier file, what it has."""
        metrics = [metric for metric in CLASS_METRICS if metric in values]
        return _checked(
            cls(
                segmented=values["segmented"],
                skipped=values["skipped"],
                scored=values["scored"],
                unit=values["unit"],
                seed=values["bootstrap"]["seed"],
                foreground={metric: Figures.from_dict(values[metric]["foreground"]) for metric in metrics},
                classes={
                    metric: {name: Figures.from_dict(each) for name, each in values[metric]["classes"].items()}
                    for metric in metrics
                },
                objects={metric: Figures.from_dict(each) for metric, each in values["objects"].items()},
                pooled={metric: Pooled.from_dict(each) for metric, each in values.get("objects_pooled", {}).items()},
            )
        )


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run over a set of cases.

    Attributes:
        classes: Their names, background first.
        facts: How it came about (settings, weights, versions, seconds, problems), in JSON's own types.
        summary: What sums up the cases.
        cases: What became of each.
    """

    classes: tuple[str, ...]
    facts: Mapping[str, Any]
    summary: Summary
    cases: tuple[CaseResult, ...]

    @property
    def config(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings by section and key, as `Config.to_dict` gives them."""
        found: Mapping[str, Mapping[str, Any]] = self.facts["config"]
        return found

    @property
    def segmented(self) -> list[CaseResult]:
        """The cases that have a mask."""
        return [case for case in self.cases if case.ok]

    def to_dict(self, folder: Path) -> dict[str, Any]:
        """As `metrics.json` in that folder holds it."""
        return {
            "format": FORMAT_VERSION,
            "classes": list(self.classes),
            "run": self.facts,
            "summary": self.summary.to_dict(),
            "cases": [case.to_dict(self.classes, folder) for case in self.cases],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError for what is no such record."""
        config = values["run"].get("config", {})
        if not all(isinstance(section, Mapping) for section in (config, *config.values())):
            raise ValueError("config: expected sections with keys")
        classes = tuple(values["classes"])
        return _checked(
            cls(
                classes=classes,
                facts=values["run"],
                summary=Summary.from_dict(values["summary"]),
                cases=tuple(CaseResult.from_dict(case, classes) for case in values["cases"]),
            )
        )


def _amounts(values: Mapping[str, Any] | None) -> Amounts | None:
    if values is None:
        return None
    sizes = tuple(float(size) for size in values["sizes"])
    return Amounts(counts=tuple(int(count) for count in values["counts"]), sizes=sizes, unit=str(values["unit"]))


def _float(value: float | None) -> float:
    return math.nan if value is None else value


def _checked(record: T) -> T:
    """A record that was read. Raises ValueError for a value of another type."""
    check_types(type(record), vars(record), finite=False)
    return record
