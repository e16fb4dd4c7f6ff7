"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ldseg.base.text import number, one_line
from ldseg.evaluation.compare import difference
from ldseg.evaluation.record import RunRecord, Summary
from ldseg.viz.report.records import HEADLINES, statistics, title_of


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be, the first to the left, the others to the right."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (f"{c:<{w}}" if i == 0 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, rows)])


def objects_pooled(summary: Summary) -> str:
    """The scores of objects over the set together, in a sentence; empty where there are none."""
    found = {name: each.value for name, each in summary.pooled.items()}
    if not found:
        return ""
    f1, dice = number(found["object_f1"]), number(found["object_dice"])
    distance = f"{number(found['object_hausdorff'], 2)} {summary.unit}".strip()
    return f"Objects pooled over the set (not means over images): F1 {f1}, Dice {dice}, Hausdorff {distance}."


def side_by_side(run: RunRecord, compared: Mapping[str, RunRecord]) -> list[str]:
    """The figures of a run and of others, and their differences; nothing where there are none."""
    rows = []
    for name, each in {"this run": run, **compared}.items():
        means = {found.metric: found.with_std for found in statistics(each) if not found.of}
        rows.append([name, *(means.get(metric, number(None)) for metric in HEADLINES)])
    told = [f"Dice against {name}: {difference(run, other)}" for name, other in compared.items()]
    return ["", table(["run", *(title_of(metric) for metric in HEADLINES)], rows), *told] if compared else []
