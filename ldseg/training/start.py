"""Weights that a training starts from: which they are, and what they decide of the settings. Needs no Keras."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldseg.base.spatial import AXES
from ldseg.config import Config
from ldseg.description import Description, read_network
from ldseg.errors import ConfigError
from ldseg.models import Preset
from ldseg.published import find_weights

logger = logging.getLogger(__name__)

SETTINGS = (
    "NoiseScheduler.Beta_0",
    "NoiseScheduler.Beta_T",
    "NoiseScheduler.Scheduler",
    "NoiseScheduler.Timesteps",
    "Model.Architecture",
    "Model.Preset",
    "Model.Prediction",
    "Model.DynamicConditioning",
    "Model.FFParser",
)
"""Settings that the weights to start from decide: they say what the networks are and what their denoiser knows."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights to start from.

    Attributes:
        folder: where they lie.
        description: what they are.
    """

    folder: Path
    description: Description


def start_of(config: Config, preset: Preset | None = None) -> Start | None:
    """The weights that ``[Model] Start`` names, if any.

    Args:
        config: the settings.
        preset: that of the networks, where it is one of the user's own.

    Raises:
        ConfigError: they are for images of other axes.
        WeightsError: there are none, or they cannot be used.
    """
    if not config.model.start:
        return None
    folder = find_weights(config.model.start)
    description = read_network(folder, "[Model] Start", preset)
    wanted, given = AXES[config.data.dimensions], description.spec.axes
    if given != wanted:
        named = {axes: name for name, axes in AXES.items()}
        raise ConfigError(
            f"Model.Start: expected weights for {config.data.dimensions} images as [Data] Dimensions says, "
            f"{config.model.start} has some for {named[given]}"
        )
    return Start(folder=folder, description=description)


def with_start(config: Config, training: Mapping[str, Mapping[str, Any]]) -> Config:
    """The settings with what the weights to start from decide; one that was set differently is named in a warning.

    Args:
        config: the settings.
        training: those that the weights were trained with, by section and key.
    """
    trained = Config.from_dict(training)
    settled = config.with_values({name: trained.value(name) for name in SETTINGS})
    for name in SETTINGS:
        if name in config.explicit and config.value(name) not in (settled.value(name), Config().value(name)):
            value, start = config.value(name), config.model.start
            logger.warning("%s = %s is not used: the networks of %s have %s", name, value, start, settled.value(name))
    return settled
