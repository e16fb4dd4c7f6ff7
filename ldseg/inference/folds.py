"""An ensemble of networks that were trained on folds of one data set, as one engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ldseg.inference.engine import Drawn, Engine


class FoldsEngine(Engine):
    """Engines on networks of one kind, each of which draws members of one ensemble, see ``Engine``.

    The members go round: with F engines, member m is drawn by engine ``m % F`` from the noise that belongs to m. So the
    first members do not depend on how many follow, and noise, tiles, copies and fusion are those of any ensemble.

    Args:
        engines: they draw as many members each, in the same way.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        first = engines[0]
        self.engines = tuple(engines)
        super().__init__(
            first.spec,
            sampler=first.sampler,
            steps=first.steps,
            samples=len(engines) * first.samples,
        )
        self.mirrors = first.mirrors
        self.whole_batches = first.whole_batches
        self.kind = first.kind
        self.devices = first.devices
        self.parallel = first.parallel

    @property
    def at_a_time(self) -> int:
        """See ``Engine``: one engine runs after the other."""
        return self.engines[0].at_a_time

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        """See ``Engine``. The states are those of the first engine; the features have a row for each, ``(B, F, 2 cc)``."""
        count, noise = len(self.engines), inputs["noise"]
        shape = len(noise), self.samples, *self.spec.size, self.spec.parts
        probabilities = np.empty(shape, np.float32)
        kept, seen = None, []
        for index, engine in enumerate(self.engines):
            own = {**inputs, "noise": np.ascontiguousarray(noise[:, index::count])}
            drawn = engine.run(own, states=states and index == 0, features=features)
            probabilities[:, index::count] = drawn.probabilities
            kept = drawn.states if index == 0 else kept
            seen.append(drawn.features)
        rows = [row for row in seen if row is not None]
        return Drawn(probabilities=probabilities, states=kept, features=np.stack(rows, axis=1) if rows else None)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """See ``Engine``; a row for each engine, ``(B, F, 2 cc)``."""
        return np.stack([engine.encode(images) for engine in self.engines], axis=1)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """See ``Engine``: those of the first engine, whose states ``run`` gives."""
        return self.engines[0].decode(latents)


def ensemble_of(makers: Sequence[Callable[..., Engine]]) -> Callable[..., Engine]:
    """From the options of ``Engine``, and ``folds``, how many of the makers are asked, to one engine on all of them."""

    def make(*, folds: int | None = None, **options: Any) -> Engine:
        return FoldsEngine([maker(**options) for maker in makers[:folds]])

    return make
