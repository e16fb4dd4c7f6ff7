"""From cases on disk to segmented cases, a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ldseg.data.cases import Case, LoadedCase, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.inference.noise import noisy_image
from ldseg.inference.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """One case, segmented or not.

    Attributes:
        case: where it comes from.
        loaded: the case as read, the noise of ``sigma`` on its image; None if it could not be read.
        probabilities: float32 ``(*S, C)`` on the case's own grid; None if it could not be read.
        problem: what was wrong with it; empty if nothing was.
        seconds: reading, segmenting (its share of the batch) and resampling.
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


def segment_cases(
    predictor: Predictor,
    cases: Iterable[Case],
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    seed: int,
    sigma: float = 0.0,
) -> Iterator[Segmented]:
    """Segment cases in their order, at most ``batch_size`` of them in memory.

    A case that cannot be read is yielded with its problem, and the others go on. The last batch is padded to full size,
    so that the compiled call has one shape, and a mask does not depend on how many cases there are.
    """
    remaining = iter(cases)
    while batch := list(islice(remaining, batch_size)):
        yield from _segment_batch(predictor, batch, preprocessing, batch_size, seed, sigma)


def _segment_batch(
    predictor: Predictor, batch: list[Case], preprocessing: Preprocessing, size: int, seed: int, sigma: float
) -> Iterator[Segmented]:
    read: list[tuple[Case, LoadedCase, float]] = []
    failed: dict[str, Segmented] = {}
    for case in batch:
        started = time.perf_counter()
        try:
            loaded = _load(case, preprocessing, seed, sigma)
        except DataError as error:
            failed[case.name] = Segmented(case=case, problem=str(error), seconds=time.perf_counter() - started)
        else:
            read.append((case, loaded, time.perf_counter() - started))
    started = time.perf_counter()
    inputs = [
        (preprocessing.image_to_grid(loaded.image), predictor.draw_noise(seed, case.name)) for case, loaded, _ in read
    ]
    probabilities: np.ndarray = np.empty(0)
    if inputs:
        padded = inputs + inputs[-1:] * (size - len(inputs))
        probabilities = np.asarray(
            predictor.predict_on_batch(
                {"image": np.stack([image for image, _ in padded]), "noise": np.stack([noise for _, noise in padded])}
            ),
            dtype=np.float32,
        )
    share = (time.perf_counter() - started) / max(len(read), 1)
    done = {}
    for (case, loaded, reading), grid in zip(read, probabilities, strict=False):
        started = time.perf_counter()
        own = preprocessing.probabilities_to_case(grid, loaded.size)
        seconds = reading + share + time.perf_counter() - started
        done[case.name] = Segmented(case=case, loaded=loaded, probabilities=own, seconds=seconds)
    for case in batch:
        yield failed[case.name] if case.name in failed else done[case.name]


def _load(case: Case, preprocessing: Preprocessing, seed: int, sigma: float) -> LoadedCase:
    loaded = load_case(case, preprocessing)
    return LoadedCase(
        name=loaded.name,
        image=noisy_image(loaded.image, sigma, seed, case.name),
        label=loaded.label,
        size=loaded.size,
    )
