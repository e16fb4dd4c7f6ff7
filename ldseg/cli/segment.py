"""``Training = False``: segment every case of a data set."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ldseg import viz
from ldseg.base.bars import along
from ldseg.base.paths import named_path
from ldseg.base.regions import of_no_region
from ldseg.base.text import number, one_line, some
from ldseg.base.writing import held_folder, remove
from ldseg.cli.finish import Finished, Run, finish
from ldseg.cli.slides import segment_slides, split_cases
from ldseg.cli.table import objects_pooled, side_by_side, table
from ldseg.cli.task import begin
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.diffusion import step_grid
from ldseg.errors import DataError, memory_told
from ldseg.evaluation import CaseResult, RunRecord, record_run, write_metrics
from ldseg.evaluation.compare import read_run
from ldseg.evaluation.quality import unchecked
from ldseg.inference import Segmented, segment_cases
from ldseg.inference.cores import cores
from ldseg.inference.facts import facts_of
from ldseg.viz.report.records import amounts_of, worst_first
from ldseg.writers.table import check_formats

logger = logging.getLogger(__name__)

COLUMNS = {"dice": 4, "iou": 4, "hd95": 2}
"""Metrics on the screen, and their digits after the point."""

MOST_ROWS, WORST_ROWS = 500, 20
"""Cases that the screen shows, and how many of them where there are more."""


def run(config: Config, files: Sequence[Path] = ()) -> int:
    """Segment the cases that the settings name and write what the settings ask for.

    Args:
        config: the settings.
        files: files and folders to segment in place of the data set of the settings.

    Returns:
        the number of problems: cases skipped, labels without an image.

    Raises:
        LDSegError: if nothing can be done, also where no case could be segmented: the figures of an earlier run stay.
    """
    started = time.perf_counter()
    check_formats(config.output.formats)
    task = begin(config, files)
    config = task.config
    compared = {
        other: read_run(named_path("Output.Compare", other), task.preprocessing.structures)
        for other in config.output.compare
    }
    this = Run(task=task, predictor=task.predictor(), compared=compared)
    # Of files that were named one by one, none is read because it lies in a folder.
    sources = () if files else [path for case in task.cases for path in (case.image, case.label) if path]
    this.outputs.check([case.name for case in task.cases], sources)
    with held_folder(this.outputs.folder, "[Output] Folder"):
        return _segment(this, started)


def _segment(this: Run, started: float) -> int:
    """Segment all cases and write what there is to write, and return the number of problems."""
    task = this.task
    config = task.config
    whole, slides = split_cases(task)
    with ThreadPoolExecutor(max_workers=1) as worker:
        # Made while the cases are segmented.
        schedule = worker.submit(_schedule_picture, this) if config.output.pictures else None
        results = []
        for result in along(results_of(this, whole, len(whole)), len(whole), "segmenting"):
            if not result.ok:
                logger.error("skipped %s: %s", result.name, result.message)
            results.append(result)
    results += segment_slides(task, this.predictor, slides, this.results)
    skipped = [result.message for result in results if not result.ok]
    problems = [*task.problems, *skipped, *(line for lines in this.results.missing.values() for line in lines)]
    useless = len(skipped) == len(results) and not config.data.shard  # of a shard the others may well have figures
    if not useless:
        if schedule is None:
            remove(this.outputs.schedule)
        else:
            viz.save_image(schedule.result(), this.outputs.schedule)
        _report(this, results, time.perf_counter() - started)
    for line in problems:
        print(f"problem: {one_line(line)}")
    if useless:
        raise DataError(f"{config.dataset_folder}: none of {len(results)} cases could be segmented, the first: {skipped[0]}")
    return len(problems)


def results_of(this: Run, cases: Iterable[Case], count: int) -> Generator[CaseResult]:
    """Segment cases that are no slides, write what belongs to each, and yield what became of it, in their order.

    Args:
        this: the run.
        cases: of it, taken as they are needed.
        count: how many there are.
    """
    task = this.task
    config, sampler = task.config, task.config.sampler
    segmented = segment_cases(
        this.predictor,
        cases,
        task.preprocessing,
        batch_size=int(config.parameters.batch_size),
        seed=sampler.seed,
        sigma=sampler.sigma,
        fusion=sampler.fusion,
        states=config.output.diffusion > 0,
        recognise=task.description.familiarity is not None,
    )
    waiting: deque[Future[Finished]] = deque()
    # Of volumes no more than one waits, as they are large; and Matplotlib, which draws them, is for one thread alone.
    plane = len(task.preprocessing.axes) == 2
    behind, at_once = (int(config.parameters.batch_size), cores()) if plane else (1, 1)
    to_draw, left = config.output.diffusion, count
    # Cases are scored and drawn while the next are segmented; what is gathered of them is so in their order.
    with ThreadPoolExecutor(at_once, "finish") as workers:
        for item in segmented:
            # There is little to see where the mask comes out empty, unless no other case is left to be drawn.
            trace = None
            try:
                with memory_told(str(item.case.image), "draw its diffusion"):
                    if item.problem == "" and to_draw > 0 and (item.mask.any() or left <= to_draw):
                        from ldseg.viz.traces import trace_of

                        trace = trace_of(item, this.predictor, task.preprocessing, config.data.colours)
                        to_draw -= 1
            except DataError as error:
                item = Segmented(case=item.case, problem=str(error), seconds=item.seconds)
            left -= 1
            waiting.append(workers.submit(finish, this, item, trace))
            if len(waiting) > behind:
                yield this.gather(waiting.popleft().result())
        while waiting:
            yield this.gather(waiting.popleft().result())


def _schedule_picture(this: Run) -> np.ndarray:
    """The noise schedule with the steps that are taken, uint8 (H, W, 3)."""
    schedule = this.task.description.spec.schedule
    grid = step_grid(schedule.timesteps, this.predictor.steps)
    return viz.schedule_picture(schedule.alpha_bar, grid, schedule.name)


def _table(record: RunRecord, several: Sequence[str], objects: Sequence[str]) -> str:
    """A row for each case, and the mean and the deviation of those with a label; no column of dashes alone.

    Of more than `MOST_ROWS` cases the worst `WORST_ROWS` have one.
    """
    results, summary = record.cases, record.summary
    many = len(results) > MOST_ROWS
    metrics, held = COLUMNS if summary.scored else {}, list(amounts_of(record))
    known = any(result.unfamiliar is not None for result in results)
    rows = []
    for result in worst_first(results)[:WORST_ROWS] if many else results:
        cells = [number(result.foreground(metric), digits) for metric, digits in metrics.items()]
        by_class = result.scores["dice"][1:] if several and result.scores else (None,) * len(several)
        cells += [
            number(value) for value in (*(by_class if metrics else ()), *(result.objects.get(name) for name in objects))
        ]
        cells += [number(of(result), digits) for _, of, digits in held]
        cells.append(number(result.predicted_dice))
        if known:
            cells.append(number(result.unfamiliar, 2) + ("!" if result.warnings else " "))
        rows.append([result.name, *cells, number(result.seconds, 2) if result.ok else "skipped"])
    if metrics:
        for kind in ("mean", "std"):
            cells = [number(getattr(summary.foreground[metric], kind), digits) for metric, digits in metrics.items()]
            cells += [number(getattr(summary.classes["dice"][name], kind)) for name in several]
            cells += [number(getattr(summary.objects[name], kind)) for name in objects]
            rows.append([kind, *cells, *[""] * (len(held) + known), "", ""])
    titles = ["Dice", "IoU", "HD95", *several, *("F1" for _ in objects)] if metrics else []
    titles += [title.lower() for title, _, _ in held]
    told = table(["case", *titles, "predicted", *["unfamiliar"] * known, "seconds"], rows)
    return told if not many else f"{told}\nThe worst {WORST_ROWS} of {len(results)} cases; metrics.csv has all."


def _names(results: list[CaseResult]) -> str:
    return some([result.name for result in results])


def _report(this: Run, results: list[CaseResult], seconds: float) -> None:
    task, names = this.task, this.task.preprocessing.structures
    facts = {**facts_of(task.config, task.opened), "problems": list(task.problems), "seconds": round(seconds, 2)}
    if this.collapse.said:
        facts["doubts"] = [*facts.get("doubts", ()), this.collapse.said]
    if said := unchecked(task.quality):
        facts["unchecked"] = said
    record = record_run(results, names, facts)
    summary = record.summary
    this.results.set_aside({result.name for result in results})
    write_metrics(this.outputs.folder, record)
    remove(this.outputs.cases_table)  # of an earlier run over an archive
    this.results.leave_out([result.name for result in results if not result.ok])
    this.results.finish()
    several = names[1:] if len(names) > 2 else ()
    objects = ["object_f1"] if "object_f1" in summary.objects else []
    print(_table(record, several, objects))
    print(f"predicted: the Dice to expect, told without a label{f'; {said}' if said else ''}.")
    if warned := [result for result in results if result.warnings]:
        print(f"unfamiliar above 1 (!): unlike what the weights learned from, not to be trusted: {_names(warned)}")
    if summary.scored:
        print(f"HD95 in {summary.unit}. The other metrics, with intervals and the worst cases: metrics.json")
    if told := objects_pooled(summary):
        print(told)
    if several and summary.scored:
        each = "regions" if task.preprocessing.regions else "classes"
        print(f"Dice, IoU and HD95: mean of the {each}; then the Dice of each.")
    if missing := of_no_region(task.preprocessing.classes, task.preprocessing.regions):
        print(f"In none of the regions, so that no figure tells of it: {', '.join(missing)}.")
    if this.collapse.said:
        print(f"Look at the masks: {this.collapse.said}.")
    for line in this.trust.write(this.outputs, task.config.sampler, pictures=task.config.output.pictures):
        print(line)
    for line in side_by_side(record, this.compared):
        print(line)
    if task.config.output.report:
        from ldseg.viz.report.page import write_report  # here, as a run without a report begins sooner

        write_report(this.outputs.folder, record, this.compared)
    else:
        remove(this.outputs.report)
    print(
        f"\n{summary.segmented} segmented, {summary.skipped} skipped, in {seconds:.1f} s. Written to {this.outputs.folder}"
    )
