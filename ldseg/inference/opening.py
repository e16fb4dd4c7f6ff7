"""Weights opened by one of the engines."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldseg.augmentation.strength import mirrored
from ldseg.base.engines import ENGINES, KERAS
from ldseg.base.options import AUTO
from ldseg.description import WEIGHTS_FILE, Description, read_description
from ldseg.devices import gpus
from ldseg.errors import WeightsError
from ldseg.inference.engine import Engine
from ldseg.inference.folds import ensemble_of
from ldseg.models import Preset
from ldseg.spec import SegmenterSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Weights that an engine has read.

    Attributes:
        kind: the engine, a name in ``ldseg.base.engines.ENGINES``.
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
        """An engine that draws masks as the options of ``Engine`` say: sampler, steps, flips, samples, at_once.

        Copies are mirrored along the axes that samples of the training were mirrored along: an organ upside down is unlike
        all that upright images have taught.

        Of weights of several folds, ``folds`` is how many of them, and ``samples`` how many members each of them draws.
        """
        learned = self.description.training.get("Training", {}).get("Augmentation")
        engine = self.make(mirror=mirrored(learned), **options)
        if options.get("flips") and len(engine.mirrors) == 1:
            logger.warning(
                "Sampler.Flips: no copies, as the training mirrored nothing (Training.Augmentation = %s)", learned
            )
        return engine


def open_weights(
    folder: Path,
    engine: str = AUTO,
    *,
    precision: str = "float32",
    preset: Preset | None = None,
    description: Description | None = None,
    multiple: bool = False,
) -> Opened:
    """Read a folder of weights with an engine; what ``auto`` took, and why, is said in one line of the log.

    Args:
        folder: with the weights.
        engine: a name in ``ldseg.base.engines.ENGINES``, or ``auto`` for the one that suits the weights and the machine.
        precision: of the arithmetic, see ``ldseg.base.options.PRECISIONS``; ``auto`` is float32 here.
        preset: the preset of the weights, if it is an own one.
        description: of the weights, where it has been read already.
        multiple: whether Keras computes on all devices of the machine.

    Raises:
        WeightsError: if there are none, or the engine cannot read them; see ``read_description``.
    """
    description = description or read_description(folder, preset)
    precision = "float32" if precision == AUTO else precision
    try:
        description.spec.latent_shape  # noqa: B018  # asks for a preset that is known, and a size that suits it
    except ValueError as error:
        raise WeightsError(f"{folder / WEIGHTS_FILE}: its description is not of networks known here: {error}") from error
    if engine != AUTO:
        return _open(folder, engine, description, precision, multiple)
    kind, why = _chosen(description.spec, precision)
    if kind != KERAS:
        try:
            opened = _open(folder, kind, description, precision, multiple)
            logger.info("engine %s (%s): %s", kind, opened.version, why)
            return opened
        except WeightsError as error:
            if not _installed(KERAS):
                raise
            kind, why = KERAS, str(error)
    opened = _open(folder, kind, description, precision, multiple)
    logger.info("engine %s (%s): %s", kind, opened.version, why)
    return opened


def _open(folder: Path, kind: str, description: Description, precision: str, multiple: bool) -> Opened:
    module = importlib.import_module(ENGINES[kind])
    if lacks := module.missing():
        raise WeightsError(f"GPU.Engine = {kind}: {lacks}")
    more = {"multiple": multiple} if kind == KERAS else {}  # the others use the whole processor
    if description.folds:
        opened = [module.open_networks(folder / name, description, precision, **more) for name in description.folds]
        make = ensemble_of(opened)
    else:
        make = module.open_networks(folder, description, precision, **more)
    return Opened(kind=kind, version=module.version(), description=description, make=make)


def _installed(kind: str) -> bool:
    if kind == KERAS:
        return importlib.util.find_spec("keras") is not None
    return not importlib.import_module(ENGINES[kind]).missing()


def _chosen(spec: SegmenterSpec, precision: str) -> tuple[str, str]:
    """The engine that ``auto`` takes, and why."""
    light = [kind for kind in ENGINES if kind != KERAS and _installed(kind)]
    if not _installed(KERAS):
        return (light[0] if light else KERAS), "Keras is not installed"
    if not light:
        return KERAS, "no light engine is installed; pip install onnxruntime starts in a tenth of the time"
    if precision != "float32":
        return KERAS, f"GPU.Precision = {precision}"
    if gpus("name"):
        return KERAS, "there is a GPU"
    if spec.own is not None:
        return KERAS, f"{spec.preset!r} is a preset of your own"
    return light[0], "on a processor it starts at once"
