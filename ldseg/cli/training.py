"""``Training = True``: train, and show how it went."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from ldseg.base.folds import MEASURED
from ldseg.base.shipped import shipped_file
from ldseg.base.text import number, one_line
from ldseg.cli.table import table
from ldseg.config import Config, load_config
from ldseg.evaluation.record import RunRecord
from ldseg.group import Group
from ldseg.training.prepare import train_config
from ldseg.training.stop import TrainingStopped, ended_in_time, saying, terminated_as_interrupted
from ldseg.viz import save_figure, training_curves_figure
from ldseg.viz.report.held_back import HeldBack

if TYPE_CHECKING:
    from ldseg.training.fit import TrainingResult

logger = logging.getLogger(__name__)

SHOWN = 10

PUBLISHED = shipped_file("medsegdiff.ini")
"""The settings that MedSegDiff was published with."""

FREE = ("Model.Preset", "Parameters.BatchSize")
"""What it sets for a start only."""


def unlike_published(config: Config) -> list[str]:
    """The settings of a MedSegDiff that was published with others: each with the published value."""
    if config.model.architecture != "MedSegDiff":
        return []
    published = load_config(PUBLISHED)
    names = sorted(published.explicit.difference(FREE))
    return [f"{name} = {published.value(name)}" for name in names if config.value(name) != published.value(name)]


def run(config: Config, group: Group | None = None) -> int:
    """Train as the settings say; the curves are drawn anew after each validation.

    Args:
        config: the settings.
        group: the processes that train together; the first one draws, prints and tells the problems.

    Returns:
        the number of problems: cases left out.

    Raises:
        LDSegError: if nothing can be done.
        TrainingStopped: by Ctrl-C or SIGTERM, with what there is said.
    """

    def draw(result: TrainingResult) -> None:
        save_figure(training_curves_figure(result.history), result.logs / "curves.png")

    if others := unlike_published(config):
        logger.info("MedSegDiff was published with other settings (%s): %s", PUBLISHED.name, ", ".join(others))
    held_back, first = HeldBack(config), group is None or group.first

    def tell(text: str) -> None:
        if first:
            print(f"\n{text}", file=sys.stderr, flush=True)

    try:
        with terminated_as_interrupted(), ended_in_time(tell), saying(lambda: "stopped before the training began"):
            result = train_config(config, watch=draw, show=held_back.show, group=group)
    except TrainingStopped as stop:
        tell(str(stop))
        raise
    if not first:
        return 0
    if result.held_back is not None:
        held_back.write(result.held_back)
        _print_folds(result, result.held_back)
        return _problems(result)
    validated = [row for row in result.history if row.get("val_dice") is not None]
    rows = [
        [str(row["epoch"]), number(row.get("loss")), number(row["val_dice"]), number(row["val_iou"])]
        for row in validated[-SHOWN:]
    ]
    print(table(["epoch", "loss", "val Dice", "val IoU"], rows))
    best = max(validated, key=lambda row: row["val_dice"], default=None)
    if best is not None:
        print(f"\nbest: Dice {best['val_dice']:.4f} at epoch {best['epoch']}. Weights in {result.folder}")
    return _problems(result)


def _print_folds(result: TrainingResult, record: RunRecord) -> None:
    """A row for each fold, and what there is of all."""
    from ldseg.training.held_back import told  # with Keras, which is there by then

    facts, rows = record.facts["folds"], []
    for fold in result.folds:
        held, best = facts["held_back"][fold.folder.name], max(row.get("val_dice") or 0.0 for row in fold.history)
        dice, iou = (number(facts[metric][fold.folder.name]) for metric in ("dice", "iou"))
        rows.append([fold.folder.name, str(len(held)), str(fold.history[-1]["epoch"]), number(best), dice, iou])
    print(table(["fold", "held back", "epochs", "best val Dice", "Dice", "IoU"], rows))
    print(f"\n{told(record)}.")
    page = "report.html" if (result.folder / MEASURED / "report.html").is_file() else "metrics.json"
    print(f"{result.folder / MEASURED / page}. Weights, the folds as one ensemble, in {result.folder}")


def _problems(result: TrainingResult) -> int:
    cases = result.held_back.cases if result.held_back is not None else ()
    found = [*result.problems, *(case.message for case in cases if not case.ok)]
    for line in found:
        print(f"problem: {one_line(line)}")
    return len(found)
