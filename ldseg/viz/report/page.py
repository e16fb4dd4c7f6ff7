"""The report of a run: one page of HTML that holds all it shows, from the figures and pictures in the folder of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ldseg.base.folds import fold_folders
from ldseg.base.writing import write_text
from ldseg.evaluation.bootstrap import FEWEST
from ldseg.evaluation.compare import difference
from ldseg.evaluation.record import CaseResult, RunRecord
from ldseg.outputs import ROBUSTNESS, STATE_AUDIT, SWEEP, Outputs
from ldseg.viz.report.embed import Picture, Pictures
from ldseg.viz.report.many import LINES, MOST, SHOWN, rows_as_json
from ldseg.viz.report.records import (
    HEADLINES,
    columns,
    folds_of,
    members,
    regions_of,
    settings,
    statistics,
    strips,
    worst_first,
)
from ldseg.viz.report.rendering import render

MAX_BYTES = 12_000_000
"""Of all pictures of a page: the worst cases first, then the figures of the set, then the pictures of the table."""

WORST = 4
"""How many of the worst cases are shown large."""

THUMBNAIL, LARGE = 240, 800
"""Widths in pixels."""

OTHERS = {
    ROBUSTNESS: "Dice as the image gets worse",
    SWEEP: "Dice, time and memory by sampler and number of steps",
    STATE_AUDIT: "What the network takes from its state",
}
"""Figures that tests of the same weights leave in the folder of a run, and what they show."""

PER_KIND = 4
"""Most figures of each kind."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """The pictures of a case: its overlay, and its uncertainty where there are several masks."""

    overlay: Picture | None
    uncertainty: Picture | None


def write_report(folder: Path, run: RunRecord, compared: Mapping[str, RunRecord] | None = None) -> Path:
    """Write ``report.html`` into the folder of a run, from its record and its pictures.

    The page needs no other file and no network. Pictures that are not there are not missed. Of more than `MOST` cases the
    worst `SHOWN` stand in it as they do of few; the others are data, from which the page makes the rows that are looked
    at, with pictures from the folder of the run.

    Args:
        folder: of the run.
        run: its record.
        compared: other runs, by the name under which they are shown.

    Returns:
        The path of the page.

    Raises:
        DataError: the page cannot be written.
    """
    pictures, outputs = Pictures(MAX_BYTES), Outputs(folder)
    runs = {"This run": run, **(compared or {})}
    cases = worst_first(run.cases)
    large = {case.name: _views(outputs, run, case, pictures, LARGE) for case in cases[:WORST]}
    figures = list(_figures(outputs, run, pictures))
    shown_columns = columns(run, compared or {})
    overlay, uncertainty = run.config["Output"]["Overlay"], members(run.config) > 1
    many = len(cases) > MOST
    shown = cases[:SHOWN] if many else cases
    page = render(
        "report.html",
        folder=folder,
        run=run,
        headlines=HEADLINES,
        facts=run.facts,
        config=run.config,
        folds=folds_of(run.config),
        summary=run.summary,
        fewest=FEWEST,
        regions=regions_of(run),
        runs={name: (each, statistics(each)) for name, each in runs.items()},
        statistics=statistics(run),
        strips=strips(runs),
        settings=settings(runs),
        differences={name: difference(run, other) for name, other in (compared or {}).items()},
        cases=cases,
        shown=shown,
        rows=rows_as_json(cases, shown_columns, overlay, uncertainty) if many else "",
        lines=LINES,
        columns=shown_columns,
        large={name: views for name, views in large.items() if views.overlay or views.uncertainty},
        small={case.name: _views(outputs, run, case, pictures, THUMBNAIL) for case in shown},
        figures=figures,
        left_out=pictures.left_out,
    )
    return write_text(outputs.report, page)


def _views(outputs: Outputs, run: RunRecord, case: CaseResult, pictures: Pictures, width: int) -> Views:
    """Those that this run has made: an earlier one may have left others."""
    config, name, ok = run.config, case.name, case.ok
    return Views(
        overlay=pictures.take(outputs.overlay(name), width) if ok and config["Output"]["Overlay"] else None,
        uncertainty=pictures.take(outputs.uncertainty(name), width) if ok and members(config) > 1 else None,
    )


def _figures(outputs: Outputs, run: RunRecord, pictures: Pictures) -> Iterator[tuple[Picture, str]]:
    """The pictures of the set and what they show: of this run, of tests of its weights in its folder, of the training."""
    # Which cases were drawn, the pictures tell: those of other cases are removed.
    names = (case.name for case in run.segmented if outputs.diffusion(case.name).is_file())
    drawn = islice(names, min(run.config["Output"]["Diffusion"], PER_KIND))
    calibration = outputs.calibration.with_suffix(".png")
    wanted = [(calibration, "How far the probabilities can be believed")] if run.summary.scored else []
    if "csv" in run.config["Output"].get("Formats", ()):
        wanted += [(outputs.objects_table.with_suffix(".png"), "What was measured of the objects, by class")]
    wanted += [(outputs.schedule, "The noise schedule, and the steps that are taken")]
    wanted += [(outputs.diffusion(name), f"The way from noise to mask: {name}") for name in drawn]
    for kind, shows in OTHERS.items():
        wanted += [(path, shows) for path in islice(outputs.test_figures(kind, run.facts), PER_KIND)]
    weights = Path(run.facts["weights"])
    trained = {"the weights": weights, **{fold.name: fold for fold in islice(fold_folders(weights), PER_KIND)}}
    wanted += [(place / "training" / "curves.png", f"The training of {name}") for name, place in trained.items()]
    for path, shows in wanted:
        if picture := pictures.take(path, LARGE):
            yield picture, shows
