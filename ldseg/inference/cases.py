"""From cases on disk to segmented cases, a batch of tiles at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ldseg.data.cases import Case, LoadedCase, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.inference.noise import noisy_image
from ldseg.inference.predictor import Predictor
from ldseg.inference.tiles import Tiling, cover


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """One case, segmented or not.

    Attributes:
        case: where it comes from.
        loaded: the case as read, the noise of ``sigma`` on its image; None if it could not be read.
        probabilities: float32 ``(*S, C)`` on the case's own grid; None if it could not be read.
        problem: what was wrong with it; empty if nothing was.
        seconds: reading, segmenting (its share of each batch) and resampling.
    """

    case: Case
    loaded: LoadedCase | None = None
    probabilities: np.ndarray | None = None
    problem: str = ""
    seconds: float = 0.0

    @property
    def mask(self) -> np.ndarray:
        """Class indices int32 ``(*S)``."""
        if self.probabilities is None:
            raise ValueError(f"{self.case.name} was not segmented: {self.problem}")
        return np.argmax(self.probabilities, axis=-1).astype(np.int32)


class TiledCase:
    """A case on the grid of the network, covered with tiles, and what came back for them so far.

    Tiles of one case share one field of noise, so that they agree where they overlap.
    """

    def __init__(self, loaded: LoadedCase, preprocessing: Preprocessing, predictor: Predictor, seed: int) -> None:
        segmenter = predictor.segmenter
        grid = preprocessing.grid_of(loaded.size, loaded.spacing)
        self.tiling: Tiling = cover(grid, segmenter.spec.size, segmenter.strides)
        self.strides = segmenter.strides
        self.image = self.tiling.pad(preprocessing.image_to_grid(loaded.image, grid))
        latent_grid = tuple(n // d for n, d in zip(self.tiling.padded, self.strides, strict=True))
        self.noise = predictor.draw_noise(seed, loaded.name, latent_grid)
        self.left = len(self.tiling.starts)
        self.blend = self.tiling.weights()
        self.total: np.ndarray | None = None
        self.weight: np.ndarray | None = None

    def tile(self, start: tuple[int, ...]) -> dict[str, np.ndarray]:
        """What the predictor takes for one tile, without the axis of the batch."""
        latent = (slice(None), slice(None), *self.tiling.window(start, self.strides))
        return {"image": self.image[self.tiling.window(start)], "noise": self.noise[latent]}

    def add(self, start: tuple[int, ...], probabilities: np.ndarray) -> None:
        """Take in what the predictor gave for one tile, float32 ``(*S, C)``."""
        self.left -= 1
        if len(self.tiling.starts) == 1:
            self.total = probabilities
            return
        if self.total is None or self.weight is None:
            self.total = np.zeros((*self.tiling.padded, probabilities.shape[-1]), np.float32)
            self.weight = np.zeros((*self.tiling.padded, 1), np.float32)
        window = self.tiling.window(start)
        self.total[window] += self.blend * probabilities
        self.weight[window] += self.blend

    def probabilities(self) -> np.ndarray:
        """The blend of all tiles, float32 (*grid, C)."""
        assert self.total is not None
        return self.tiling.crop(self.total if self.weight is None else self.total / self.weight)


class _Entry:
    """A case on its way, in the order of the cases."""

    def __init__(self, case: Case, predictor: Predictor, preprocessing: Preprocessing, seed: int, sigma: float) -> None:
        started = time.perf_counter()
        self.case, self.problem = case, ""
        self.loaded: LoadedCase | None = None
        self.tiled: TiledCase | None = None
        try:
            loaded = load_case(case, preprocessing)
            self.loaded = replace(loaded, image=noisy_image(loaded.image, sigma, seed, case.name))
            self.tiled = TiledCase(self.loaded, preprocessing, predictor, seed)
        except DataError as error:
            self.problem = str(error)
        self.seconds = time.perf_counter() - started

    @property
    def done(self) -> bool:
        return self.tiled is None or self.tiled.left == 0

    def close(self, preprocessing: Preprocessing) -> Segmented:
        if self.loaded is None or self.tiled is None:
            return Segmented(case=self.case, problem=self.problem, seconds=self.seconds)
        started = time.perf_counter()
        own = preprocessing.probabilities_to_case(self.tiled.probabilities(), self.loaded.size)
        seconds = self.seconds + time.perf_counter() - started
        return Segmented(case=self.case, loaded=self.loaded, probabilities=own, seconds=seconds)


def segment_cases(
    predictor: Predictor,
    cases: Iterable[Case],
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    seed: int,
    sigma: float = 0.0,
) -> Iterator[Segmented]:
    """Segment cases in their order, ``batch_size`` tiles at a time and at most about as many cases in memory.

    A case that cannot be read is yielded with its problem, and the others go on. The last batch is padded to full size,
    so that the compiled call has one shape, and a mask does not depend on how many cases there are.
    """
    entries: deque[_Entry] = deque()
    waiting: list[tuple[_Entry, tuple[int, ...]]] = []
    for case in cases:
        entry = _Entry(case, predictor, preprocessing, seed, sigma)
        entries.append(entry)
        for start in entry.tiled.tiling.starts if entry.tiled is not None else ():
            waiting.append((entry, start))
            if len(waiting) == batch_size:
                _run(predictor, waiting, batch_size)
                waiting = []
        while entries and entries[0].done:
            yield entries.popleft().close(preprocessing)
    if waiting:
        _run(predictor, waiting, batch_size)
    for entry in entries:
        yield entry.close(preprocessing)


def _run(predictor: Predictor, waiting: list[tuple[_Entry, tuple[int, ...]]], batch_size: int) -> None:
    started = time.perf_counter()
    tiles = [entry.tiled.tile(start) for entry, start in waiting if entry.tiled is not None]
    tiles += tiles[-1:] * (batch_size - len(tiles))
    inputs = {name: np.stack([tile[name] for tile in tiles]) for name in tiles[0]}
    probabilities = np.asarray(predictor.predict_on_batch(inputs), dtype=np.float32)
    share = (time.perf_counter() - started) / len(waiting)
    for (entry, start), one in zip(waiting, probabilities, strict=False):
        entry.seconds += share
        if entry.tiled is not None:
            entry.tiled.add(start, one)
