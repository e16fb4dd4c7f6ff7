"""The settings: ``cfg.ini`` and ``--set`` in, frozen and validated dataclasses out.

A key is defined once, in its section's dataclass in `sections`: its name in the file, its default, and the
kind of value it takes (`kinds`). Reading (`reader`), checking, error messages and the round trip through JSON
(`settings`) follow from that one line; what a key means to the user is written in ``cfg.ini``.
"""

from ldseg.config.reader import load_config
from ldseg.config.sections import (
    DataConfig,
    EvaluationConfig,
    GPUConfig,
    ModelConfig,
    NoiseSchedulerConfig,
    OutputConfig,
    ParametersConfig,
    SamplerConfig,
    Section,
    SlidesConfig,
    TrainingConfig,
)
from ldseg.config.settings import KEYS, Config, Key

__all__ = [
    "KEYS",
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "GPUConfig",
    "Key",
    "ModelConfig",
    "NoiseSchedulerConfig",
    "OutputConfig",
    "ParametersConfig",
    "SamplerConfig",
    "Section",
    "SlidesConfig",
    "TrainingConfig",
    "load_config",
]
