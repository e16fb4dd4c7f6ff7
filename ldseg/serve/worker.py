"""The one thread that has the networks: whatever is asked at once, memory is that of one segmentation."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ldseg.base.options import AUTO
from ldseg.description import Description, read_description
from ldseg.errors import ConfigError
from ldseg.model import Model, available, load
from ldseg.published import find_weights

T = TypeVar("T")

LOADED = 2
"""Weights in memory at the same time."""


class Busy(Exception):
    """So many requests wait already that another one is not taken in."""


class UnknownWeights(ConfigError):
    """Weights that this server does not have."""


def weights_by_name(chosen: Sequence[str] = ()) -> dict[str, Path]:
    """The folders of weights by the names that requests use.

    Args:
        chosen: names of weights that come with LDSeg, or folders, which are called as their last part; nothing for all
            that come with it.

    Raises:
        ConfigError: two have the same name.
        WeightsError: there are no such weights.
    """
    found: dict[str, Path] = {}
    for each in chosen or tuple(available()):
        folder = find_weights(each)
        name = folder.resolve().name
        if name in found and found[name] != folder:
            raise ConfigError(f"weights: two are called {name}: {found[name]} and {folder}")
        found[name] = folder
    return found


class Worker:
    """Segments one request after the other.

    Args:
        weights: folders by name, see ``weights_by_name``.
        waiting: requests that may be on their way at the same time.
        engine: what computes, see ``ldseg.load``.

    Raises:
        WeightsError: some of the weights cannot be used.
    """

    def __init__(self, weights: Mapping[str, Path], *, waiting: int, engine: str = AUTO) -> None:
        self.weights = dict(weights)
        self.descriptions: dict[str, Description] = {name: read_description(path) for name, path in weights.items()}
        self._engine, self._waiting = engine, waiting
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._inside, self._lock = 0, threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ldseg-networks")

    def description(self, name: str) -> Description:
        """What weights say of themselves.

        Raises:
            UnknownWeights: there are none of that name.
        """
        if name not in self.descriptions:
            raise UnknownWeights(f"weights: expected one of {', '.join(self.descriptions)}, got {name!r}")
        return self.descriptions[name]

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the requests that are on their way, from before an upload is read until it is answered.

        Raises:
            Busy: there is none left.
        """
        with self._lock:
            if self._inside >= self._waiting:
                raise Busy(f"busy: {self._inside} requests are on their way already, try again in a while")
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1

    def submit(self, name: str, work: Callable[[Model], T]) -> Future[T]:
        """Have something done with the weights of a name, when it is its turn."""
        self.description(name)
        return self._thread.submit(lambda: work(self._model(name)))

    def _model(self, name: str) -> Model:
        if name not in self._models:
            while len(self._models) >= LOADED:
                self._models.popitem(last=False)
            self._models[name] = load(self.weights[name], engine=self._engine)
        self._models.move_to_end(name)
        return self._models[name]

    def close(self) -> None:
        """Finish what is in the networks and drop what waits."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def facts_of(name: str, description: Description) -> dict[str, Any]:
    """What a page or a script has to know of weights, in plain types."""
    spec, step = description.spec, description.preprocessing
    return {
        "name": name,
        "axes": spec.axes,
        "classes": list(step.classes),
        "channels": spec.channels,
        "size": list(spec.size),
        "architecture": spec.architecture,
        "steps": description.steps,
        "samples": description.samples,
        "most_steps": spec.schedule.timesteps,
        "dice": description.figures.get("val_dice"),
    }
