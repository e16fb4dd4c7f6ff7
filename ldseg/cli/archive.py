"""Segmenting an archive: cases here or in an object store, by this process or a cluster of Ray, into a table of rows."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldseg.base.bars import along
from ldseg.base.paths import named_path
from ldseg.base.remote import check_written_whole, is_remote, names_in, url_of
from ldseg.base.text import counted
from ldseg.base.writing import held_folder
from ldseg.cli.joined import say, settings_of, write_figures
from ldseg.cli.task import begin
from ldseg.cli.worker import Worker
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.errors import ConfigError, DataError
from ldseg.evaluation import CaseResult
from ldseg.evaluation.archive import CaseTable
from ldseg.evaluation.compare import read_run
from ldseg.evaluation.quality import unchecked
from ldseg.inference.facts import facts_of
from ldseg.outputs import Outputs
from ldseg.writers.table import check_formats

logger = logging.getLogger(__name__)

OWN = frozenset(
    (
        "Data.Root",
        "Data.Dataset",
        "Data.Cases",
        "GPU.Multiple",
        "GPU.Ray",
        "Output.Compare",
        "Output.Folder",
        "Output.Report",
    )
)
"""Settings that may change from one run into a table to the next: the masks do not depend on them."""

ROWS, SECONDS = 1000, 30.0
"""Rows are written when there are so many, or so much time has gone by."""


def run(config: Config, files: Sequence[Path] = ()) -> int:
    """Segment the cases that are missing in the table of a run, then make its figures and its report from the table.

    Args:
        config: the settings.
        files: files, folders, tables and places to segment in place of the data set of the settings.

    Returns:
        the number of problems: cases skipped, labels without an image.

    Raises:
        LDSegError: nothing can be done, also where no case could be segmented.
    """
    started = time.perf_counter()
    _check(config)
    check_formats(config.output.formats)
    task = begin(config.with_values({"Output.Diffusion": 0}), files, anywhere=True)
    config, folder = task.config, task.config.output_folder
    names = task.preprocessing.structures
    compared = {other: read_run(named_path("Output.Compare", other), names) for other in config.output.compare}
    table = CaseTable(folder)
    facts = {**facts_of(config, task.opened), "problems": list(task.problems), "seconds": 0.0}
    if said := unchecked(task.quality):
        facts["unchecked"] = said
    with _held(table, task.cases, task.cases if not files else ()):
        todo, before = _missing(table, task.cases, names, facts)
        rows = _Rows(table=table, classes=names, facts=facts, started=started, before=before)
        if todo:
            workers = _workers(config, task.opened.kind)
            with contextlib.closing(workers(todo)) as results, rows:
                for result in along(results, len(todo), "segmenting"):
                    rows.add(result)
        else:  # settings and problems may be new
            table.append((), names, {**facts, "seconds": before})
        record = write_figures(table, compared)
    if not record.segmented and not config.data.shard:  # of a shard the others may well have figures
        raise DataError(
            f"{url_of(folder)}: none of {len(record.cases)} cases could be segmented, the first: {record.cases[0].message}"
        )
    return say(folder, record)


def _check(config: Config) -> None:
    """Raise ConfigError or DataError for settings that an archive cannot have."""
    folder = config.output_folder
    if is_remote(folder):
        check_written_whole(folder, "Output.Folder")
    if config.data.shard and (config.gpu.ray or is_remote(folder)):
        what = (
            f"GPU.Ray = {config.gpu.ray}, which shares cases out itself" if config.gpu.ray else "an object store as folder"
        )
        raise ConfigError(f"Data.Shard: expected nothing with {what}, got {config.data.shard}")


def _workers(config: Config, engine: str) -> Callable[[Sequence[Case]], Generator[CaseResult]]:
    """What segments cases."""
    if config.gpu.ray:
        from ldseg.cli.cluster import Cluster  # here, as Ray is rarely there

        return Cluster(config, engine).segment
    return Worker(config, engine).segment


@contextlib.contextmanager
def _held(table: CaseTable, cases: Sequence[Case], sources: Sequence[Case]) -> Iterator[None]:
    """Keep the folder of a run for this process, as far as that can be done, and make sure that it is its own.

    Raises:
        DataError: the folder holds what is not of this table, or another run writes to it.
    """
    folder, new = table.folder, not table.exists
    if is_remote(folder):
        # Nothing in an object store says who else writes to it.
        if new and (found := names_in(folder)):
            raise DataError(
                f"{url_of(folder)}: expected nothing there, or the table of an earlier run, found {found[0] or 'a file'}; "
                "name another place in [Output] Folder (--out)"
            )
        yield
        return
    outputs = Outputs(folder)
    outputs.check([case.name for case in cases] if new else (), [case.image for case in sources])
    if new and outputs.metrics.exists():
        raise DataError(
            f"{folder}: holds a run that has no {outputs.cases_table.name}; name another in [Output] Folder (--out)"
        )
    with held_folder(folder, "[Output] Folder"):
        yield


def _missing(
    table: CaseTable, cases: Sequence[Case], classes: Sequence[str], facts: Mapping[str, Any]
) -> tuple[list[Case], float]:
    """The cases without a mask in the table, whose rows then go, and the seconds that the others took.

    Raises:
        DataError: the table is of other weights or settings.
    """
    if not table.exists:
        table.append((), classes, facts)  # the folder is a run's own from now on
        return list(cases), 0.0
    found, earlier = table.facts()
    told, wanted = settings_of(found, earlier, OWN), settings_of(classes, facts, OWN)
    for name, value in wanted.items():
        if told.get(name) != value:
            raise DataError(
                f"{table}: its cases were segmented with other settings, {name} = {told.get(name)} and not {value}; "
                "name another folder in [Output] Folder (--out)"
            )
    states = table.states()
    if others := len(set(states) - {case.name for case in cases}):
        logger.info("%s of earlier runs, not named now, stay in %s", counted(others, "case"), table)
    todo = [case for case in cases if states.get(case.name) != "ok"]
    if again := {case.name for case in todo} & set(states):
        table.forget(again)
    if len(todo) < len(cases):
        logger.info("%s done already, %d to do", counted(len(cases) - len(todo), "case"), len(todo))
    return todo, float(earlier.get("seconds", 0.0))


@dataclass(kw_only=True)
class _Rows:
    """Rows on their way into a table: written now and then, and in the end, whatever the end is.

    Attributes:
        table: the table.
        classes: names of the classes.
        facts: how the run came about.
        started: when it began, of the clock that counts seconds.
        before: seconds that earlier runs took.
    """

    table: CaseTable
    classes: Sequence[str]
    facts: Mapping[str, Any]
    started: float
    before: float
    waiting: list[CaseResult] = field(default_factory=list)
    written: float = field(default_factory=time.monotonic)

    def add(self, row: CaseResult) -> None:
        """Take a row in."""
        if not row.ok:
            logger.error("skipped %s: %s", row.name, row.message)
        self.waiting.append(row)
        if len(self.waiting) >= ROWS or time.monotonic() - self.written > SECONDS:
            self._write()

    def _write(self) -> None:
        seconds = round(self.before + time.perf_counter() - self.started, 2)
        self.table.append(self.waiting, self.classes, {**self.facts, "seconds": seconds})
        self.waiting, self.written = [], time.monotonic()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self.waiting:
            self._write()
