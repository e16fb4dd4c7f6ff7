"""What is measured of images to tell whether they are like those that weights learned from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ldseg.augmentation.colours import jitter_colours
from ldseg.augmentation.strength import STRENGTHS
from ldseg.base.bars import along
from ldseg.data.cases import Case, LoadedCase, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.evaluation.familiarity import FEWEST, FEWEST_GROUPS, Familiarity, Signature, fit_familiarity, signature_of
from ldseg.evaluation.magnification import DIRECTIONS, FACTOR
from ldseg.inference.tiles import cover
from ldseg.spec import SegmenterSpec

logger = logging.getLogger(__name__)

MOST_CASES, MOST_HELD_BACK, MOST_TILES = 300, 100, 4
"""Cases of training and others that a fit looks at, and tiles of each."""

SMALLEST = 8 * FACTOR
"""Pixels of a side of an image that is shown at other magnifications."""

DRAWS = 2
"""So often each."""

Encode = Callable[[np.ndarray], np.ndarray]
"""From images ``(B, *S, ci)`` to their features, see ``ldseg.inference.engine.Drawn``."""


def fit(
    encode: Encode,
    spec: SegmenterSpec,
    preprocessing: Preprocessing,
    training: Sequence[Case],
    held_back: Sequence[Case] = (),
    *,
    augmentation: str = "none",
    seed: int = 0,
    seconds: float = 60.0,
) -> Familiarity | None:
    """Fit what weights learned from, see ``ldseg.evaluation.familiarity``; of many cases to a sample.

    Args:
        encode: the image encoder of the weights.
        spec: what the networks are.
        preprocessing: of the cases.
        training: what they learned from.
        held_back: what they did not learn from.
        augmentation: how training changed the colours of images.
        seed: of the sample and of those changes.
        seconds: after so many, no more cases of training are looked at, but as few as a fit takes.

    Returns:
        None where there are too few.
    """
    rng, since = np.random.default_rng(seed), time.perf_counter()
    own: list[list[Signature]] = []
    groups: list[str] = []
    colours, others = [], []
    zoomed: list[list[Mapping[str, Signature]]] = []

    def some(loaded: LoadedCase, image: np.ndarray, most: int = MOST_TILES) -> list[np.ndarray]:
        parts = tiles_of(image, loaded.spacing, spec, preprocessing)
        return [parts[index] for index in sorted(rng.permutation(len(parts))[:most])]

    def signatures(tiles: Sequence[np.ndarray]) -> list[Signature]:
        return [signature_of(encode(image[np.newaxis])[0], image) for image in tiles]

    for case in _sample(held_back, rng, MOST_HELD_BACK):
        if (loaded := _loaded(case, preprocessing)) is not None:
            others.append(signatures(some(loaded, loaded.image)))
    some_cases = _sample(training, rng, MOST_CASES)
    for case in along(some_cases, len(some_cases), "learning what is familiar"):
        enough = sum(map(len, own)) >= FEWEST and len(set(groups)) >= FEWEST_GROUPS
        if enough and time.perf_counter() - since > seconds:
            break
        if (loaded := _loaded(case, preprocessing)) is None:
            continue
        tiles = some(loaded, loaded.image)
        own.append(signatures(tiles))
        groups.append(case.group)
        if augmentation in STRENGTHS:
            changed = (jitter_colours(each, len(spec.axes) - 2, rng, STRENGTHS[augmentation]) for each in tiles)
            colours.append(signatures(list(changed)))
        zoomed.append([])
        for _ in range(DRAWS):
            if moved := at_other_magnifications(loaded.image, spec.axes, preprocessing, rng):
                shown = {name: some(loaded, image, 1) for name, image in moved.items()}
                zoomed[-1].append({name: signatures(part)[0] for name, part in shown.items()})
    return fit_familiarity(own, groups, others, colours, zoomed)


def at_other_magnifications(
    image: np.ndarray, axes: str, preprocessing: Preprocessing, rng: np.random.Generator
) -> Mapping[str, np.ndarray]:
    """An image shown larger and smaller, by ``DIRECTIONS``, of the same size.

    Larger is a part of it; smaller, what would lie around it are its mirror images. Nothing for volumes, whose spacing is
    known, and for images below ``SMALLEST``.

    Args:
        image: float32 ``(*S, c)`` in [0, 1].
        axes: of S.
        preprocessing: that resamples it.
        rng: draws the part.
    """
    size, plane = image.shape[:-1], image.shape[-3:-1]
    if "Z" in axes or min(plane) < SMALLEST:
        return {}
    part = tuple(length // FACTOR for length in plane)
    corner = [int(rng.integers(0, length - short + 1)) for length, short in zip(plane, part, strict=True)]
    rows, columns = (slice(start, start + short) for start, short in zip(corner, part, strict=True))
    larger = preprocessing.image_to_grid(image[..., rows, columns, :], size)
    small = preprocessing.image_to_grid(image, (*size[:-2], *part))
    around = [(start, length - short - start) for start, length, short in zip(corner, plane, part, strict=True)]
    smaller = np.pad(small, [*((0, 0) for _ in size[:-2]), *around, (0, 0)], mode="symmetric")
    return dict(zip(DIRECTIONS, (larger, smaller), strict=True))


def _sample(cases: Sequence[Case], rng: np.random.Generator, most: int) -> list[Case]:
    return [cases[index] for index in rng.permutation(len(cases))[:most]]


def _loaded(case: Case, preprocessing: Preprocessing) -> LoadedCase | None:
    """A case in memory; None for one that cannot be read."""
    try:
        return load_case(case, preprocessing)
    except DataError as error:
        logger.warning("not looked at: %s", error)
        return None


def tiles_of(
    image: np.ndarray, spacing: Sequence[float] | None, spec: SegmenterSpec, preprocessing: Preprocessing
) -> list[np.ndarray]:
    """The tiles of an image ``(*S, c)`` as the network sees them."""
    grid = preprocessing.grid_of(image.shape[:-1], spacing)
    tiling = cover(grid, spec.size, spec.strides)
    padded = tiling.pad(preprocessing.image_to_grid(image, grid))
    return [padded[tiling.window(start)] for start in tiling.starts]
