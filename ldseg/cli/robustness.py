"""``Robustness = True``: how masks hold out as images are degraded more and more."""

from __future__ import annotations

import contextlib

import numpy as np

from ldseg.base.options import DEGRADATIONS
from ldseg.base.spatial import slice_name
from ldseg.base.writing import remove
from ldseg.cli.trials import Trial, prepared
from ldseg.config import Config
from ldseg.errors import DataError
from ldseg.evaluation import dice, foreground, scored
from ldseg.outputs import Outputs
from ldseg.viz import CLASS_COLOURS, DegradedFrame, robustness_figure, robustness_gif


def run(config: Config) -> int:
    """Segment the labelled cases under every strength of degradation and write ``Robustness/<kind>.*`` in the output folder.

    Of the first [Output] Diffusion cases an animation is drawn, ``Robustness/<case>_<kind>.gif``.

    Returns:
        the number of problems.

    Raises:
        LDSegError: if nothing can be done.
    """
    kind, sigmas = config.evaluation.noise, sorted(set(config.evaluation.sigmas))
    outputs = Outputs(config.output_folder)
    conditions = [{"sigma": sigma} for sigma in sigmas]
    with prepared(config, outputs.robustness(kind), conditions, noise=kind) as trial:
        return _degrade(trial, outputs, kind)


def _degrade(trial: Trial, outputs: Outputs, kind: str) -> int:
    """Segment what is left to be segmented, and return the number of problems."""
    config, sigmas = trial.task.config, trial.conditions
    classes, colours = trial.task.preprocessing.classes, trial.task.config.data.colours or CLASS_COLOURS
    gifs = {case.name: outputs.robustness_gif(case.name, kind) for case in trial.cases[: config.output.diffusion]}
    for path in sorted(outputs.robustness(kind).parent.glob(f"*_{kind}.gif")):
        if path not in gifs.values() and path.is_file():
            remove(path)  # an earlier run drew it
    unfinished = {case.name for case, _ in trial.left(trial.conditions)}
    drawn = [name for name, path in gifs.items() if name in unfinished or not path.exists()]
    frames: dict[str, list[DegradedFrame]] = {name: [] for name in drawn}
    for name in frames:
        with contextlib.suppress(OSError):  # what cannot be replaced either is told of then
            gifs[name].unlink()
    work = trial.left(trial.conditions, again=frames)
    for condition, item in trial.told(trial.segment(trial.task.predictor(), work), len(work)):
        name, loaded = item.case.name, item.loaded
        if name not in frames or loaded is None or loaded.label is None:
            continue
        score = foreground(list(scored(dice, item.mask, loaded.label, len(classes), trial.task.preprocessing.unions)))
        label = np.maximum(loaded.label, 0)  # shows nothing where it says nothing
        slices = slice_name(trial.task.description.spec.axes)
        frames[name].append(DegradedFrame.of(loaded.image, item.mask, label, condition["sigma"], score, slices))
        if len(frames[name]) == len(sigmas):
            try:
                robustness_gif(gifs[name], frames.pop(name), noise=kind, colours=colours, names=classes)
            except DataError as error:
                trial.skip(name, str(error))
    title = f"How masks hold out: {DEGRADATIONS[kind]}"
    return trial.write(
        {"sigma": "{:g}".format},
        robustness_figure,
        title,
        "Sigma: the strength of what was done to the images; 0 is the image as it is.",
    )
