"""Tests of a segmenter under several conditions: the labelled cases, what is kept of them as they come, and the files."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ldseg import devices
from ldseg.base.bars import along
from ldseg.base.text import counted, interval, number, one_line
from ldseg.base.writing import held_folder, remove
from ldseg.cli.table import table
from ldseg.cli.task import Task, begin
from ldseg.config import KEYS, Config
from ldseg.data.cases import Case, LoadedCase, load_case
from ldseg.evaluation import dice, scored
from ldseg.evaluation.conditions import dice_figures, document, write_document
from ldseg.evaluation.journal import Journal
from ldseg.inference import Engine, Segmented, degraded, segment_each
from ldseg.inference.facts import facts_of
from ldseg.outputs import Outputs
from ldseg.viz import save_figure
from ldseg.viz.report.trial import write_trial_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

T = TypeVar("T")

Condition = Mapping[str, Any]
"""What a case is segmented under, by name: ``sigma``, or ``sampler`` and ``steps``."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One test.

    Attributes:
        task: the data set and the weights.
        cases: those with a label.
        noise: the kind of degradation of their images, see ``ldseg.base.options.DEGRADATIONS``.
        conditions: what each case is segmented under, in the order of the report.
        journal: Dice, seconds and memory of each case under each condition, as they come.
        facts: what else the report says of how it came about.
        problems: one line each, by case.
    """

    task: Task
    cases: tuple[Case, ...]
    noise: str
    conditions: tuple[Condition, ...]
    journal: Journal
    facts: Mapping[str, Any]
    problems: dict[str, str] = field(default_factory=dict)

    def left(self, conditions: Iterable[Condition], again: Iterable[str] = ()) -> list[tuple[Case, Condition]]:
        """What is still to be segmented, case by case, or is to be segmented again."""
        done, repeated = {_key(record["case"], record) for record in self.journal.records}, frozenset(again)
        pairs = ((case, condition) for case in self.cases for condition in conditions)
        return [(case, c) for case, c in pairs if case.name in repeated or _key(case.name, c) not in done]

    def segment(self, predictor: Engine, work: Sequence[tuple[Case, Condition]]) -> Iterator[tuple[Condition, Segmented]]:
        """Segment the work and enter it in the journal, warmed up first; a case that fails is named and left out.

        Noise has the strength ``sigma`` of the condition, or of [Sampler] Sigma where it has none.
        """
        work = [(case, condition) for case, condition in work if case.name not in self.problems]
        if not work:
            return
        sampler, batch_size = self.task.config.sampler, int(self.task.config.parameters.batch_size)
        step = self.task.preprocessing
        predictor.warm_up(batch_size)
        held = devices.forget_peak()
        load = functools.lru_cache(maxsize=1)(lambda case: load_case(case, self.task.preprocessing))

        def read(case: Case, condition: Condition) -> LoadedCase:
            sigma = condition.get("sigma", sampler.sigma)
            return degraded(load(case), self.noise, sigma, sampler.seed, self.task.preprocessing)

        given = ((case, functools.partial(read, case, condition)) for case, condition in work)
        found = segment_each(
            predictor, given, self.task.preprocessing, batch_size=batch_size, seed=sampler.seed, fusion=sampler.fusion
        )
        for (case, condition), item in zip(work, found, strict=True):
            if item.loaded is None or item.loaded.label is None:
                self.skip(case.name, item.problem)
                continue
            scores = scored(dice, item.mask, item.loaded.label, step.num_classes, step.unions)
            memory = devices.peak_memory()[0] - held
            self.journal.append({"case": case.name, **condition, "dice": scores, "seconds": item.seconds, "memory": memory})
            yield condition, item

    def skip(self, name: str, problem: str) -> None:
        """Tell of a case that is left out, once."""
        if name not in self.problems:
            logger.error("skipped %s: %s", name, problem)
            self.problems[name] = problem

    def told(self, masks: Iterable[T], left: int) -> Iterator[T]:
        """The masks, of which so many are left to be made, while it is told how many there are and how far it is."""
        cases, conditions = len(self.cases), len(self.conditions)
        total = cases * conditions
        of_each = f"{counted(cases, 'case')} x {counted(conditions, 'condition')}"
        logger.info("%s: %s, %d of them to do", of_each, counted(total, "segmentation"), left)
        return along(masks, left, "segmenting", "mask")

    def report(self, columns: Collection[str]) -> dict[str, Any]:
        """The document of the test.

        It has ``conditions``, each with the figures of ``dice_figures`` and, where a column asks for them, ``seconds``
        (median over the cases) and ``memory`` (peak in bytes).
        """
        rows = []
        for condition in self.conditions:
            key, own = _key("", condition), {case.name for case in self.cases}
            found = {r["case"]: r for r in self.journal.records if _key("", r) == key and r["case"] in own}
            scores = {case.name: found[case.name]["dice"] for case in self.cases if case.name in found}
            figures = dice_figures(scores, self.task.preprocessing.structures)
            for name, fold in (("seconds", np.median), ("memory", np.max)):
                if name in columns:
                    figures[name] = fold([record[name] for record in found.values()]) if found else None
            rows.append({**condition, **figures})
        return document(rows, self.task.preprocessing.structures, **self.facts, problems=list(self.problems.values()))

    def write(
        self, columns: Mapping[str, Callable[[Any], str]], figure: Callable[[dict[str, Any]], Figure], title: str, note: str
    ) -> int:
        """Write record, table, figure and report beside the journal and print the table.

        Args:
            columns: what tables, on the screen and in the report, show of a condition beside its Dice, each with its text.
            figure: from the record to its figure.
            title: of the report.
            note: what the columns are, for the report.

        Returns:
            the number of problems.
        """
        report, path = self.report(columns), self.journal.path
        write_document(path, report, tuple(columns))
        save_figure(figure(report), path.with_suffix(".png"))
        if self.task.config.output.report:
            write_trial_report(path.with_suffix(".json"), report, title, columns, note)
        else:
            remove(path.with_suffix(".html"))
        known = self.task.preprocessing.structures[1:]
        names = known if len(known) > 1 else ()
        rows = []
        for condition in report["conditions"]:
            whole, classes = condition["foreground"], condition["classes"]
            scores = [number(whole["mean"]), interval(whole["interval"]), *(number(classes[name]["mean"]) for name in names)]
            rows.append([*(shown(condition[name]) for name, shown in columns.items()), *scores, str(whole["n"])])
        print(table([*columns, "Dice", "95 % interval", *names, "cases"], rows))
        page = path.with_suffix(".html" if self.task.config.output.report else ".json")
        print(f"\n{counted(len(self.problems), 'problem')}. Written to {page} and beside it")
        for line in self.problems.values():
            print(f"problem: {one_line(line)}")
        return len(self.problems)


@contextlib.contextmanager
def prepared(
    config: Config, record: Path, conditions: Sequence[Condition], *, noise: str = "gaussian", depends: Sequence[str] = ()
) -> Iterator[Trial]:
    """Find cases and weights, and what an earlier run of the same settings has done; the folder is held for this run.

    Args:
        config: the settings.
        record: of the test, see ``Outputs``; its journal has the same name.
        conditions: what each case is segmented under.
        noise: the kind of noise on the images.
        depends: keys and facts that the results depend on beside those of [Sampler], [Data] and [GPU], weights and versions.

    Raises:
        LDSegError: if nothing can be done.
    """
    task = begin(config, labelled=True)
    cases = task.labelled()
    Outputs(task.config.output_folder).check_links()
    facts = {**facts_of(task.config, task.opened), "noise": noise, "memory_of": devices.peak_memory()[1]}
    known = {name: task.config.value(name) for name in KEYS} | facts | facts["machine"]
    names = [name for name in KEYS if name.startswith(("Sampler.", "Data.", "GPU.")) and name != "Data.Cases"]
    names += ["weights_sha256", "ldseg", "engine", "noise", *depends]
    with held_folder(record.parent, "[Output] Folder"):
        yield Trial(
            task=task,
            cases=cases,
            noise=noise,
            conditions=tuple(conditions),
            journal=Journal(record.with_suffix(".jsonl"), {name: known[name] for name in names}),
            facts=facts,
            problems={line: line for line in task.problems},
        )


def _key(case: str, condition: Condition) -> tuple[Any, ...]:
    return case, *(condition.get(name) for name in ("sigma", "sampler", "steps"))
