"""What the probabilities that networks give are made into: classes and masks. Needs no Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ldseg.errors import DataError


def check_numbers(probabilities: np.ndarray, path: str | Path) -> None:
    """See that networks gave numbers: what is none would be background in a mask, without a word.

    Args:
        probabilities: as an engine gives them.
        path: of the image.

    Raises:
        DataError: some are NaN or infinite.
    """
    if not np.isfinite(probabilities.sum()):
        raise DataError(f"{path}: the weights give what is no number (NaN) for it; are they damaged?")


def classes_of(parts: np.ndarray, outline: bool) -> np.ndarray:
    """Probabilities of parts ``(..., P)`` to those of classes ``(..., C)``: the outline belongs to the object.

    Args:
        parts: as an engine gives them.
        outline: ``SegmenterSpec.outline``; without it they are those of the classes already.
    """
    if not outline:
        return parts
    classes = np.empty((*parts.shape[:-1], parts.shape[-1] - 1), parts.dtype)
    for index in range(parts.shape[-1] - 2):  # one after the other: a copy of several is slow
        classes[..., index] = parts[..., index]
    np.add(parts[..., -2], parts[..., -1], out=classes[..., -1])
    return classes


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """The most probable class of ``(*S, C)``, of equal ones the first: int32 ``(*S)``."""
    if probabilities.shape[-1] == 2:  # the same as argmax, which is slow for two numbers each
        return (probabilities[..., 1] > probabilities[..., 0]).astype(np.int32)
    return np.argmax(probabilities, axis=-1).astype(np.int32)
