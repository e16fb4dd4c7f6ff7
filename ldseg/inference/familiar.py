"""What is measured of images to tell whether they are like those that weights learned from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from ldseg.augmentation.colours import jitter_colours
from ldseg.augmentation.strength import STRENGTHS
from ldseg.data.cases import Case, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.evaluation.familiarity import Familiarity, Signature, fit_familiarity, measure, signature_of
from ldseg.inference.tiles import cover
from ldseg.spec import SegmenterSpec

logger = logging.getLogger(__name__)

MOST_CASES, MOST_HELD_BACK, MOST_TILES = 300, 100, 4
"""Cases of training and others that a fit looks at, and tiles of each."""

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
        seconds: after so many, no more cases of training are looked at.

    Returns:
        None where there are too few.
    """
    rng, since = np.random.default_rng(seed), time.perf_counter()
    own, groups, colours, others = [], [], [], []
    for case in _sample(held_back, rng, MOST_HELD_BACK):
        if tiles := _tiles(case, spec, preprocessing, rng):
            others.append([_signature(encode, image) for image in tiles])
    for case in _sample(training, rng, MOST_CASES):
        if time.perf_counter() - since > seconds:
            break
        if tiles := _tiles(case, spec, preprocessing, rng):
            own.append([_signature(encode, image) for image in tiles])
            groups.append(case.group)
            if augmentation in STRENGTHS:
                changed = (jitter_colours(each, len(spec.axes) - 2, rng, STRENGTHS[augmentation]) for each in tiles)
                colours.append([{"intensities": measure(each)["intensities"]} for each in changed])
    return fit_familiarity(own, groups, others, colours)


def _sample(cases: Sequence[Case], rng: np.random.Generator, most: int) -> list[Case]:
    return [cases[index] for index in rng.permutation(len(cases))[:most]]


def _tiles(case: Case, spec: SegmenterSpec, preprocessing: Preprocessing, rng: np.random.Generator) -> list[np.ndarray]:
    """Some tiles of a case as the network sees them; none of one that cannot be read."""
    try:
        loaded = load_case(case, preprocessing)
    except DataError as error:
        logger.warning("not looked at: %s", error)
        return []
    grid = preprocessing.grid_of(loaded.size, loaded.spacing)
    tiling = cover(grid, spec.size, spec.strides)
    image = tiling.pad(preprocessing.image_to_grid(loaded.image, grid))
    chosen = rng.permutation(len(tiling.starts))[:MOST_TILES]
    return [image[tiling.window(tiling.starts[index])] for index in sorted(chosen)]


def _signature(encode: Encode, image: np.ndarray) -> Signature:
    return signature_of(encode(image[np.newaxis])[0], image)
