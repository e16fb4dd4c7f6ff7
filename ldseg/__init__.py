"""LDSeg: segmentation of medical images by diffusion in a latent space.

>>> import ldseg
>>> model = ldseg.load("GlaS")
>>> result = model.segment("slide.png")
>>> result.mask

What the package offers is imported when it is first asked for, so that ``import ldseg`` is quick and touches no
deep-learning library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ldseg.version import __version__

if TYPE_CHECKING:
    from ldseg.errors import ConfigError, DataError, LDSegError, WeightsError
    from ldseg.evaluation.evaluate import Evaluation, evaluate
    from ldseg.model import Model, available, load, train
    from ldseg.result import Result

_PLACES = {
    "ConfigError": "ldseg.errors",
    "DataError": "ldseg.errors",
    "Evaluation": "ldseg.evaluation.evaluate",
    "LDSegError": "ldseg.errors",
    "Model": "ldseg.model",
    "Result": "ldseg.result",
    "WeightsError": "ldseg.errors",
    "available": "ldseg.model",
    "evaluate": "ldseg.evaluation.evaluate",
    "load": "ldseg.model",
    "train": "ldseg.model",
}
"""The module of each name that the package offers."""

__all__ = [
    "ConfigError",
    "DataError",
    "Evaluation",
    "LDSegError",
    "Model",
    "Result",
    "WeightsError",
    "__version__",
    "available",
    "evaluate",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
