"""[Model] Preset = auto: the networks that the machine can train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ldseg.base.options import AUTO
from ldseg.config import Config
from ldseg.training.choices import Reason
from ldseg.training.cost import Machine, this_machine

LEAN, PUBLISHED, TINY = "lean", "B", "tiny"
"""What auto stands for: of LDSeg and its control; of MedSegDiff on a GPU, and on a processor."""

NEEDS = (
    "as published, MedSegDiff is --set Model.Preset=B: 163 million weights at 256×256, trained for 100,000 updates of 32 "
    "images on GPUs"
)

WITHIN_REACH: dict[str, tuple[object, str]] = {
    "Model.Prediction": ("x0", "the clean mask is learnt in minutes, its noise is not"),
    "Model.DynamicConditioning": (False, "half the time of an update, and as good in short trainings"),
    "NoiseScheduler.Scheduler": ("cosine", "suits few steps"),
    "Parameters.LearningRate": (1e-3, "small networks bear a high one"),
}
"""For MedSegDiff on a processor, in place of what it was published with: values and why."""


def with_preset(
    config: Config, before: Mapping[str, Any] | None = None, machine: Machine | None = None
) -> tuple[Config, tuple[Reason, ...]]:
    """The settings with a preset, where they leave it open, and why it is that one.

    A MedSegDiff on a processor takes what can be learnt there in minutes, also in place of what a settings file says of
    these few; what the command line says of them stays.

    Args:
        config: the settings.
        before: what the checkpoint says of the training that goes on: it keeps what it began with.
        machine: the machine at hand, unless given.
    """
    if config.model.preset != AUTO:
        return config, ()
    if before:
        begun = Config.from_dict(before["settings"])
        names = [name for name in ("Model.Preset", *WITHIN_REACH) if name not in config.overridden]
        return config.with_values({name: begun.value(name) for name in names}), ()
    if config.model.architecture != "MedSegDiff":
        return _taken(config, {"Model.Preset": (LEAN, "faster and more accurate than the published networks")})
    if (machine or this_machine()).gpu:
        return _taken(config, {"Model.Preset": (PUBLISHED, "as published, on a GPU")})
    wanted = {name: value for name, value in WITHIN_REACH.items() if name not in config.overridden}
    config, reasons = _taken(config, {"Model.Preset": (TINY, "what a processor trains in minutes"), **wanted})
    return config, (*reasons, Reason(why=NEEDS))


def _taken(config: Config, values: Mapping[str, tuple[object, str]]) -> tuple[Config, tuple[Reason, ...]]:
    reasons = tuple(Reason(name=name, value=value, why=why) for name, (value, why) in values.items())
    return config.with_values({reason.name: reason.value for reason in reasons}), reasons
