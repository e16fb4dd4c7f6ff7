"""Batches for training, read from disk as they are needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from ldseg.augmentation.augment import augment
from ldseg.data.cases import Case, load_case
from ldseg.data.disk import DiskCache
from ldseg.data.focus import around
from ldseg.data.labels import filled
from ldseg.data.outline import label_on_grid
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError

logger = logging.getLogger(__name__)

OTHERS = 32
"""Cases that are tried in place of one that cannot be read; when none of them can, something else is wrong."""

LOOKS = 8
"""Cases that are looked at for one that shows a class, where it is not known which do."""

TERMS = ("segmentation", "diffusion", "autoencoder")
"""The terms of the loss."""

Batch = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


class TrainingBatches(keras.utils.PyDataset):
    """Augmented samples with the randomness of their diffusion, as a function of seed, epoch and position.

    Prepared cases are kept in memory up to a bound, further ones on disk, others are read again each time they are needed. A
    case that cannot be read is told once, and another one that is drawn stands in for it. All random numbers
    of a training, the order of the cases, the augmentation, the times and the noise, are drawn here, so that a training
    that goes on after an interruption sees just what it would have seen. Each epoch visits every case as often as
    ``samples_per_case`` says; its last batch is filled up from the start of the epoch's order. The length is that of an
    epoch, while batches are numbered through all epochs.

    To Keras it is a data set without end or epochs, and without workers: with them, Keras asks for batches of the next epoch
    before it says that this one is over.

    A batch is a pair. The first is a dict: ``image`` float32 ``(B, *P, ci)`` in [0, 1], ``label`` int32 ``(B, *P)``, where
    the label says nothing as ``ldseg.data.labels.filled`` makes it up, ``time`` int32 ``(B,)`` from 1 to T, ``recycle``
    float32 ``(B,)``, 0 or 1, and standard normal float32
    ``(B, *L, c)`` by the names ``noise``,
    ``first_noise`` and ``latent_noise``. The second holds a zero for each case and term of the loss, the least that each
    can be (see ``ldseg.training.Trainer``, which has the label among its inputs, as it encodes it).

    Args:
        cases: labelled cases.
        preprocessing: from a case to the grid of the network.
        batch_size: B.
        patch: P, what one sample sees of the grid.
        latent_shape: ``(*L, c)``.
        timesteps: T.
        augmentation: a kind of ``ldseg.augmentation.augment``.
        outline: whether labels hold the outlines of objects, see ``ldseg.data.outline``.
        recycling: probability of ``recycle``.
        seed: of everything random.
        samples_per_case: samples of each case in an epoch.
        focus: probability that a sample is drawn by class in place of its turn: every class as often as the others, then a
            case that shows it, then a place in it, see ``ldseg.data.focus``.
        shown: names of the cases that show each class, by its number.
        sampled: whether ``shown`` tells of a sample of the cases. Then a case for a class is looked for among all: the first
            of `LOOKS` that shows it, else one of the sample.
        cache: megabytes of prepared cases to keep in memory.
        disk: where those are kept that do not fit, if anywhere.
        epoch: the epoch to begin with.
        share: which share of every batch is made, and of how many: (i, n) with i from 0. Samples are the same whatever
            the shares, as they depend on their place in the whole batch, of which B / n are made here.
        workers: threads that prepare batches; 0 for none.

    Attributes:
        problems: by name, what is wrong with cases that could not be read, one line each.

    Raises:
        DataError: if there is no case.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        patch: tuple[int, ...],
        latent_shape: tuple[int, ...],
        timesteps: int,
        augmentation: str,
        recycling: float,
        seed: int,
        outline: bool = False,
        samples_per_case: int = 1,
        focus: float = 0.0,
        shown: Mapping[int, Sequence[str]] | None = None,
        sampled: bool = False,
        cache: int = 0,
        disk: DiskCache | None = None,
        epoch: int = 0,
        share: tuple[int, int] = (0, 1),
        workers: int = 0,
    ) -> None:
        super().__init__()
        if not cases:
            raise DataError("no labelled case to train on")
        self.cases = tuple(cases) * samples_per_case
        self.preprocessing = preprocessing
        self.batch_size = batch_size
        self.patch = patch
        self.latent_shape = latent_shape
        self.timesteps = timesteps
        self.augmentation = augmentation
        self.recycling = recycling
        self.seed = seed
        self.focus = focus
        named = {case.name: case for case in cases}
        by_class = {index: [named[name] for name in names if name in named] for index, names in (shown or {}).items()}
        self._shown = [(index, those) for index, those in sorted(by_class.items()) if those]
        self._sampled = sampled
        self.problems: dict[str, str] = {}
        self._disk, self._overflows = disk, False
        self.outline = outline
        self._cache: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._room = cache * 10**6
        self.epoch = epoch
        self.share = share
        self._threads = workers
        self._pool = ThreadPoolExecutor(max(workers, 1))
        self._ahead: dict[int, Future[Batch]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return -(-len(self.cases) // self.batch_size)

    @property
    def num_batches(self) -> None:
        """No end."""

    def __getitem__(self, index: int) -> Batch:
        """A batch, counted from the start of ``epoch``; the workers go on with the next ones."""
        index += self.epoch * len(self)
        with self._lock:
            # Keras may begin again, or in two places at once.
            wanted = range(index, index + 1 + 2 * self._threads)
            self._ahead = {i: self._ahead.get(i) or self._pool.submit(self.batch, i) for i in wanted}
            found = self._ahead.pop(index)
        return found.result()

    def close(self) -> None:
        """Prepare no more batches; what is being prepared ends unheard."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def batch(self, index: int) -> Batch:
        """This share of a batch, counted from the start of the training."""
        epoch, index = divmod(index, len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.cases))
        number, shares = self.share
        size = self.batch_size // shares
        positions = range(index * self.batch_size + number * size, index * self.batch_size + (number + 1) * size)
        samples = [self._sample(self.cases[order[position % len(order)]], epoch, position) for position in positions]
        inputs = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
        return inputs, {name: np.zeros(size, np.float32) for name in TERMS}

    def _sample(self, case: Case, epoch: int, position: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, epoch, position])
        focused = self._shown and self.focus > 0 and rng.random() < self.focus
        image, label = augment(
            *(self._focused(rng) if focused else self._readable(case, [epoch, position])),
            kind=self.augmentation,
            patch=self.patch,
            axes=self.preprocessing.axes,
            rng=rng,
        )
        noises = rng.standard_normal((3, *self.latent_shape), dtype=np.float32)
        return {
            "image": image,
            "label": label,
            "time": np.int32(rng.integers(1, self.timesteps, endpoint=True)),
            "recycle": np.float32(rng.random() < self.recycling),
            "noise": noises[0],
            "first_noise": noises[1],
            "latent_noise": noises[2],
        }

    def _focused(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The surroundings of a place of a class, both drawn."""
        index, those = self._shown[rng.integers(len(self._shown))]
        for _ in range(LOOKS if self._sampled else 0):
            image, label = self._readable(self.cases[rng.integers(len(self.cases))], rng.integers(1 << 32, size=2).tolist())
            if (label == index).any():
                return around(image, label, index, self.patch, self.preprocessing.axes, rng)
        chosen = those[rng.integers(len(those))]
        image, label = self._readable(chosen, [index, len(those)])
        return around(image, label, index, self.patch, self.preprocessing.axes, rng)

    def _readable(self, case: Case, place: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Image and label of a case or, where it cannot be read, of another one that seed and place draw."""
        others = np.random.default_rng([self.seed, *place, 1])
        first: DataError | None = None
        for _ in range(OTHERS):
            try:
                return self._prepared(case)
            except DataError as error:
                first = first or error
                with self._lock:
                    if case.name not in self.problems:
                        logger.error("left out %s: %s", case.name, error)
                    self.problems[case.name] = str(error)
                case = self.cases[others.integers(len(self.cases))]
        assert first is not None
        raise first

    def _prepared(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """Image and label on the grid of the network."""
        if case.name in self._cache:
            return self._cache[case.name]
        key = self._disk.key(case) if self._disk is not None and self._overflows else None
        if self._disk is not None and key is not None and (found := self._disk.load(key)) is not None:
            return found
        prepared = self._decoded(case)
        needed = sum(array.nbytes for array in prepared)
        with self._lock:  # several threads may have prepared it at the same time
            if case.name in self._cache:
                return self._cache[case.name]
            if needed <= self._room:
                self._room -= needed
                self._cache[case.name] = prepared
                return prepared
            self._overflows = True
        if self._disk is not None and key is not None:
            self._disk.keep(case, key, prepared)
        return prepared

    def _decoded(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """The same, from the files."""
        step = self.preprocessing
        loaded = load_case(case, step)
        if loaded.label is None:
            raise DataError(f"{case.image}: expected a label to train on, got none")
        grid = step.grid_of(loaded.size, loaded.spacing)
        label = label_on_grid(loaded, step, grid, self.outline)
        if step.ignores:
            label = filled(label, step.num_classes + self.outline)
        return step.image_to_grid(loaded.image, grid), label
