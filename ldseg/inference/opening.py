"""Weights opened by one of the engines."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldseg.description import WEIGHTS_FILE, Description, read_description
from ldseg.engines import ENGINES
from ldseg.errors import WeightsError
from ldseg.inference.engine import Engine
from ldseg.models import Preset
from ldseg.options import AUTO
from ldseg.spec import SegmenterSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Weights that an engine has read.

    Attributes:
        kind: the engine, a name in ``ldseg.engines.ENGINES``.
        description: of the weights.
        version: the engine and its version, in words.
        make: from the options of ``Engine`` to an engine on these weights, which are read once.
    """

    kind: str
    version: str
    description: Description
    make: Callable[..., Engine]

    @property
    def spec(self) -> SegmenterSpec:
        """What the networks are."""
        return self.description.spec

    def engine(self, **options: Any) -> Engine:
        """An engine that draws masks as the options of ``Engine`` say: sampler, steps, flips, samples, at_once."""
        return self.make(**options)


def open_weights(folder: Path, engine: str = AUTO, *, precision: str = "float32", preset: Preset | None = None) -> Opened:
    """Read a folder of weights with an engine.

    Args:
        folder: with the weights.
        engine: a name in ``ldseg.engines.ENGINES``, or ``auto`` for the one that suits the weights and the machine.
        precision: of the arithmetic, see ``ldseg.options.PRECISIONS``.
        preset: the preset of the weights, if it is an own one.

    Raises:
        WeightsError: if there are none, or the engine cannot read them; see ``read_description``.
    """
    description = read_description(folder, preset)
    try:
        description.spec.latent_shape  # noqa: B018  # asks for a preset that is known, and a size that suits it
    except ValueError as error:
        raise WeightsError(f"{folder / WEIGHTS_FILE}: its description is not of networks known here: {error}") from error
    kind = "keras" if engine == AUTO else engine
    module = importlib.import_module(ENGINES[kind])
    if lacks := module.missing():
        raise WeightsError(f"GPU.Engine = {kind}: {lacks}")
    make = module.open_networks(folder, description, precision)
    return Opened(kind=kind, version=module.version(), description=description, make=make)
