"""The report of a test under several conditions: one page of HTML beside its record, its table and its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ldseg.config import Config
from ldseg.text import counted, interval, number
from ldseg.viz.report.embed import Pictures
from ldseg.viz.report.records import flat, words
from ldseg.viz.report.rendering import render
from ldseg.writing import write_text

MAX_BYTES = 4_000_000
WIDTH = 1000


def write_trial_report(record: Path, found: Mapping[str, Any], title: str, columns: Sequence[str]) -> Path:
    """Write ``<record>.html`` from the record of a test and the figure beside it; the page needs no other file.

    Args:
        record: the record, see ``ldseg.outputs.Outputs``.
        found: what it holds, see ``ldseg.evaluation.conditions.document``.
        title: what the test shows.
        columns: what the conditions have beside their Dice.

    Returns:
        The path of the page.

    Raises:
        DataError: the page cannot be written.
    """
    several = found["classes"][1:] if len(found["classes"]) > 2 else []
    rows = []
    for condition in found["conditions"]:
        whole, own = condition["foreground"], condition["classes"]
        scores = [number(whole["mean"]), interval(whole["interval"]), str(whole["n"])]
        rows.append(
            [*(_cell(condition[name]) for name in columns), *scores, *(number(own[name]["mean"]) for name in several)]
        )
    changed = {
        f"{section}.{key}": found["config"].get(section, {}).get(key, default)
        for section, keys in Config().to_dict().items()
        for key, default in keys.items()
        if found["config"].get(section, {}).get(key, default) != default
    }
    facts = {key: value for key, value in found.items() if key not in ("config", "conditions", "classes", "problems")}
    page = render(
        "trial.html",
        title=title,
        dataset=found["config"]["Data"]["Dataset"],
        weights=found["weights"],
        cases=counted(len({case for condition in found["conditions"] for case in condition["cases"]}), "case"),
        header=[*(name.replace("_", " ") for name in columns), "Dice", "95 % interval", "cases", *several],
        rows=rows,
        figure=Pictures(MAX_BYTES).take(record.with_suffix(".png"), WIDTH),
        problems=found["problems"],
        facts={key: words(value) for key, value in flat(facts).items()},
        changed={key: words(value) for key, value in changed.items()},
    )
    return write_text(record.with_suffix(".html"), page)


def _cell(value: Any) -> str:
    """A condition, or a figure of one."""
    return number(value["mean"]) if isinstance(value, Mapping) else words(value)
