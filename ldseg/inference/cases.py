"""From cases on disk to segmented cases, a batch of tiles at a time."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ldseg.data.cases import Case, LoadedCase, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.deferred import Deferred
from ldseg.errors import DataError, memory_told, no_memory
from ldseg.evaluation.familiarity import Signature, mean_signature, measure
from ldseg.evaluation.quality import Signs, SignSums, signs_of
from ldseg.inference.ahead import ahead
from ldseg.inference.degradation import degrade
from ldseg.inference.engine import Engine
from ldseg.inference.fusion import fuse_labels, labels_of
from ldseg.inference.instances import label_instances
from ldseg.inference.parts import classes_of, inside_of
from ldseg.inference.tiles import Tiling, cover
from ldseg.inference.uncertainty import Moments, predictive_entropy
from ldseg.regions import Unions

SLAB = 16
"""Frames of a video that are brought to the grid at a time."""

SLAB_VALUES = 1 << 22
"""Probabilities of a volume or a video at its own size that are in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """One case, segmented or not.

    Attributes:
        case: where it comes from.
        loaded: the case as read, the noise of ``sigma`` on its image; None if it could not be read.
        probabilities: mean over the members, float32 ``(*S, C)`` on the case's own grid; None if it could not be read.
            Those of a volume or a video are large, and made when they are asked for.
        members: the mask of each of several members, ``(E, *S)`` in 8 or 16 bits; None if there is one.
        variance: variance between them, float32 ``(*S)``; None if there is one.
        outline: probability of the outline of an object, float32 ``(*S)``, which is part of that of the object: mean over
            the members; None where the networks tell none.
        smallest: pixels that an object has at least, see ``label_instances``.
        video: whether the first axis is time.
        unions: the classes of the background and of each region that its quality is told for, see ``ldseg.regions``.
        fused: the mask, where it is not the most probable class of the mean, or was made already.
        sums: what its signs are made of, where they were added up already.
        signature: what tells how familiar its image is, see ``ldseg.evaluation.familiarity``; None unless asked for.
        states: the states of the run that made it, float32 ``(K, *L, c)``, see ``Drawn``; of several tiles that of
            ``TiledCase.middle``. None unless asked for.
        problem: what was wrong with it; empty if nothing was.
        seconds: reading, segmenting (its share of each batch) and resampling.
    """

    case: Case
    loaded: LoadedCase | None = None
    probabilities: np.ndarray | None = Deferred(None)  # type: ignore[assignment]
    members: np.ndarray | None = None
    variance: np.ndarray | None = None
    outline: np.ndarray | None = None
    smallest: float = 0.0
    video: bool = False
    unions: Unions = ()
    fused: np.ndarray | None = None
    sums: SignSums | None = None
    states: np.ndarray | None = None
    signature: Signature | None = None
    problem: str = ""
    seconds: float = 0.0

    @cached_property
    def mask(self) -> np.ndarray:
        """Class indices int32 ``(*S)``."""
        if self.fused is not None:
            return self.fused
        return np.argmax(self._found, axis=-1).astype(np.int32)

    @property
    def signs(self) -> Signs:
        """What tells of the quality of the mask."""
        if self.sums is None:
            return signs_of(self._found, self.mask, self.entropy, self.members, self.unions)
        return self.sums.signs()

    @property
    def mean_entropy(self) -> float:
        """The mean of ``entropy``."""
        return float(self.entropy.mean()) if self.sums is None else self.sums.entropy

    @cached_property
    def instances(self) -> np.ndarray:
        """A number from 1 for each object of a mask of two classes, int32 ``(*S)``; see ``label_instances``."""
        inside = None if self.outline is None else inside_of(self._found, self.outline)
        return label_instances(self.mask, inside, self.smallest, outline=self.outline, video=self.video)

    @cached_property
    def entropy(self) -> np.ndarray:
        """Predictive entropy as a share of the highest there is, float32 ``(*S)``."""
        return predictive_entropy(self._found)

    @property
    def _found(self) -> np.ndarray:
        if self.probabilities is None:
            raise ValueError(f"{self.case.name} was not segmented: {self.problem}")
        return self.probabilities


def _on_grid(loaded: LoadedCase, preprocessing: Preprocessing, grid: tuple[int, ...]) -> np.ndarray:
    """The image of a case on a grid; of a video, whose frames stay what they are, a few frames after the other."""
    if not preprocessing.axes.startswith("T"):
        return preprocessing.image_to_grid(loaded.part(slice(None)), grid)
    starts = range(0, grid[0], SLAB)
    parts = (loaded.part(slice(start, start + SLAB)) for start in starts)
    return np.concatenate([preprocessing.image_to_grid(part, (len(part), *grid[1:])) for part in parts])


class TiledCase:
    """A case on the grid of the network, covered with tiles, and what came back for them so far.

    Tiles of one case share one field of noise for each member, so that they agree where they overlap.
    """

    def __init__(self, loaded: LoadedCase, preprocessing: Preprocessing, engine: Engine, seed: int) -> None:
        grid = preprocessing.grid_of(loaded.size, loaded.spacing)
        self.tiling: Tiling = cover(grid, engine.spec.size, engine.strides)
        self.strides, self.outline = engine.strides, engine.spec.outline
        self.image = self.tiling.pad(_on_grid(loaded, preprocessing, grid))
        latent_grid = tuple(n // d for n, d in zip(self.tiling.padded, self.strides, strict=True))
        self.noise = engine.draw_noise(seed, loaded.digest, latent_grid)
        self.left = len(self.tiling.starts)
        self.blend = self.tiling.weights()
        self.totals: list[np.ndarray] = []
        self.states: np.ndarray | None = None
        self.signatures: list[Signature] = []
        self.weight: np.ndarray | None = None

    @property
    def middle(self) -> tuple[int, ...]:
        """Where the tile in the middle begins, which stands for the case where one is shown."""
        return self.tiling.starts[len(self.tiling.starts) // 2]

    def tile(self, start: tuple[int, ...]) -> dict[str, np.ndarray]:
        """What the engine takes for one tile, without the axis of the batch."""
        latent = (slice(None),) * 3 + self.tiling.window(start, self.strides)
        return {"image": self.image[self.tiling.window(start)], "noise": self.noise[latent]}

    @property
    def signature(self) -> Signature | None:
        """What was measured of the case; None where nothing was."""
        return mean_signature(self.signatures) if self.signatures else None

    def recognise(self, start: tuple[int, ...], features: np.ndarray) -> None:
        """Take in the features of one tile, and measure it."""
        image = self.image[self.tiling.window(start)]
        self.signatures.append({"features": features.astype(np.float64), **measure(image)})

    def add(self, start: tuple[int, ...], probabilities: np.ndarray, states: np.ndarray | None = None) -> None:
        """Take in what the engine gave for one tile: float32 ``(E, *S, P)``, and the states if there are any."""
        self.left -= 1
        if states is not None and start == self.middle:
            self.states = states.copy()  # not the whole batch
        if len(self.tiling.starts) == 1:
            self.totals = list(probabilities)
            return
        if self.weight is None:
            shape = (*self.tiling.padded, probabilities.shape[-1])
            self.totals = [np.zeros(shape, np.float32) for _ in probabilities]
            self.weight = np.zeros((*self.tiling.padded, 1), np.float32)
        window = self.tiling.window(start)
        for total, member in zip(self.totals, probabilities, strict=True):
            total[window] += self.blend * member
        self.weight[window] += self.blend

    def members(self) -> Iterator[np.ndarray]:
        """The blend of all tiles of each member, float32 (*grid, P), which is then let go."""
        while self.totals:
            total = self.totals.pop(0)
            if self.weight is not None:
                total /= self.weight
            yield self.tiling.crop(total)


class _Entry:
    """A case on its way, in the order of the cases."""

    def __init__(
        self, case: Case, read: Callable[[], LoadedCase], engine: Engine, preprocessing: Preprocessing, seed: int
    ) -> None:
        started = time.perf_counter()
        self.case, self.problem = case, ""
        self.loaded: LoadedCase | None = None
        self.tiled: TiledCase | None = None
        try:
            with memory_told(str(case.image), "segment it"):
                self.loaded = read()
                self.tiled = TiledCase(self.loaded, preprocessing, engine, seed)
        except DataError as error:
            self.fail(error)
        self.seconds = time.perf_counter() - started

    @property
    def done(self) -> bool:
        return self.tiled is None or self.tiled.left == 0

    def fail(self, error: DataError) -> None:
        """Leave it out."""
        self.problem, self.loaded, self.tiled = str(error), None, None

    def close(self, preprocessing: Preprocessing, fusion: str) -> Segmented:
        """What came out of it."""
        try:
            with memory_told(str(self.case.image), "segment it"):
                return self._closed(preprocessing, fusion)
        except DataError as error:
            self.fail(error)
            return self._closed(preprocessing, fusion)

    def _closed(self, preprocessing: Preprocessing, fusion: str) -> Segmented:
        if self.loaded is None or self.tiled is None:
            return Segmented(case=self.case, problem=self.problem, seconds=self.seconds)
        started = time.perf_counter()
        if len(self.loaded.size) > 2 and len(self.tiled.totals) == 1 and not self.tiled.outline:
            return self._in_slabs(self.loaded, self.tiled, preprocessing, started)
        moments, labels, outlines = Moments(), [], Moments()
        for member in self.tiled.members():
            parts = preprocessing.probabilities_to_case(member, self.loaded.size)
            own = classes_of(parts, self.tiled.outline)
            moments.add(own)
            labels.append(labels_of(own))
            if self.tiled.outline:
                outlines.add(parts[..., -1:].copy())  # not all of them
        found: dict[str, Any] = {"probabilities": moments.mean}
        if self.tiled.outline:
            grid = preprocessing.grid_of(self.loaded.size, self.loaded.spacing)
            smallest = preprocessing.smallest * math.prod(self.loaded.size) / math.prod(grid)
            video = preprocessing.axes.startswith("T")
            found |= {"outline": outlines.mean[..., 0], "smallest": smallest, "video": video}
        if moments.count > 1:
            found |= {"members": np.stack(labels), "variance": moments.variance}
            if fusion != "mean":
                found["fused"] = fuse_labels(found["members"], moments.mean, fusion)
        seconds = self.seconds + time.perf_counter() - started
        found |= {"states": self.tiled.states, "signature": self.tiled.signature, "unions": preprocessing.unions}
        return Segmented(case=self.case, loaded=self.loaded, seconds=seconds, **found)

    def _in_slabs(self, loaded: LoadedCase, tiled: TiledCase, preprocessing: Preprocessing, started: float) -> Segmented:
        """A volume or a video: its probabilities at its own size, which fill the memory, are looked at and let go."""
        (member,) = tiled.members()
        mask, sums = np.empty(loaded.size, np.int32), SignSums(member.shape[-1], preprocessing.unions)
        rows = max(1, SLAB_VALUES // (math.prod(loaded.size[1:]) * member.shape[-1]))
        for place, part in preprocessing.slabs_of_case(member, loaded.size, rows):
            mask[place] = np.argmax(part, axis=-1)
            sums.add(part, mask[place], predictive_entropy(part))
        return Segmented(
            case=self.case,
            loaded=loaded,
            probabilities=lambda: preprocessing.probabilities_to_case(member, loaded.size),  # type: ignore[arg-type]
            unions=preprocessing.unions,
            fused=mask,
            sums=sums,
            states=tiled.states,
            signature=tiled.signature,
            seconds=self.seconds + time.perf_counter() - started,
        )


def segment_cases(
    engine: Engine,
    cases: Iterable[Case],
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    seed: int,
    sigma: float = 0.0,
    fusion: str = "mean",
    states: bool = False,
    recognise: bool = False,
) -> Iterator[Segmented]:
    """Segment cases in their order, ``batch_size`` tiles at a time and at most about as many cases in memory.

    A case that cannot be read is yielded with its problem, and the others go on. On each image lies Gaussian noise of
    ``sigma``, see ``degrade``. For the rest see ``segment_each``.
    """

    def reader(case: Case) -> Callable[[], LoadedCase]:
        return lambda: corrupted(load_case(case, preprocessing), "gaussian", sigma, seed, preprocessing)

    given = ((case, reader(case)) for case in cases)
    options: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "fusion": fusion}
    return segment_each(engine, given, preprocessing, **options, states=states, recognise=recognise)


def corrupted(loaded: LoadedCase, kind: str, sigma: float, seed: int, preprocessing: Preprocessing) -> LoadedCase:
    """A case with a degraded image, see ``degrade``."""
    if kind == "gaussian" and sigma == 0:
        return loaded
    image = degrade(loaded.image, kind, sigma, seed, loaded.digest, axes=preprocessing.axes)
    return replace(loaded, image=image, made=None)


def segment_each(
    engine: Engine,
    given: Iterable[tuple[Case, Callable[[], LoadedCase]]],
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    seed: int,
    fusion: str = "mean",
    states: bool = False,
    recognise: bool = False,
) -> Iterator[Segmented]:
    """Segment what is given, each case with the function that reads it when its turn comes; a case may come several times.

    The members of an ensemble count: there are as many tiles as have ``batch_size`` members among them, but at least one;
    and so many for each device of the engine.
    They are fused as ``ldseg.inference.fusion`` says. With ``states``, the states of each run are kept for looking at;
    with ``recognise``, images are measured, see ``Segmented.signature``.

    Where another size of a batch would have to be compiled, the last one is padded to full size. Where nothing is
    compiled, a thread works ahead while the caller writes and draws.
    """
    found = _segmented(engine, given, preprocessing, batch_size, seed, fusion, {"states": states, "features": recognise})
    return found if engine.whole_batches else ahead(found)


def _segmented(
    engine: Engine,
    given: Iterable[tuple[Case, Callable[[], LoadedCase]]],
    preprocessing: Preprocessing,
    batch_size: int,
    seed: int,
    fusion: str,
    more: Mapping[str, bool],
) -> Iterator[Segmented]:
    batch_size = engine.together(batch_size)
    entries: deque[_Entry] = deque()
    waiting: list[tuple[_Entry, tuple[int, ...]]] = []
    for case, read in given:
        entry = _Entry(case, read, engine, preprocessing, seed)
        entries.append(entry)
        for start in entry.tiled.tiling.starts if entry.tiled is not None else ():
            waiting.append((entry, start))
            if len(waiting) == batch_size:
                _run(engine, waiting, batch_size, more)
                waiting = []
        while entries and entries[0].done:
            yield entries.popleft().close(preprocessing, fusion)
    if waiting:
        _run(engine, waiting, batch_size, more)
    for entry in entries:
        yield entry.close(preprocessing, fusion)


def _run(engine: Engine, waiting: list[tuple[_Entry, tuple[int, ...]]], batch_size: int, more: Mapping[str, bool]) -> None:
    """Segment a batch of tiles; where it takes too much memory, one after the other."""
    waiting = [(entry, start) for entry, start in waiting if entry.tiled is not None]
    if not waiting:
        return
    try:
        _drawn(engine, waiting, batch_size, more)
    except Exception as error:
        if not no_memory(error):
            raise
        for entry, start in waiting:
            if entry.tiled is None:
                continue
            try:
                with memory_told(str(entry.case.image), "segment it"):
                    _drawn(engine, [(entry, start)], 1, more)
            except DataError as told:
                entry.fail(told)


def _drawn(engine: Engine, waiting: list[tuple[_Entry, tuple[int, ...]]], batch_size: int, more: Mapping[str, bool]) -> None:
    started = time.perf_counter()
    tiles = [entry.tiled.tile(start) for entry, start in waiting if entry.tiled is not None]
    if engine.whole_batches:
        tiles += tiles[-1:] * (batch_size - len(tiles))
    drawn = engine.run({name: np.stack([tile[name] for tile in tiles]) for name in tiles[0]}, **more)
    share = (time.perf_counter() - started) / len(waiting)
    for index, (entry, start) in enumerate(waiting):
        entry.seconds += share
        if entry.tiled is not None:
            if drawn.features is not None and more["features"]:
                entry.tiled.recognise(start, drawn.features[index])
            entry.tiled.add(start, drawn.probabilities[index], None if drawn.states is None else drawn.states[index])
