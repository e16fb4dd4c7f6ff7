"""``Training = True``: train, and show how it went."""

from __future__ import annotations

import logging
import sys

from ldseg.cli.table import table
from ldseg.config import Config, load_config
from ldseg.group import Group
from ldseg.shipped import shipped_file
from ldseg.text import number
from ldseg.training.fit import TrainingResult
from ldseg.training.prepare import train_config
from ldseg.training.stop import TrainingStopped
from ldseg.viz import save_figure, training_curves_figure

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
        group: the processes that train together; the first one draws and prints.

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
    first = group is None or group.first
    try:
        result = train_config(config, watch=draw, group=group)
    except TrainingStopped as stop:
        if first:
            print(f"\n{stop}", file=sys.stderr)
        raise
    if not first:
        return len(result.problems)
    validated = [row for row in result.history if row.get("val_dice") is not None]
    rows = [
        [str(row["epoch"]), number(row.get("loss")), number(row["val_dice"]), number(row["val_iou"])]
        for row in validated[-SHOWN:]
    ]
    print(table(["epoch", "loss", "val Dice", "val IoU"], rows))
    best = max(validated, key=lambda row: row["val_dice"], default=None)
    if best is not None:
        print(f"\nbest: Dice {best['val_dice']:.4f} at epoch {best['epoch']}. Weights in {result.folder}")
    for line in result.problems:
        print(f"problem: {line}")
    return len(result.problems)
