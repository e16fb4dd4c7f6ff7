"""Samples laid around an object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROOM = 1.6
"""Lengths of what is cut out, in patches: room for a sample to be turned, scaled down and moved."""


def around(
    image: np.ndarray, label: np.ndarray, index: int, patch: Sequence[int], axes: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The surroundings of a place of a class, from which a sample is then drawn as from a whole case.

    Along space they are `ROOM` patches long, so that most samples drawn from them show the place; along time a patch.

    Args:
        image: ``(*S, c)``.
        label: classes ``(*S)``.
        index: the class; where the label does not show it, everything is returned.
        patch: lengths of a sample.
        axes: of S.
        rng: draws the place.

    Returns:
        views of both.
    """
    places = np.flatnonzero(label == index)
    if not places.size:
        return image, label
    place = np.unravel_index(places[rng.integers(places.size)], label.shape)
    window = []
    for at, whole, part, axis in zip(place, label.shape, patch, axes, strict=True):
        length = min(whole, part if axis == "T" else round(ROOM * part))
        # Anywhere along time; in space in the middle half, which samples seldom leave out.
        margin = 0 if axis == "T" else length // 4
        start = int(at) - int(rng.integers(margin, max(length - margin, margin + 1)))
        start = min(max(start, 0), whole - length)
        window.append(slice(start, start + length))
    return image[tuple(window)], label[tuple(window)]
