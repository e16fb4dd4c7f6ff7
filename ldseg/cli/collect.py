"""``ldseg collect``: join what the shards of a run have written."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ldseg.base.paths import require_folder
from ldseg.base.remote import is_remote, url_of
from ldseg.base.shards import Shard, whole
from ldseg.base.text import some
from ldseg.base.writing import held_folder, move
from ldseg.cli.joined import say, settings_of, write_figures
from ldseg.cli.results import join_measurements
from ldseg.errors import DataError
from ldseg.evaluation import RunRecord, record_run, write_metrics
from ldseg.evaluation.archive import CaseTable
from ldseg.evaluation.compare import read_run
from ldseg.evaluation.record import CaseResult
from ldseg.outputs import EARLIER, Outputs
from ldseg.viz.report.page import write_report
from ldseg.writers.tables import OBJECTS

logger = logging.getLogger(__name__)


def run(paths: Sequence[Path]) -> int:
    """Move the results of all shards into the folder of the run, and write its figures and its report.

    The shards keep their records; started again, it goes on where it was. Of a run over an archive, which has a table of its
    cases, the figures and the report are made from that table.

    Args:
        paths: the folder of the run alone, as the shards were given it in [Output] Folder.

    Returns:
        the number of problems that the shards had.

    Raises:
        DataError: a shard or the run is at work, a shard is missing, the shards are not of one run or lie beside a table of
            cases, or a file cannot be moved.
    """
    (folder,) = paths
    table = CaseTable(folder)
    if table.exists:
        if is_remote(folder):
            return say(folder, write_figures(table))
        if others := sorted(path.name for path in folder.iterdir() if Shard.of_folder(path)):
            raise DataError(
                f"{folder}: expected {table.path.name} of one run or the folders of its shards, found both "
                f"({some(others)}); remove what is not to be collected"
            )
        with held_folder(folder, "the folder of the run"):
            return say(folder, write_figures(table))
    if is_remote(folder):
        raise DataError(f"{url_of(folder)}: expected the table of a run over an archive, found none")
    require_folder(folder, "one with the folders of shards")
    shards = _shards(folder)
    outputs = Outputs(folder)
    with contextlib.ExitStack() as held:
        for shard in shards:
            held.enter_context(held_folder(folder / shard.folder, "the shard"))
        records = [read_run(folder / shard.folder) for shard in shards]
        _check_same(folder, shards, records)
        cases = whole([record.cases for record in records])
        outputs.check([case.name for case in cases])
        held.enter_context(held_folder(folder, "the folder of the run"))
        if others := outputs.set_aside({case.name for case in cases}):
            logger.info("of an earlier run, now in %s: %s", folder / EARLIER, some(others))
        for shard, record in zip(shards, records, strict=True):
            _take(outputs, Outputs(folder / shard.folder), record.cases)
        joined = record_run([_placed(case, folder) for case in cases], records[0].classes, _facts(records))
        write_metrics(folder, joined)
        tables = [path for case in cases if (path := folder / f"{case.name}{OBJECTS}").exists()]
        # Objects are those of the classes of masks, also where figures are those of regions.
        classes = tuple(joined.config["Data"]["Classes"]) if joined.config["Data"].get("Regions") else joined.classes
        join_measurements(outputs, tables, classes, tuple(joined.config["Data"]["Colours"]))
        if joined.config["Output"]["Report"]:
            write_report(folder, joined, {})
    return say(folder, joined)


def _shards(folder: Path) -> list[Shard]:
    """All shards of the run, in order."""
    found = sorted(filter(None, map(Shard.of_folder, folder.iterdir())))
    counts = sorted({shard.count for shard in found})
    if not found:
        raise DataError(f"{folder}: expected folders of shards, such as shard-1-of-2, found none")
    if len(counts) > 1:
        raise DataError(
            f"{folder}: expected the shards of one run, found those of {' and of '.join(map(str, counts))}; "
            "remove the folders of the other"
        )
    wanted = [Shard(index, counts[0]) for index in range(1, counts[0] + 1)]
    if missing := [str(shard) for shard in wanted if shard not in found]:
        raise DataError(f"{folder}: expected all {counts[0]} shards, missing {some(missing)}; run them with --shard")
    return wanted


def _check_same(folder: Path, shards: Sequence[Shard], records: Sequence[RunRecord]) -> None:
    """Raise DataError unless all records are of one run, and no case is in two of them."""
    told = [settings_of(record.classes, record.facts) for record in records]
    for shard, other in zip(shards, told, strict=True):
        for name, value in told[0].items():
            if other.get(name) != value:
                raise DataError(
                    f"{folder / shard.folder}: expected the settings of {shards[0].folder}, but {name} is "
                    f"{other.get(name)} and not {value}; run the shard again"
                )
    often = Counter(case.name for record in records for case in record.cases)
    if twice := [name for name, count in often.items() if count > 1]:
        raise DataError(f"{folder}: expected each case in one shard, found in several: {some(twice)}; run the shards again")


def _take(outputs: Outputs, shard: Outputs, cases: Sequence[CaseResult]) -> None:
    """Move the files of cases. Of a case whose files are here already nothing is left there."""
    if shard.schedule.exists():  # the same in all of them
        move(shard.schedule, outputs.schedule)
    there = shard.of_cases(case.name for case in cases)
    for case in cases:
        if case.mask is not None and not any((place.folder / case.mask).exists() for place in (shard, outputs)):
            raise DataError(f"{shard.folder / case.mask}: the mask of {case.name} is missing; run the shard again")
        for path in there[case.name]:
            move(path, outputs.folder / path.relative_to(shard.folder))


def _placed(case: CaseResult, folder: Path) -> CaseResult:
    return case if case.mask is None else replace(case, mask=folder / case.mask)


def _facts(records: Sequence[RunRecord]) -> Mapping[str, Any]:
    """How the joined run came about: as its first shard, with the problems, the doubts and the seconds of all."""
    first = records[0]
    config = {section: dict(keys) for section, keys in first.config.items()}
    config["Data"]["Shard"] = ""
    told = {key: [line for record in records for line in record.facts.get(key, ())] for key in ("problems", "doubts")}
    told["doubts"] = list(dict.fromkeys(told["doubts"]))  # most are of the weights, the same in every shard
    seconds = round(sum(record.facts.get("seconds", 0) for record in records), 2)
    if not told["doubts"]:
        del told["doubts"]
    return {**first.facts, **told, "config": config, "seconds": seconds, "shards": len(records)}
