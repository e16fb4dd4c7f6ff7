"""``Training = False``: segment every case of a data set."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ldseg.cli.facts import facts_of
from ldseg.cli.pictures import draw_diffusion, draw_overlay
from ldseg.cli.table import number, side_by_side, table
from ldseg.cli.trust import Trust, write_uncertainty
from ldseg.config import Config
from ldseg.data.cases import LoadedCase, find_cases
from ldseg.data.scans import write_scan_mask
from ldseg.diffusion import step_grid
from ldseg.errors import DataError
from ldseg.evaluation import CaseResult, class_scores, foreground, object_scores, summarise, write_metrics
from ldseg.evaluation.collapse import Collapse
from ldseg.evaluation.compare import read_run
from ldseg.inference import Predictor, Segmented, label_instances, segment_cases
from ldseg.segmenter import Segmenter
from ldseg.spatial import AXES
from ldseg.viz import save_figure, schedule_figure
from ldseg.viz.page import write_report
from ldseg.weights import Description, load_segmenter, read_description
from ldseg.writing import claim_folder

logger = logging.getLogger(__name__)

FIXED = (
    "NoiseScheduler.Beta_0",
    "NoiseScheduler.Beta_T",
    "NoiseScheduler.Scheduler",
    "NoiseScheduler.Timesteps",
    "Data.Dimensions",
    "Data.Size",
    "Data.Fit",
    "Data.Spacing",
    "Data.Channels",
    "Data.Classes",
    "Data.Intensity",
    "Data.Window",
    "Model.Architecture",
    "Model.Preset",
    "Model.Prediction",
    "Model.DynamicConditioning",
    "Model.FFParser",
)
"""Settings that trained weights fix."""

COLUMNS = {"dice": 4, "iou": 4, "hd95": 2}
"""Metrics on the screen, and their digits after the point."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run over a data set: the settings, the weights, where things go, and the runs that it is compared with."""

    config: Config
    predictor: Predictor
    description: Description
    folder: Path
    compared: Mapping[str, dict[str, Any]]
    trust: Trust = field(default_factory=Trust)

    @cached_property
    def collapse(self) -> Collapse:
        """What its masks have in common that they should not."""
        return Collapse(self.description.preprocessing.classes, self.predictor.segmenter.strides)


def run(config: Config) -> int:
    """Segment the cases that the settings name and write what the settings ask for.

    Returns:
        the number of problems: cases skipped, labels without an image.

    Raises:
        LDSegError: if nothing can be done.
    """
    started = time.perf_counter()
    config = settle(config, read_description(config.weights_folder))
    found = find_cases(config.dataset_folder, config.data.cases, axes=AXES[config.data.dimensions])
    segmenter, description = load_segmenter(config.weights_folder)
    names, sampler = description.preprocessing.classes, config.sampler
    compared = {other: read_run(Path(other).expanduser(), names) for other in config.output.compare}
    predictor = predictor_of(config, segmenter)
    this = Run(config=config, predictor=predictor, description=description, folder=config.output_folder, compared=compared)
    claim_folder(this.folder, "[Output] Folder")
    schedule = description.spec.schedule
    grid = step_grid(schedule.timesteps, sampler.sampling_steps)
    save_figure(schedule_figure(schedule.alpha_bar, grid, schedule.name), this.folder / "schedule.png")

    segmented = segment_cases(
        predictor,
        found.cases,
        description.preprocessing_for(config.data.labels, config.data.label_map),
        batch_size=config.parameters.batch_size,
        seed=sampler.seed,
        sigma=sampler.sigma,
        fusion=sampler.fusion,
    )
    results: list[CaseResult] = []
    drawn = 0
    for item in tqdm(segmented, total=len(found.cases), desc="segmenting", unit="case"):
        draw = item.problem == "" and drawn < config.output.diffusion
        drawn += draw
        results.append(_finish(this, item, draw))
    _report(this, results, found.problems, time.perf_counter() - started)
    return sum(result.status == "skipped" for result in results) + len(found.problems)


def predictor_of(config: Config, segmenter: Segmenter) -> Predictor:
    """The compiled predictor that the settings ask for."""
    sampler = config.sampler
    predictor = Predictor(
        segmenter,
        sampler=sampler.sampler,
        steps=sampler.sampling_steps,
        flips=sampler.flips,
        samples=sampler.samples,
        at_once=config.parameters.batch_size,
    )
    predictor.compile()
    return predictor


def settle(config: Config, description: Description) -> Config:
    """The settings with what the weights fix; a value that was set differently is named in a warning.

    What stands in the file as it was shipped was not set: it is a default, or leaves the choice to the weights.
    """
    trained, defaults = Config.from_dict(description.training), Config()
    changes = {name: trained.value(name) for name in FIXED}
    for name, value in changes.items():
        chosen = config.value(name)
        if name in config.explicit and chosen not in (value, defaults.value(name)):
            logger.warning("%s = %s is not used: the weights were trained with %s", name, _shown(chosen), _shown(value))
    colours = config.data.colours or trained.data.colours
    return config.with_values({**changes, "Data.Colours": colours, "Data.Patch": ()})


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _finish(this: Run, item: Segmented, draw: bool) -> CaseResult:
    """Write what belongs to one case. A case that cannot be finished is reported, the others go on."""
    name, loaded = item.case.name, item.loaded
    if item.problem or loaded is None:
        logger.error("skipped %s: %s", name, item.problem)
        return CaseResult(name=name, status="skipped", message=item.problem, seconds=item.seconds)
    mask = item.mask
    numbered = label_instances(mask) if this.config.output.masks == "instances" else mask
    try:
        path = write_scan_mask(this.folder, name, numbered, like=item.case.image, geometry=loaded.geometry)
        names, colours = this.description.preprocessing.classes, this.config.data.colours
        if this.config.output.overlay:
            draw_overlay(this.folder / "Overlay", item, numbered, this.description.spec.axes, names, colours)
        if item.members is not None:
            write_uncertainty(this.folder, item, numbered, this.description.spec.axes, colours)
        if draw:
            seed, preprocessing = this.config.sampler.seed, this.description.preprocessing
            draw_diffusion(this.folder / "Diffusion", item, this.predictor, preprocessing, seed, names, colours)
        data = this.config.data
        this.trust.add(item, mask, this.description.preprocessing_for(data.labels, data.label_map))
        this.collapse.add(mask, loaded.label, this.description.preprocessing.grid_of(loaded.size, loaded.spacing))
    except DataError as error:
        logger.error("skipped %s: %s", name, error)
        return CaseResult(name=name, status="skipped", message=str(error), seconds=item.seconds)
    entropy = float(item.entropy.mean())
    return CaseResult(name=name, mask=path, entropy=entropy, seconds=item.seconds, **_scores(this, loaded, mask))


def _scores(this: Run, loaded: LoadedCase, mask: np.ndarray) -> dict[str, Any]:
    """What `CaseResult` takes of a mask and its label."""
    spec = this.description.spec
    common: dict[str, Any] = {"spacing": loaded.spacing, "frames": spec.axes.startswith("T")}
    scores: dict[str, Any] = {"unit": "pixels" if loaded.spacing is None else "mm"}
    if loaded.label is not None:
        tolerance = this.config.evaluation.tolerance
        scores["scores"] = class_scores(mask, loaded.label, spec.classes, tolerance=tolerance, **common)
    if loaded.instances is not None:
        scores["objects"] = object_scores(label_instances(mask), loaded.instances, **common)
    return scores


def _report(this: Run, results: list[CaseResult], problems: tuple[str, ...], seconds: float) -> None:
    names = this.description.preprocessing.classes
    facts = {**facts_of(this.config, this.description), "problems": list(problems), "seconds": round(seconds, 2)}
    summary = summarise(results, names)
    write_metrics(this.folder, results, names, facts)
    several = names[1:] if len(names) > 2 else ()
    objects = ["object_f1"] if "object_f1" in summary["objects"] else []
    rows = []
    for result in results:
        cells = [number(foreground(result.scores.get(metric)), digits) for metric, digits in COLUMNS.items()]
        by_class = result.scores["dice"][1:] if several and result.scores else (None,) * len(several)
        cells += [number(value) for value in (*by_class, *(result.objects.get(metric) for metric in objects))]
        rows.append([result.name, *cells, number(result.seconds, 2) if result.status == "ok" else "skipped"])
    if summary["scored"]:
        for kind in ("mean", "std"):
            cells = [number(summary[metric]["foreground"][kind], digits) for metric, digits in COLUMNS.items()]
            cells += [number(summary["dice"]["classes"][name][kind]) for name in several]
            cells += [number(summary["objects"][metric][kind]) for metric in objects]
            rows.append([kind, *cells, ""])
    print(table(["case", "Dice", "IoU", "HD95", *several, *("F1" for _ in objects), "seconds"], rows))
    if summary["scored"]:
        print(f"HD95 in {summary['unit']}. The other metrics, with intervals and the worst cases: metrics.json")
    if several and summary["scored"]:
        print("Dice, IoU and HD95: mean of the classes; then the Dice of each.")
    if this.collapse.said:
        print(f"Look at the masks: {this.collapse.said}.")
    for line in [*this.trust.write(this.folder, this.config.sampler), *side_by_side(read_run(this.folder), this.compared)]:
        print(line)
    if this.config.output.report:
        write_report(this.folder, this.compared)
    skipped = sum(result.status == "skipped" for result in results)
    print(f"\n{len(results) - skipped} segmented, {skipped} skipped, in {seconds:.1f} s. Written to {this.folder}")
    for line in [*problems, *(result.message for result in results if result.status == "skipped")]:
        print(f"problem: {line}")
