"""How far the masks of a run can be trusted: maps of uncertainty, calibration, distance from several annotators."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ldseg import viz
from ldseg.base.spatial import IGNORE
from ldseg.base.text import json_text, number
from ldseg.base.writing import remove, write_text
from ldseg.config import SamplerConfig
from ldseg.data.cases import Case, load_annotations
from ldseg.data.preprocess import Preprocessing
from ldseg.evaluation import Calibration, energy_distance
from ldseg.inference import Segmented
from ldseg.io.scans import map_path, write_scan_map
from ldseg.outputs import MAPS, Outputs


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
        unions = preprocessing.unions
        if len(item.case.annotations) > 1:
            given = load_annotations(item.case, item.loaded, preprocessing)
            drawn = mask[np.newaxis] if item.members is None else item.members
            said = (given != IGNORE).all(axis=0)
            if said.any():
                self.distances[item.case.name] = energy_distance(
                    drawn[:, said], given[:, said], preprocessing.num_classes, unions
                )
        if item.loaded.label is not None:
            assert item.probabilities is not None
            if unions:
                self.calibration.add_regions(item.probabilities, mask, item.loaded.label, unions)
            else:
                self.calibration.add(item.probabilities, item.entropy, mask, item.loaded.label)

    def take(self, other: Trust) -> None:
        """Take in what another one has gathered."""
        self.calibration.take(other.calibration)
        self.distances.update(other.distances)

    def write(self, outputs: Outputs, sampler: SamplerConfig, *, pictures: bool) -> list[str]:
        """Write ``calibration.json`` and, with `pictures`, its picture, if there was a label, and say what they hold.

        What is not written is removed, if an earlier run left it.
        """
        if not self.calibration.cases:
            for path in (outputs.calibration, outputs.calibration.with_suffix(".png")):  # of an earlier run
                remove(path)
            return []
        report = {"samples": sampler.members, "fusion": sampler.fusion, **self.calibration.report()}
        ece, auroc = number(report["ece"]), number(report["auroc"])
        lines = [f"Calibration error (ECE) {ece}, errors ranked by uncertainty (AUROC) {auroc}: calibration.json"]
        if self.distances:
            mean = float(np.mean(list(self.distances.values())))
            report["energy_distance"] = {"mean": mean, "cases": self.distances}
            lines.append(f"Generalised energy distance from the annotators: {number(mean)}")
        write_text(outputs.calibration, json_text(report))
        picture = outputs.calibration.with_suffix(".png")
        if pictures:
            viz.save_image(viz.calibration_picture(report), picture)
        else:
            remove(picture)
        return lines


def remove_uncertainty(outputs: Outputs, case: Case) -> None:
    """Remove maps and picture of a case from an earlier run: they do not belong to the mask of this one."""
    for kind in MAPS:
        remove(map_path(outputs.folder, case.name, kind, case.image))
    remove(outputs.uncertainty(case.name))


def write_maps(outputs: Outputs, item: Segmented) -> None:
    """Write the maps ``<case>_entropy`` and ``<case>_variance``.

    Raises:
        DataError: a file cannot be written.
    """
    assert item.loaded is not None
    assert item.variance is not None
    for kind, values in zip(MAPS, (item.entropy, item.variance), strict=True):
        like, geometry = item.case.image, item.loaded.geometry
        write_scan_map(outputs.folder, item.case.name, kind, values, like=like, geometry=geometry)
