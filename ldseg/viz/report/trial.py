"""The report of a test under several conditions: one page of HTML beside its record, its table and its figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ldseg.base.text import counted, interval, number
from ldseg.base.writing import write_text
from ldseg.config import Config
from ldseg.viz.report.embed import Pictures
from ldseg.viz.report.records import flat, words
from ldseg.viz.report.rendering import render

MAX_BYTES = 4_000_000
WIDTH = 1000


def write_trial_report(
    record: Path, found: Mapping[str, Any], title: str, columns: Mapping[str, Callable[[Any], str]], note: str
) -> Path:
    """Write ``<record>.html`` from the record of a test and the figure beside it; the page needs no other file.

    Args:
        record: the record, see ``ldseg.outputs.Outputs``.
        found: what it holds, see ``ldseg.evaluation.conditions.document``.
        title: what the test shows.
        columns: what the conditions have beside their Dice, each with its text.
        note: what these are.

    Returns:
        The path of the page.

    Raises:
        DataError: the page cannot be written.
    """
    several = found["classes"][1:] if len(found["classes"]) > 2 else []
    rows = []
    intervals = any(interval(condition["foreground"]["interval"]) != "–" for condition in found["conditions"])
    for condition in found["conditions"]:
        whole, own = condition["foreground"], condition["classes"]
        scores = [number(whole["mean"]), *([interval(whole["interval"])] if intervals else []), str(whole["n"])]
        several_scores = [number(own[name]["mean"]) for name in several]
        rows.append([*(shown(condition[name]) for name, shown in columns.items()), *scores, *several_scores])
    changed = {
        f"{section}.{key}": found["config"].get(section, {}).get(key, default)
        for section, keys in Config().to_dict().items()
        for key, default in keys.items()
        if found["config"].get(section, {}).get(key, default) != default
    }
    elsewhere = ("config", "conditions", "classes", "problems", "doubts", "format")
    facts = {key: value for key, value in found.items() if key not in elsewhere}
    page = render(
        "trial.html",
        title=title,
        dataset=found["config"]["Data"]["Dataset"],
        weights=found["weights"],
        cases=counted(len({case for condition in found["conditions"] for case in condition["cases"]}), "case"),
        header=[*(_heading(name) for name in columns), "Dice", *(["95 % interval"] if intervals else []), "Cases", *several],
        rows=rows,
        intervals=intervals,
        note=note,
        figure=Pictures(MAX_BYTES).take(record.with_suffix(".png"), WIDTH),
        problems=found["problems"],
        doubts=found.get("doubts", ()),
        facts={key.replace("_", " "): words(value) for key, value in flat(facts).items()},
        changed={key: words(value) for key, value in changed.items()},
    )
    return write_text(record.with_suffix(".html"), page)


def _heading(name: str) -> str:
    """What a column is called; a letter stays as equations have it."""
    words_of = name.replace("_", " ")
    return words_of if len(name) == 1 else words_of[0].upper() + words_of[1:]
