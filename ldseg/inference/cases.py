"""From cases on disk to segmented cases: tile by tile, what comes next read and what came closed meanwhile."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ldseg.base.scratch import release, scratch
from ldseg.data.cases import Case, LoadedCase, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError, memory_told, no_memory
from ldseg.evaluation.familiarity import Signature, signature_of
from ldseg.evaluation.quality import SignSums
from ldseg.inference.ahead import ahead
from ldseg.inference.cores import cores
from ldseg.inference.degradation import degrade
from ldseg.inference.engine import Drawn, Engine
from ldseg.inference.fusion import fuse_labels, labels_of
from ldseg.inference.parts import check_numbers, classes_of, most_probable
from ldseg.inference.segmented import Segmented
from ldseg.inference.tiled import TiledCase
from ldseg.inference.uncertainty import Moments, predictive_entropy

SLAB_VALUES = 1 << 22
"""Probabilities of a volume or a video at its own size that are in memory at a time."""

_MOST_AHEAD = 1 << 25
"""Values of an image from which on it is large: the next case is not read before it is segmented."""

Start = tuple[int, ...]


class _Entry:
    """A case on its way, in the order of the cases."""

    def __init__(
        self,
        case: Case,
        read: Callable[[], LoadedCase],
        engine: Engine,
        preprocessing: Preprocessing,
        seed: int,
        learning: bool = False,
    ) -> None:
        started, self._learning = time.perf_counter(), learning
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

    @property
    def large(self) -> bool:
        """Whether two of its kind should not be in memory for nothing."""
        return self.loaded is not None and (len(self.loaded.size) > 2 or math.prod(self.loaded.size) > _MOST_AHEAD)

    @property
    def starts(self) -> tuple[Start, ...]:
        """Of its tiles; none of a case that is left out."""
        return () if self.tiled is None else self.tiled.tiling.starts

    def fail(self, error: DataError) -> None:
        """Leave it out."""
        self.problem, self.loaded, self.tiled = str(error), None, None

    def take(self, start: Start, made: _Made, seconds: float) -> None:
        """One of its tiles is segmented."""
        self.seconds += seconds
        if self.tiled is None:
            return
        try:
            if not self._learning:
                check_numbers(made.probabilities, self.case.image)
        except DataError as error:
            self.fail(error)
        else:
            self.tiled.add(start, made.probabilities, made.states, made.signature)

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
        several = len(self.tiled.totals) > 1
        for member in self.tiled.members():
            parts = preprocessing.probabilities_to_case(member, self.loaded.size)
            own = classes_of(parts, self.tiled.outline)
            moments.add(own)
            if several:
                labels.append(labels_of(own))
            if self.tiled.outline:
                outlines.add(parts[..., -1:].copy())  # not all of them
        found: dict[str, Any] = {"probabilities": moments.mean}
        if self.tiled.outline:
            grid = preprocessing.grid_of(self.loaded.size, self.loaded.spacing)
            smallest = preprocessing.smallest * math.prod(self.loaded.size) / math.prod(grid)
            video = preprocessing.axes.startswith("T")
            found |= {"outline": outlines.mean[..., 0], "smallest": smallest, "video": video}
        if several:
            found |= {"members": np.stack(labels), "variance": moments.variance}
            if fusion != "mean":
                found["fused"] = fuse_labels(found["members"], moments.mean, fusion)
        seconds = self.seconds + time.perf_counter() - started
        found |= {"states": self.tiled.states, "signature": self.tiled.signature, "unions": preprocessing.unions}
        return Segmented(case=self.case, loaded=self.loaded, seconds=seconds, **found)

    def _in_slabs(self, loaded: LoadedCase, tiled: TiledCase, preprocessing: Preprocessing, started: float) -> Segmented:
        """A volume or a video: its probabilities at its own size, which fill the memory, are looked at and let go."""
        tiled.let_go()
        (member,) = tiled.members()
        mask, sums = scratch(loaded.size, np.int32), SignSums(member.shape[-1], preprocessing.unions)
        rows = max(1, SLAB_VALUES // (math.prod(loaded.size[1:]) * member.shape[-1]))

        def look(slab: tuple[slice, Callable[[], np.ndarray]]) -> dict[str, Any]:
            place, make = slab
            part, own = make(), SignSums(member.shape[-1], preprocessing.unions)
            mask[place] = most_probable(part)
            own.add(part, mask[place], predictive_entropy(part))
            release(mask)
            release(member)
            return own.told()

        # As many at a time as there are cores, their sums in the order of the slabs.
        with ThreadPoolExecutor(cores(), "slabs") as pool:
            for told in pool.map(look, preprocessing.slabs_of_case(member, loaded.size, rows)):
                sums.add_told(told)
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
    learning: bool = False,
) -> Iterator[Segmented]:
    """Segment cases in their order, ``batch_size`` tiles at a time and at most about as many cases in memory.

    A case that cannot be read is yielded with its problem, and the others go on. On each image lies Gaussian noise of
    ``sigma``, see ``degrade``. For the rest see ``segment_each``.
    """

    def reader(case: Case) -> Callable[[], LoadedCase]:
        return lambda: degraded(load_case(case, preprocessing), "gaussian", sigma, seed, preprocessing)

    given = ((case, reader(case)) for case in cases)
    options: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "fusion": fusion}
    return segment_each(engine, given, preprocessing, **options, states=states, recognise=recognise, learning=learning)


def degraded(loaded: LoadedCase, kind: str, sigma: float, seed: int, preprocessing: Preprocessing) -> LoadedCase:
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
    learning: bool = False,
) -> Iterator[Segmented]:
    """Segment what is given, each case with the function that reads it when its turn comes; a case may come several times.

    The members of an ensemble count: there are as many tiles as have ``batch_size`` members among them, but at least one;
    and so many for each device of the engine.
    They are fused as ``ldseg.inference.fusion`` says. With ``states``, the states of each run are kept for looking at;
    with ``recognise``, images are measured, see ``Segmented.signature``. A case of which the weights make what is no number
    is left out; while they are ``learning`` it counts as background.

    Where another size of a batch would have to be compiled, tiles go in batches, and the last one is padded to full size.
    Where nothing is compiled, a thread works ahead while the caller writes and draws. Where the engine takes several calls
    at the same time, tiles go one by one to as many threads, and another thread reads what comes next.
    """
    batch_size, more = engine.together(batch_size), {"states": states, "features": recognise}
    entries = (_Entry(case, read, engine, preprocessing, seed, learning) for case, read in given)
    if engine.whole_batches or engine.parallel == 1:
        found = (entry.close(preprocessing, fusion) for entry in _in_batches(engine, entries, batch_size, more))
        return found if engine.whole_batches else ahead(found)
    read_ahead = ahead(entries, batch_size, patient=lambda entry: entry.large)
    done = _side_by_side(engine, read_ahead, batch_size, more)
    if len(preprocessing.axes) == 2:
        return (entry.close(preprocessing, fusion) for entry in ahead(done))
    return ahead(entry.close(preprocessing, fusion) for entry in done)  # large: closed before the next is begun


def _side_by_side(engine: Engine, entries: Iterable[_Entry], batch_size: int, more: Mapping[str, bool]) -> Iterator[_Entry]:
    """The entries in their order, segmented; ``batch_size`` tiles are under way at a time."""
    order: deque[_Entry] = deque()
    under_way: deque[tuple[_Entry, Start, Future[_Made]]] = deque()

    def collect() -> None:
        entry, start, future = under_way.popleft()
        try:
            made = future.result()
        except Exception as error:
            if not no_memory(error):
                raise
            for _, _, other in under_way:
                other.exception()  # once more, alone
            _again(engine, [(entry, start)], more)
            return
        entry.take(start, made, made.seconds / threads)

    threads = min(engine.parallel, batch_size)
    with ThreadPoolExecutor(threads, "tiles") as pool:
        try:
            for entry in entries:
                order.append(entry)
                for start in entry.starts:
                    while len(under_way) >= batch_size:
                        collect()
                    if entry.tiled is not None:
                        under_way.append((entry, start, pool.submit(_one, engine, entry.tiled, start, more)))
                while entry.large and under_way:
                    collect()
                while order and order[0].done:
                    yield order.popleft()
            while under_way:
                collect()
            yield from order
        finally:
            for _, _, future in under_way:
                future.cancel()


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A tile, segmented: what ``TiledCase.add`` takes, and the seconds that it took."""

    probabilities: np.ndarray
    states: np.ndarray | None
    signature: Signature | None
    seconds: float = 0.0


def _made(drawn: Drawn, index: int, image: np.ndarray, recognise: bool) -> _Made:
    """Of one tile of a batch, its image measured where that is asked for."""
    return _Made(
        probabilities=drawn.probabilities[index],
        states=None if drawn.states is None else drawn.states[index],
        signature=signature_of(drawn.features[index], image) if recognise and drawn.features is not None else None,
    )


def _one(engine: Engine, tiled: TiledCase, start: Start, more: Mapping[str, bool]) -> _Made:
    """Segment a tile by itself."""
    started, tile = time.perf_counter(), tiled.tile(start)
    drawn = engine.run({name: array[np.newaxis] for name, array in tile.items()}, **more)
    made = _made(drawn, 0, tile["image"], more["features"])
    return replace(made, seconds=time.perf_counter() - started)


def _in_batches(engine: Engine, entries: Iterable[_Entry], batch_size: int, more: Mapping[str, bool]) -> Iterator[_Entry]:
    """The entries in their order, segmented; each batch has the same size."""
    order: deque[_Entry] = deque()
    waiting: list[tuple[_Entry, Start]] = []
    for entry in entries:
        order.append(entry)
        for start in entry.starts:
            waiting.append((entry, start))
            if len(waiting) == batch_size:
                _run(engine, waiting, batch_size, more)
                waiting = []
        while order and order[0].done:
            yield order.popleft()
    if waiting:
        _run(engine, waiting, batch_size, more)
    yield from order


def _run(engine: Engine, waiting: list[tuple[_Entry, Start]], batch_size: int, more: Mapping[str, bool]) -> None:
    """Segment a batch of tiles; where it takes too much memory, one after the other."""
    waiting = [(entry, start) for entry, start in waiting if entry.tiled is not None]
    if not waiting:
        return
    try:
        _drawn(engine, waiting, batch_size, more)
    except Exception as error:
        if not no_memory(error):
            raise
        _again(engine, waiting, more)


def _again(engine: Engine, waiting: list[tuple[_Entry, Start]], more: Mapping[str, bool]) -> None:
    """Segment tiles one after the other; a case that takes too much memory even so is left out."""
    for entry, start in waiting:
        if entry.tiled is None:
            continue
        try:
            with memory_told(str(entry.case.image), "segment it"):
                _drawn(engine, [(entry, start)], 1, more)
        except DataError as told:
            entry.fail(told)


def _drawn(engine: Engine, waiting: list[tuple[_Entry, Start]], batch_size: int, more: Mapping[str, bool]) -> None:
    started = time.perf_counter()
    tiles = [entry.tiled.tile(start) for entry, start in waiting if entry.tiled is not None]
    if engine.whole_batches:
        tiles += tiles[-1:] * (batch_size - len(tiles))
    drawn = engine.run({name: np.stack([tile[name] for tile in tiles]) for name in tiles[0]}, **more)
    share = (time.perf_counter() - started) / len(waiting)
    for index, (entry, start) in enumerate(waiting):
        entry.take(start, _made(drawn, index, tiles[index]["image"], more["features"]), share)
