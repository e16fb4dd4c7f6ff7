"""Several devices of one machine that segment together, each a share of every batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ldseg.devices.together import on_device
from ldseg.inference.engine import Drawn, Engine


class Spread(Engine):
    """Engines that are alike, each on a device of its own; see ``Engine``.

    A case is computed by one of them, as if there were no others.

    Args:
        engines: at least two, by the name of their device, see ``together.own_devices``. Batches are as many times
            larger.
        options: with which they were made.
    """

    def __init__(self, engines: Sequence[tuple[str, Engine]], **options: Any) -> None:
        first = engines[0][1]
        super().__init__(first.spec, **options)
        self.kind, self.whole_batches = first.kind, first.whole_batches
        self.engines = tuple(engines)
        self.devices = len(engines)
        self._threads = ThreadPoolExecutor(self.devices, thread_name_prefix="device")

    def run(self, inputs: Mapping[str, np.ndarray], **asked: bool) -> Drawn:
        """See ``Engine``."""
        count = len(next(iter(inputs.values())))
        each = -(-count // self.devices)
        shares = [{name: part[start : start + each] for name, part in inputs.items()} for start in range(0, count, each)]

        def run(one: tuple[str, Engine], share: Mapping[str, np.ndarray]) -> Drawn:
            name, engine = one
            with on_device(name):
                return engine.run(share, **asked)

        drawn = list(self._threads.map(run, self.engines, shares))

        def joined(name: str) -> Any:
            parts = [getattr(one, name) for one in drawn]
            return None if parts[0] is None else np.concatenate(parts)

        return Drawn(probabilities=joined("probabilities"), states=joined("states"), features=joined("features"))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """See ``Engine``; by the first."""
        return self._first(lambda engine: engine.encode(images))

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """See ``Engine``; by the first."""
        return self._first(lambda engine: engine.decode(latents))

    def _first(self, work: Callable[[Engine], np.ndarray]) -> np.ndarray:
        name, engine = self.engines[0]
        with on_device(name):
            return work(engine)


def spread(make: Callable[[int], Engine], devices: Sequence[str], **options: Any) -> Engine:
    """An engine on one or several devices.

    Args:
        make: from the place of a device in the list to an engine on it.
        devices: as ``together.own_devices`` names them.
        options: with which the engines are made.
    """
    made = []
    for index, name in enumerate(devices):
        with on_device(name):
            made.append((name, make(index)))
    return made[0][1] if len(made) == 1 else Spread(made, **options)
