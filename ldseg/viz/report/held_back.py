"""Overlays and report of the cases that several folds hold back."""

from __future__ import annotations

from ldseg.base.folds import MEASURED
from ldseg.config import Config
from ldseg.data.preprocess import Preprocessing
from ldseg.evaluation.record import RunRecord
from ldseg.inference import Segmented
from ldseg.outputs import Outputs
from ldseg.viz.cases import Pictures
from ldseg.viz.report.page import write_report


class HeldBack:
    """What a training of several folds shows beside its record, as [Output] Overlay and Report say.

    Args:
        config: of the training.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.outputs = Outputs(config.weights_folder / MEASURED)

    def show(self, item: Segmented, preprocessing: Preprocessing) -> None:
        """Draw a case over its image.

        Raises:
            DataError: a file cannot be written.
        """
        if self.config.output.overlay:
            colours = self.config.data.colours
            pictures = Pictures(outputs=self.outputs, preprocessing=preprocessing, colours=colours)
            pictures.draw_overlay(item, item.mask)

    def write(self, record: RunRecord | None) -> None:
        """Write the report, where there is a record.

        Raises:
            DataError: the page cannot be written.
        """
        if record is not None and self.config.output.report:
            write_report(self.outputs.folder, record)
