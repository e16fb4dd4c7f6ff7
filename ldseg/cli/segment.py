"""``Training = False``: segment every case of a data set."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

import ldseg
from ldseg.cli.table import number, table
from ldseg.config import Config
from ldseg.data.cases import find_cases
from ldseg.data.scans import write_scan_mask
from ldseg.diffusion import step_grid
from ldseg.errors import DataError
from ldseg.evaluation.metrics import CaseResult, dice, iou, summarise, write_metrics
from ldseg.inference import Predictor, Segmented, Trajectory, label_instances, segment_cases
from ldseg.spatial import AXES
from ldseg.viz import (
    overlay,
    reverse_diffusion_figure,
    reverse_diffusion_gif,
    save_figure,
    save_image,
    schedule_figure,
)
from ldseg.weights import Description, load_segmenter

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
)
"""Settings that trained weights fix."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run over a data set: the settings, the weights and where things go."""

    config: Config
    predictor: Predictor
    description: Description
    folder: Path


def run(config: Config) -> int:
    """Segment the cases that the settings name and write what the settings ask for.

    Returns:
        the number of problems: cases skipped, labels without an image.

    Raises:
        LDSegError: if nothing can be done.
    """
    started = time.perf_counter()
    found = find_cases(config.dataset_folder, config.data.cases, axes=AXES[config.data.dimensions])
    segmenter, description = load_segmenter(config.weights_folder)
    config = settle(config, description)
    sampler = config.sampler
    predictor = Predictor(segmenter, sampler=sampler.sampler, steps=sampler.sampling_steps, flips=sampler.flips)
    predictor.compile()
    this = Run(config=config, predictor=predictor, description=description, folder=config.output_folder)
    _claim(this.folder)
    schedule = description.spec.schedule
    grid = step_grid(schedule.timesteps, sampler.sampling_steps)
    save_figure(schedule_figure(schedule.alpha_bar, grid, schedule.name), this.folder / "schedule.png")

    segmented = segment_cases(
        predictor,
        found.cases,
        description.preprocessing_for(config.data.labels),
        batch_size=config.parameters.batch_size,
        seed=sampler.seed,
        sigma=sampler.sigma,
    )
    results: list[CaseResult] = []
    drawn = 0
    for item in tqdm(segmented, total=len(found.cases), desc="segmenting", unit="case"):
        draw = item.problem == "" and drawn < config.output.diffusion
        drawn += draw
        results.append(_finish(this, item, draw))
    _report(this, results, found.problems, time.perf_counter() - started)
    return sum(result.status == "skipped" for result in results) + len(found.problems)


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


def _claim(folder: Path) -> None:
    """Make the output folder, and find out before the work whether it can be written."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{folder}: expected a folder that can be written, see [Output] Folder: {reason}") from error


def _finish(this: Run, item: Segmented, draw: bool) -> CaseResult:
    """Write what belongs to one case. A case that cannot be finished is reported, the others go on."""
    name, loaded = item.case.name, item.loaded
    if item.problem or loaded is None:
        logger.error("skipped %s: %s", name, item.problem)
        return CaseResult(name=name, status="skipped", message=item.problem, seconds=item.seconds)
    mask, classes = item.mask, this.description.spec.classes
    numbered = label_instances(mask) if this.config.output.masks == "instances" else mask
    try:
        path = write_scan_mask(this.folder, name, numbered, like=item.case.image, geometry=loaded.geometry)
        if this.config.output.overlay:
            picture = overlay(loaded.image, numbered, true=loaded.label)
            save_image(picture, this.folder / "Overlay" / f"{name}_overlay.png")
        if draw:
            _draw_diffusion(this, item)
    except DataError as error:
        logger.error("skipped %s: %s", name, error)
        return CaseResult(name=name, status="skipped", message=str(error), seconds=item.seconds)
    scores: dict[str, Any] = {}
    if loaded.label is not None:
        scores = {
            "dice": tuple(dice(mask, loaded.label, classes)),
            "iou": tuple(iou(mask, loaded.label, classes)),
        }
    return CaseResult(name=name, mask=path, seconds=item.seconds, **scores)


def _draw_diffusion(this: Run, item: Segmented) -> None:
    """The reverse diffusion of one case as a picture and as a GIF: latent and decoded mask, step by step."""
    assert item.loaded is not None
    predictor, preprocessing = this.predictor, this.description.preprocessing
    trajectory = Trajectory(predictor)
    trajectory.compile()
    image = preprocessing.image_to_grid(item.loaded.image)
    noise = predictor.draw_noise(this.config.sampler.seed, item.case.name)
    latents = np.asarray(trajectory.predict_on_batch({"image": image[None], "noise": noise[None]}))
    decoder = predictor.segmenter.label_decoder
    logits = np.concatenate([np.asarray(decoder.predict_on_batch(latent[None])) for latent in latents])
    masks = np.stack(
        [
            np.argmax(preprocessing.probabilities_to_case(_softmax(step), item.loaded.size), axis=-1).astype(np.int32)
            for step in logits
        ]
    )
    times = step_grid(predictor.segmenter.spec.schedule.timesteps, predictor.steps)
    stem = this.folder / "Diffusion" / item.case.name
    figure = reverse_diffusion_figure(latents, masks, times, item.loaded.image, title=item.case.name)
    save_figure(figure, stem.with_name(f"{stem.name}_diffusion.png"))
    reverse_diffusion_gif(stem.with_name(f"{stem.name}_diffusion.gif"), latents, masks, times, item.loaded.image)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _report(this: Run, results: list[CaseResult], problems: tuple[str, ...], seconds: float) -> None:
    names = this.description.preprocessing.classes
    facts = {
        "ldseg": ldseg.__version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "config": this.config.to_dict(),
        "weights": str(this.config.weights_folder),
        "weights_figures": this.description.figures,
        "problems": list(problems),
        "seconds": round(seconds, 2),
    }
    summary = summarise(results, names)
    write_metrics(this.folder, results, names, facts)
    rows = []
    for result in results:
        scores = [
            number(float(np.nanmean(values[1:])) if values is not None and np.isfinite(values[1:]).any() else None)
            for values in (result.dice, result.iou)
        ]
        rows.append([result.name, *scores, number(result.seconds, 2) if result.status == "ok" else "skipped"])
    if summary["scored"]:
        for kind in ("mean", "std"):
            rows.append(
                [kind, number(summary["dice"]["foreground"][kind]), number(summary["iou"]["foreground"][kind]), ""]
            )
    print(table(["case", "Dice", "IoU", "seconds"], rows))
    skipped = sum(result.status == "skipped" for result in results)
    print(f"\n{len(results) - skipped} segmented, {skipped} skipped, in {seconds:.1f} s. Written to {this.folder}")
    for line in [*problems, *(result.message for result in results if result.status == "skipped")]:
        print(f"problem: {line}")
