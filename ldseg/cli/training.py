"""``Training = True``: train, and show how it went."""

from __future__ import annotations

from ldseg.cli.table import table
from ldseg.config import Config
from ldseg.evaluation.text import number
from ldseg.training import TrainingResult, train
from ldseg.viz import save_figure, training_curves_figure

SHOWN = 10


def run(config: Config) -> int:
    """Train as the settings say; the curves are drawn anew after each validation.

    Returns:
        the number of problems: cases left out.

    Raises:
        LDSegError: if nothing can be done.
    """

    def draw(result: TrainingResult) -> None:
        save_figure(training_curves_figure(result.history), result.logs / "curves.png")

    result = train(config, watch=draw)
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
