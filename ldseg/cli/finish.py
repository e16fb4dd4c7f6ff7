"""What belongs to each case of a run, once it is segmented: its files, its pictures, its scores."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ldseg import viz
from ldseg.cli.results import Results
from ldseg.cli.task import Task
from ldseg.cli.trust import Trust, remove_uncertainty, write_maps
from ldseg.data.cases import LoadedCase
from ldseg.errors import DataError, UnwrittenError, memory_told
from ldseg.evaluation import CaseResult, RunRecord
from ldseg.evaluation.collapse import Collapse
from ldseg.evaluation.familiarity import unfamiliar
from ldseg.evaluation.quality import predicted_dice
from ldseg.inference import Engine, Segmented
from ldseg.inference.scoring import scores_of
from ldseg.outputs import Outputs
from ldseg.viz.cases import Pictures

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A case of which all is written, or that is left out, and what it adds to that of all cases.

    Attributes:
        result: what became of it.
        files: its files by format.
        missing: a line for each file that it lacks.
        trust: what it says of how far masks can be trusted.
        collapse: what its mask and label count.
    """

    result: CaseResult
    files: Mapping[str, Path] = field(default_factory=dict)
    missing: Sequence[str] = ()
    trust: Trust | None = None
    collapse: Collapse | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run over a data set, the runs that it is compared with, and what is gathered on the way."""

    task: Task
    predictor: Engine
    compared: Mapping[str, RunRecord]
    trust: Trust = field(default_factory=Trust)

    def __post_init__(self) -> None:
        self.results, self.pictures  # noqa: B018  # made now, before threads share them

    @cached_property
    def outputs(self) -> Outputs:
        """Where things go."""
        return Outputs(self.task.config.output_folder)

    @cached_property
    def results(self) -> Results:
        """What writes its cases."""
        task = self.task
        return Results(config=task.config, outputs=self.outputs, preprocessing=task.preprocessing)

    @cached_property
    def pictures(self) -> Pictures:
        """What draws its cases."""
        task = self.task
        return Pictures(outputs=self.outputs, preprocessing=task.preprocessing, colours=task.config.data.colours)

    @cached_property
    def collapse(self) -> Collapse:
        """What its masks have in common that they should not."""
        return self.no_collapse()

    def no_collapse(self) -> Collapse:
        """One that has seen no mask yet."""
        return Collapse(self.task.preprocessing.classes, self.task.description.spec.strides)

    def gather(self, case: Finished) -> CaseResult:
        """Take in what a case adds to that of all, and hand on what became of it."""
        if case.files:
            self.results.note(case.result.name, case.files, case.missing)
        if case.trust is not None:
            self.trust.take(case.trust)
        if case.collapse is not None:
            self.collapse.take(case.collapse.counts())
        for line in case.result.warnings:
            logger.warning("%s is %s", case.result.name, line)
        return case.result


def finish(this: Run, item: Segmented, trace: viz.Trace | None) -> Finished:
    """Write what belongs to one case, which several threads may do at the same time.

    A case that cannot be finished is reported, the others go on.
    """
    if item.problem or item.loaded is None:
        return _skip(item, item.problem)
    missing: list[str] = []
    try:
        with memory_told(str(item.case.image), "write its mask"):
            return _finished(this, item, item.loaded, trace, missing)
    except UnwrittenError as error:
        this.results.unwritten.add(item.case.name)
        return _skip(item, f"{error}; what there was of this case is kept", missing)
    except DataError as error:
        return _skip(item, str(error), missing)


def _finished(this: Run, item: Segmented, loaded: LoadedCase, trace: viz.Trace | None, missing: list[str]) -> Finished:
    """Write it all; what is missing is noted as soon as it is known, as the rest may fail."""
    name, task = item.case.name, this.task
    config, preprocessing, mask = task.config, task.preprocessing, item.mask
    numbered = item.instances if config.output.masks == "instances" else mask
    files, lines = this.results.write(item, numbered if config.output.masks == "instances" else None)
    missing += lines
    if config.output.overlay:
        this.pictures.draw_overlay(item, numbered)
    else:
        this.pictures.remove_overlay(name)
    if item.members is None:
        remove_uncertainty(this.outputs, item.case)
    else:
        write_maps(this.outputs, item)
        this.pictures.draw_uncertainty(item, numbered)
    if trace is None:
        this.pictures.remove_diffusion(name)
    else:
        this.pictures.draw_diffusion(name, trace)
    trust, collapse = Trust(), this.no_collapse()
    trust.add(item, mask, preprocessing)
    collapse.add(mask, loaded.label, preprocessing.grid_of(loaded.size, loaded.spacing), item.mean_entropy)
    far, warnings = unfamiliar(item.signature, task.description.familiarity)
    result = CaseResult(
        name=name,
        mask=files.get("mask"),
        entropy=item.mean_entropy,
        predicted_dice=predicted_dice(item.signs, task.quality),
        unfamiliar=far,
        warnings=warnings,
        seconds=item.seconds,
        **scores_of(item, task.description.spec, task.config.evaluation.tolerance),
    )
    return Finished(result=result, files=files, missing=missing, trust=trust, collapse=collapse)


def _skip(item: Segmented, problem: str, missing: Sequence[str] = ()) -> Finished:
    """A case that is left out, and the formats that it lacked before that."""
    result = CaseResult(name=item.case.name, status="skipped", message="; ".join((problem, *missing)), seconds=item.seconds)
    return Finished(result=result)
