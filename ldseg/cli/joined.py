"""What is made of the record of a run that had several parts: its figures, its report and what is said of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ldseg.base.remote import fetch, is_remote, send, url_of
from ldseg.base.text import counted, number, one_line
from ldseg.base.writing import remove, write_text
from ldseg.cli.table import objects_pooled
from ldseg.cli.worker import AT_ONCE
from ldseg.errors import DataError
from ldseg.evaluation import RunRecord, write_metrics
from ldseg.evaluation.archive import CaseTable
from ldseg.outputs import Outputs
from ldseg.viz.report.many import SHOWN
from ldseg.viz.report.records import worst_first

SAME = ("weights_sha256", "ldseg")
"""Facts that the parts of one run share, beside their settings."""


def settings_of(classes: Sequence[str], facts: Mapping[str, Any], but: Collection[str] = ()) -> dict[str, Any]:
    """What the parts of one run have in common.

    Args:
        classes: their names.
        facts: how a part came about.
        but: settings that may differ, beside the share.
    """
    settings = {f"{section}.{key}": value for section, keys in facts["config"].items() for key, value in keys.items()}
    held = {name: value for name, value in settings.items() if name != "Data.Shard" and name not in but}
    return {"classes": tuple(classes), **{name: facts.get(name) for name in SAME}, **held}


def write_figures(table: CaseTable, compared: Mapping[str, RunRecord] | None = None) -> RunRecord:
    """Write the figures and the report of a run beside its table, from the table and the pictures of its cases.

    Args:
        table: of the run.
        compared: other runs, by the names under which they are shown.

    Returns:
        the record of the run.

    Raises:
        DataError: the table cannot be read, or a file cannot be written.
    """
    record, folder = table.record(), table.folder
    if not is_remote(folder):
        _write_figures(folder, record, compared or {})
        return record
    with tempfile.TemporaryDirectory(prefix="ldseg-figures-") as top:
        here = Outputs(Path(top))
        if record.config["Output"]["Report"] and record.config["Output"]["Overlay"]:
            _fetch_overlays(Outputs(folder), here, [case.name for case in worst_first(record.segmented)[:SHOWN]])
        _write_figures(here.folder, record, compared or {})
        if here.report.exists():  # it may name where it lies
            write_text(here.report, here.report.read_text("utf-8").replace(str(here.folder), url_of(folder)))
        for path in (here.metrics, here.metrics_table, here.report):
            if path.exists():
                send(path, folder / path.name)
    return record


def _fetch_overlays(there: Outputs, here: Outputs, cases: Sequence[str]) -> None:
    """Copy pictures of cases to this machine."""

    def one(case: str) -> None:
        with contextlib.suppress(DataError):  # a picture that is not there is not missed
            fetch(there.overlay(case), here.overlay(case))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, cases))


def _write_figures(folder: Path, record: RunRecord, compared: Mapping[str, RunRecord]) -> None:
    write_metrics(folder, record)
    if record.config["Output"]["Report"]:
        from ldseg.viz.report.page import write_report  # here, as a run without a report begins sooner

        write_report(folder, record, compared)
    else:
        remove(Outputs(folder).report)


def say(folder: Path, record: RunRecord) -> int:
    """Print what there is, and return the number of problems."""
    summary, problems = record.summary, list(record.facts["problems"])
    problems += [f"{case.name}: {case.message}" for case in record.cases if not case.ok]
    for line in problems:
        print(f"problem: {one_line(line)}")
    if summary.scored:
        dice = summary.foreground["dice"]
        print(f"Dice {number(dice.mean)} ± {number(dice.std)}, {counted(dice.n, 'case')} with a label: metrics.json")
    if told := objects_pooled(summary):
        print(told)
    print(f"{summary.segmented} segmented, {summary.skipped} skipped. Written to {url_of(folder)}")
    return len(problems)
