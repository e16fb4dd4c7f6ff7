"""What every run with trained weights begins with: settings settled by the weights, cases, networks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ldseg.base.options import AUTO
from ldseg.base.paths import require_folder
from ldseg.base.remote import is_remote, url_of
from ldseg.base.shards import Shard
from ldseg.base.spatial import AXES
from ldseg.base.text import counted
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.data.inputs import cases_of
from ldseg.data.preprocess import Preprocessing
from ldseg.description import Description, read_description, read_network
from ldseg.errors import DataError, WeightsError
from ldseg.evaluation.quality import Quality
from ldseg.inference import Engine
from ldseg.inference.opening import Opened, open_weights
from ldseg.io.contract import one_line
from ldseg.model import BATCH, available
from ldseg.outputs import SEGMENTATION
from ldseg.published import find_weights

logger = logging.getLogger(__name__)

FIXED = (
    "NoiseScheduler.Beta_0",
    "NoiseScheduler.Beta_T",
    "NoiseScheduler.Scheduler",
    "NoiseScheduler.Timesteps",
    "Data.Dimensions",
    "Data.Size",
    "Data.Fit",
    "Data.Zoom",
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
    "Model.Outline",
)
"""Settings that trained weights fix."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set, and the weights to segment it with.

    Attributes:
        config: the settings, with what the weights fix.
        cases: those that the settings name.
        problems: what else is wrong with the data set, one line each.
        opened: the weights, read by an engine.
    """

    config: Config
    cases: tuple[Case, ...]
    problems: tuple[str, ...]
    opened: Opened

    @property
    def description(self) -> Description:
        """Of the weights."""
        return self.opened.description

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """Of the cases, with the rule for their labels."""
        data = self.config.data
        return self.description.preprocessing_for(data.labels, data.label_map, data.sparse, data.regions)

    @property
    def quality(self) -> Quality | None:
        """What tells the Dice of a mask without a label; None where other regions are measured than it was fitted to."""
        known = self.preprocessing.regions == self.description.preprocessing.regions
        return self.description.quality if known else None

    def labelled(self) -> tuple[Case, ...]:
        """The cases with a label; how many have none is said.

        Raises:
            DataError: if there is none with a label.
        """
        found = _labelled(self.cases, self.config.dataset_folder)
        if len(found) < len(self.cases):
            logger.info("left out, as they have no label: %s", counted(len(self.cases) - len(found), "case"))
        return found

    def predictor(self, **changes: Any) -> Engine:
        """The engine that draws masks as the settings ask for, or with other options of ``Engine``."""
        sampler = self.config.sampler
        settings: dict[str, Any] = {
            "sampler": sampler.sampler,
            "steps": sampler.sampling_steps,
            "flips": sampler.flips,
            "samples": sampler.samples,
            "at_once": self.config.parameters.batch_size,
            **({"folds": sampler.folds} if self.description.folds else {}),
        }
        return self.opened.engine(**settings | changes)


def _labelled(cases: Sequence[Case], folder: Path) -> tuple[Case, ...]:
    found = tuple(case for case in cases if case.label is not None)
    if not found:
        raise DataError(f"{folder}: expected cases with a label, found {len(cases)} without")
    return found


def begin(
    config: Config,
    paths: Sequence[Path] = (),
    *,
    engine: str | None = None,
    anywhere: bool = False,
    labelled: bool = False,
    purpose: str = "",
) -> Task:
    """Find the cases and load the weights.

    Args:
        config: the settings.
        paths: files and folders to take in place of the data set of the settings.
        engine: to take in place of that of the settings.
        anywhere: whether cases may lie in an object store.
        labelled: whether there has to be a case with a label.
        purpose: what needs one network and no ensemble, in words.

    Raises:
        LDSegError: the weights or the data set cannot be used.
    """
    if paths:
        # Files from anywhere have no folder of their own for results: those go to where the run was started.
        config = config if config.output.folder else config.with_values({"Output.Folder": SEGMENTATION})
    elif not (anywhere and is_remote(config.dataset_folder)):
        require_folder(config.dataset_folder, "a data set there")  # said before that there are no weights for it
    config = config.with_values({"Model.Weights": str(_weights(config))})
    description = read_network(config.weights_folder, purpose) if purpose else read_description(config.weights_folder)
    config = settle(config, description)
    axes, patterns = AXES[config.data.dimensions], config.data.cases
    found = cases_of(paths or [config.dataset_folder], axes, patterns)
    asked, precision = engine or config.gpu.engine, config.gpu.precision
    several = config.gpu.multiple and engine is None  # who names one looks into it
    cases, problems = found.cases, found.problems
    if labelled:
        _labelled(cases, config.dataset_folder)
    if not anywhere and (far := next((case for case in cases if is_remote(case.image)), None)):
        raise DataError(f"{url_of(far.image)}: expected an image on this machine; ldseg segment alone reads object stores")
    if config.data.shard:
        shard = Shard.of_text(config.data.shard)
        cases = shard.of(cases)
        problems = problems if shard.index == 1 else ()  # those of the data set are told once
        if not cases:
            raise DataError(f"Data.Shard: expected at most {len(found.cases)} shares of as many cases, got {shard}")
    # Last: this may import Keras, which takes seconds.
    opened = open_weights(config.weights_folder, asked, precision=precision, description=description, multiple=several)
    task = Task(config=config, cases=cases, problems=problems, opened=opened)
    for line in task.description.doubts:
        logger.warning("%s: %s", config.weights_folder, line)
    return task


def _weights(config: Config) -> Path:
    """The weights of the settings: a folder, or the name of weights that come with LDSeg."""
    if config.model.weights:
        return find_weights(config.model.weights)
    own, shipped = config.weights_folder, available()
    return own if own.exists() or config.data.dataset not in shipped else shipped[config.data.dataset]


def settle(config: Config, description: Description) -> Config:
    """The settings with what the weights fix; a value that was set differently is named in a warning.

    What stands in the file as it was shipped was not set: it is a default, or leaves the choice to the weights. What an
    override says was set, unless it leaves the choice.
    """
    try:
        trained, defaults = Config.from_dict(description.training), Config()
    except (AttributeError, TypeError, ValueError) as error:  # values that others wrote
        raise WeightsError(f"{config.weights_folder}: the settings of its training: {one_line(error)}") from error
    config = _sampled(config, description)
    changes = {name: trained.value(name) for name in FIXED}
    for name, value in changes.items():
        chosen = config.value(name)
        open_to_all = (AUTO, ()) if name in config.overridden else (AUTO, (), defaults.value(name))
        if name in config.explicit and chosen not in (value, *open_to_all):
            logger.warning("%s = %s is not used: the weights were trained with %s", name, _shown(chosen), _shown(value))
    colours = config.data.colours or trained.data.colours
    codes = config.data.codes or trained.data.codes
    batch = BATCH if config.parameters.batch_size == AUTO else config.parameters.batch_size
    regions = config.data.regions or description.preprocessing.regions
    own = {
        "Data.Colours": colours,
        "Data.Codes": codes,
        "Data.Regions": regions,
        "Data.Patch": (),
        "Parameters.BatchSize": batch,
    }
    return config.with_values({**changes, **own})


def _sampled(config: Config, description: Description) -> Config:
    """The settings with the steps and masks of the weights, where they leave them open."""
    sampler = config.sampler
    folds = description.folds_asked(sampler.folds)
    found: dict[str, int] = {}
    if sampler.sampling_steps == AUTO:
        found["Sampler.Sampling_Steps"] = description.steps
    if sampler.samples == AUTO:
        found["Sampler.Samples"] = description.samples
    elif description.spec.control and int(sampler.samples) > 1:
        logger.warning("Sampler.Samples = %d is not used: all masks of a control are the same", sampler.samples)
        found["Sampler.Samples"] = 1
    if description.sampling and found:
        logger.info("as the weights say: %s", ", ".join(f"{name} = {value}" for name, value in found.items()))
    if description.folds:
        logger.info("%d of %d folds as one ensemble", folds, len(description.folds))
        found["Sampler.Folds"] = folds
    return config.with_values(found)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
