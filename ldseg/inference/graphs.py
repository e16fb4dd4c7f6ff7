"""The light engine: exported networks in a runtime of their own, and the loop around them in NumPy. Needs no Keras."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import logging
import os
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ldseg.base.paths import cache_folder
from ldseg.base.writing import remove, write_bytes
from ldseg.description import WEIGHTS_FILE, Description, digest_of
from ldseg.diffusion.plain import HOLDS, sample
from ldseg.diffusion.random import normal
from ldseg.errors import DataError, WeightsError, no_memory
from ldseg.export.structure import STRUCTURE_FILE, Structure
from ldseg.inference.engine import Drawn, Engine
from ldseg.inference.turns import Turns
from ldseg.spec import SegmenterSpec
from ldseg.version import __version__

logger = logging.getLogger(__name__)

_LARGE = 1 << 20
"""Bytes of weights from which on their completed graphs are kept: it takes a tenth of a second to make them."""

_MOST_KEPT = 8
"""Of so many weights, those used last."""

_MOST_UNDER_WAY = 16
"""Images of a batch that are under way at a time, in turns."""

_KEPT = 2
"""Counts the changes to how graphs are completed."""


class Runtime(Protocol):
    """What runs the three graphs of a ``Structure``.

    Attributes:
        parallel: how many calls of ``run`` it takes at the same time.
    """

    parallel: int

    def run(self, graph: str, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """What a graph gives for its inputs, those that it does not have left aside."""
        ...


class GraphEngine(Engine):
    """An engine on a runtime, see ``Engine``."""

    kind = "graphs"

    def __init__(self, spec: SegmenterSpec, runtime: Runtime, **options: Any) -> None:
        super().__init__(spec, **options)
        self.runtime = runtime
        self.parallel = runtime.parallel
        self._turns = Turns(runtime.parallel)

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        """See ``Engine``. Image by image and member by member: rounding does not depend on what else there is."""
        count = len(inputs["image"])
        probabilities = np.empty((count, self.samples, *self.spec.size, self.spec.parts), np.float32)

        def one(index: int) -> tuple[list[np.ndarray], np.ndarray]:
            return self._image(inputs["image"][index], inputs["noise"][index], states, probabilities[index])

        if min(self.parallel, count) > 1:  # all of them in turns, so that they keep the cores busy to the end
            with ThreadPoolExecutor(min(count, _MOST_UNDER_WAY)) as pool:
                drawn = list(pool.map(one, range(count)))
        else:
            drawn = list(map(one, range(count)))
        return Drawn(
            probabilities=probabilities,
            states=np.stack([np.concatenate(kept) for kept, _ in drawn]) if states else None,
            features=np.stack([seen for _, seen in drawn]) if features else None,
        )

    def _image(
        self, image: np.ndarray, noise: np.ndarray, states: bool, total: np.ndarray
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """One image ``(*S, ci)`` with its noise ``noise_shape`` to its probabilities ``(E, *S, P)``, which `total` takes in.

        Returns:
            the states that are kept, and what the image encoder makes of the image, see ``Drawn``.
        """
        kept: list[np.ndarray] = []
        for index, mirror in enumerate(self.mirrors):
            axes = tuple(axis - 1 for axis in mirror)
            condition = self._run("encoder", {"image": np.flip(image, axes)[np.newaxis]})
            if index == 0:
                features = _features(condition)
            for member in range(self.samples):
                first = states and index == member == 0
                clean, found = self._reverse(condition, noise[member, index][np.newaxis], self.kept if first else ())
                kept += found
                decoded = np.flip(self.decode(clean)[0], axes)
                if index == 0:
                    total[member] = decoded
                else:
                    total[member] += decoded
        if len(self.mirrors) > 1:
            total /= np.float32(len(self.mirrors))
        return kept, features

    def encode(self, images: np.ndarray) -> np.ndarray:
        """See ``Engine``."""
        return np.stack([_features(self._run("encoder", {"image": image[np.newaxis]})) for image in images])

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """See ``Engine``."""
        return np.concatenate([self._run("decoder", {"latent": latent[np.newaxis]})[0] for latent in latents])

    def _run(self, graph: str, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with self._turns.turn():
            return self.runtime.run(graph, feeds)

    def _reverse(
        self, condition: list[np.ndarray], noise: np.ndarray, keep: tuple[int, ...]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """From the noise of one copy ``(N, 1 + K, *L, c)`` to the clean latent, and the states to keep."""
        feeds = {f"condition{index}": features for index, features in enumerate(condition)}

        def denoise(state: np.ndarray, time: np.ndarray) -> np.ndarray:
            return self._run("denoiser", {**feeds, "state": state, "time": time})[0]

        return sample(
            denoise,
            noise[:, 0],
            schedule=self.spec.schedule,
            prediction=self.spec.prediction,
            steps=self.steps,
            sampler=self.sampler,
            step_noise=(lambda index: normal((noise[:, 1], noise[:, 2]), index, np)) if self.sampler.noisy else None,
            hold=None if self.spec.hold is None else HOLDS[self.spec.hold],
            keep=keep,
        )


def _features(condition: list[np.ndarray]) -> np.ndarray:
    """Of one image, from its maps ``(1, cc, *L)``."""
    last = condition[-1][0].reshape(len(condition[-1][0]), -1)
    return np.concatenate([last.mean(axis=1), last.std(axis=1)])


@contextlib.contextmanager
def told(graphs: str) -> Iterator[None]:
    """Make what a runtime raises of its own, on graphs that nobody has checked, errors that name them.

    Raises:
        MemoryError: memory is short.
        WeightsError: anything else.
    """
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        if no_memory(error):
            raise MemoryError(str(error)) from error
        raise WeightsError(f"{graphs} cannot be used: {' '.join(str(error).split())[:200]}") from error


def find_structure(folder: Path, description: Description) -> Structure:
    """The graphs of the networks in a folder of weights: those that lie there, else those in the cache, else new ones.

    To make new ones takes Keras; they are kept in the cache. Those of an own preset are always made anew, as its name does
    not tell what it builds.

    Raises:
        WeightsError: if there are none and they cannot be made.
    """
    spec, key = description.spec, Structure.key(description.spec)
    cached = cache_folder() / f"{key[:32]}-{__version__}.graphs.zip"
    for path in (folder / STRUCTURE_FILE, cached) if spec.own is None else ():
        with contextlib.suppress(WeightsError):  # none, or not to be read: then the next
            structure = Structure.read(path)
            if structure.networks == key:
                return structure
    if importlib.util.find_spec("keras") is None:
        raise WeightsError(
            f"{folder}: there are no graphs of its networks, and to make them takes Keras: "
            'pip install "ldseg[tensorflow]" (or [jax], [torch])'
        )
    from ldseg.export.networks import structure_of

    logger.info("making the graphs of the networks in %s, once", folder)
    structure = structure_of(spec)
    if spec.own is None:
        try:
            structure.write(cached)
        except DataError as error:
            logger.warning("%s, so they will be made again", error)
    return structure


def complete(folder: Path, description: Description) -> dict[str, bytes]:
    """The graphs of the networks in a folder with their weights, each a whole file of ONNX.

    Those of weights that are not small are kept in the cache, by the digest of all that they are made from.

    Raises:
        WeightsError: see ``find_structure`` and ``Structure.completed``.
    """
    structure, weights = find_structure(folder, description), folder / WEIGHTS_FILE
    if weights.stat().st_size < _LARGE:
        return structure.completed(weights)
    digest = hashlib.sha256(f"{__version__} {_KEPT} {digest_of(weights)} ".encode() + structure.to_bytes())
    kept = cache_folder() / "completed" / f"{digest.hexdigest()}.zip"
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(kept) as file:
        found = {name: file.read(name) for name in structure.graphs}  # their check sums are compared
        os.utime(kept)
        return found
    made = structure.completed(weights)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
        for name, graph in made.items():
            file.writestr(name, graph)
    with contextlib.suppress(DataError, OSError):  # then they are made again
        write_bytes(kept, stream.getvalue())
        for old in sorted(kept.parent.glob("*.zip"), key=lambda path: path.stat().st_mtime)[:-_MOST_KEPT]:
            remove(old)
    return made
