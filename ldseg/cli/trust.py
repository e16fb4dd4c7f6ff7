"""How far the masks of a run can be trusted: maps of uncertainty, calibration, distance from several annotators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ldseg.config import SamplerConfig
from ldseg.data.cases import Case, load_annotations
from ldseg.data.preprocess import Preprocessing
from ldseg.evaluation import Calibration, energy_distance
from ldseg.inference import Segmented
from ldseg.io.scans import map_path, write_scan_map
from ldseg.text import json_text, number
from ldseg.viz import CLASS_COLOURS, calibration_figure, save_figure, uncertainty_figure
from ldseg.writing import remove, write_text


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What is gathered case by case: the calibration, and by case the distance from its annotators."""

    calibration: Calibration = field(default_factory=Calibration)
    distances: dict[str, float] = field(default_factory=dict)

    def add(self, item: Segmented, mask: np.ndarray, preprocessing: Preprocessing) -> None:
        """Take in a segmented case; one without label says nothing.

        Raises:
            DataError: if the label of an annotator cannot be used.
        """
        assert item.loaded is not None
        assert item.probabilities is not None
        if len(item.case.annotations) > 1:
            given = load_annotations(item.case, item.loaded, preprocessing)
            drawn = mask[np.newaxis] if item.members is None else item.members
            self.distances[item.case.name] = energy_distance(drawn, given, preprocessing.num_classes)
        if item.loaded.label is not None:
            self.calibration.add(item.probabilities, item.entropy, mask, item.loaded.label)

    def write(self, folder: Path, sampler: SamplerConfig) -> list[str]:
        """Write ``calibration.json`` and ``calibration.png``, if there was a label, and say what they hold."""
        if not self.calibration.cases:
            return []
        report = {"samples": sampler.samples, "fusion": sampler.fusion, **self.calibration.report()}
        ece, auroc = number(report["ece"]), number(report["auroc"])
        lines = [f"Calibration error (ECE) {ece}, errors ranked by uncertainty (AUROC) {auroc}: calibration.json"]
        if self.distances:
            mean = float(np.mean(list(self.distances.values())))
            report["energy_distance"] = {"mean": mean, "cases": self.distances}
            lines.append(f"Generalised energy distance from the annotators: {number(mean)}")
        write_text(folder / "calibration.json", json_text(report))
        save_figure(calibration_figure(report), folder / "calibration.png")
        return lines


MAPS = "entropy", "variance"


def _picture(folder: Path, case: Case) -> Path:
    return folder / "Uncertainty" / f"{case.name}_uncertainty.png"


def remove_uncertainty(folder: Path, case: Case) -> None:
    """Remove what `write_uncertainty` wrote of a case in an earlier run: it does not belong to the mask of this one."""
    for kind in MAPS:
        remove(map_path(folder, case.name, kind, case.image))
    remove(_picture(folder, case))


def write_uncertainty(folder: Path, item: Segmented, mask: np.ndarray, axes: str, colours: Sequence[str]) -> None:
    """The maps ``<case>_entropy`` and ``<case>_variance``, and ``Uncertainty/<case>_uncertainty.png``."""
    assert item.loaded is not None
    assert item.variance is not None
    name, entropy = item.case.name, item.entropy
    for kind, values in zip(MAPS, (entropy, item.variance), strict=True):
        write_scan_map(folder, name, kind, values, like=item.case.image, geometry=item.loaded.geometry)
    figure = uncertainty_figure(
        item.loaded.image,
        mask,
        entropy,
        item.variance,
        axes=axes,
        true=item.loaded.outlined,
        spacing=item.loaded.spacing,
        colours=colours or CLASS_COLOURS,
        title=name,
    )
    save_figure(figure, _picture(folder, item.case))
