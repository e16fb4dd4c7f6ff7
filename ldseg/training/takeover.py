"""Networks that begin as others with other classes, channels or another size: what fits is taken over."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ldseg.base.text import few
from ldseg.data.intensity import LUMA
from ldseg.segmenter import Segmenter
from ldseg.training.start import Start
from ldseg.weights import load_segmenter

logger = logging.getLogger(__name__)

NETWORKS = ("label_encoder", "image_encoder", "denoiser", "label_decoder")

LOWER = 1.0
"""So much lower begins the logit of a class that is a copy of another: at first the masks are those of before."""

_COUNTED = re.compile(r"_\d+(?=[/_]|$)")
"""What Keras adds to names that a process has used before."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of the arrays of networks that start from others, by path.

    Attributes:
        whole: taken over as they are.
        fitted: taken over with other channels of the image or of the classes.
        fresh: that do not fit, and begin anew.
    """

    whole: tuple[str, ...]
    fitted: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        told = [f"{len(self.whole)} of {len(self.whole) + len(self.fitted) + len(self.fresh)} arrays as they are"]
        told += [f"fitted to other classes or channels: {few(self.fitted)}"] if self.fitted else []
        told += [f"anew, as they do not fit: {few(self.fresh)}"] if self.fresh else []
        return "; ".join(told)


def start_from(start: Start, segmenter: Segmenter, classes: Sequence[str]) -> Taken:
    """Set the weights of networks to those of others as far as they fit, and say what became of each.

    Args:
        start: the weights.
        segmenter: what they are for, of the same preset.
        classes: names of its classes, background first.
    """
    source, description = load_segmenter(start.folder, start.description.spec.own)
    taken = take_over(source, segmenter, description.preprocessing.classes, classes)
    logger.info("started from %s: %s", start.folder, taken)
    return taken


def take_over(source: Segmenter, target: Segmenter, before: Sequence[str], classes: Sequence[str]) -> Taken:
    """Set the weights of a segmenter to those of another of the same preset, as far as they fit.

    Layers belong together by network, place and name. An array of the same shape is taken as it is. The first layer of the
    image encoder is fitted to other channels so that it gives what it gave: a gray image counts as one of equal colours,
    a coloured one as its luma; further modalities begin at zero. The first layer of the label encoder and the last of the
    label decoder are fitted to other classes: one of the same name or, failing that, the same number goes on as what it
    was; one more begins as a copy of the last class with a logit that is lower by ``LOWER``. All else stays as it is.

    Args:
        source: what is taken from.
        target: what is set.
        before: classes of the source, background first.
        classes: those of the target.
    """
    whole, fitted, fresh = [], [], []
    for network in NETWORKS:
        old, new = (getattr(each, network).weights for each in (source, target))
        named = [_COUNTED.sub("", f"{network}/{variable.path}") for variable in new]
        if len(old) != len(new):
            fresh += named
            continue
        for index, (name, mine, theirs) in enumerate(zip(named, new, old, strict=True)):
            value = keras.ops.convert_to_numpy(theirs)
            if tuple(mine.shape) == value.shape:
                mine.assign(value)
                whole.append(name)
                continue
            found = None
            if network == "image_encoder":
                found = _other_channels(value, tuple(mine.shape))
            elif network != "denoiser":
                lower = network == "label_decoder" and index == _last_shift(new)
                found = _other_classes(value, tuple(mine.shape), before, classes, lower)
            if found is None:
                fresh.append(name)
            else:
                mine.assign(found)
                fitted.append(name)
    return Taken(whole=tuple(whole), fitted=tuple(fitted), fresh=tuple(fresh))


def _other_channels(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """The kernel ``(*window, channels, width)`` of a first layer for other channels; None where more than these differs."""
    if _differs(kernel.shape, shape) != len(shape) - 2:
        return None
    many, wanted = kernel.shape[-2], shape[-2]
    if (many, wanted) == (3, 1):
        return kernel.sum(axis=-2, keepdims=True)
    if (many, wanted) == (1, 3):
        return kernel * LUMA[:, np.newaxis]
    found = np.zeros(shape, kernel.dtype)
    found[..., : min(many, wanted), :] = kernel[..., : min(many, wanted), :]
    return found


def _other_classes(
    value: np.ndarray, shape: tuple[int, ...], before: Sequence[str], classes: Sequence[str], lower: bool
) -> np.ndarray | None:
    """An array with an axis of the classes for others; None where more than this axis differs."""
    axis = _differs(value.shape, shape)
    if axis is None:
        return None
    places, copied = _places(value.shape[axis], shape[axis], before, classes)
    found = np.take(value, places, axis=axis)
    if lower:
        found[..., copied] -= LOWER
    return found


def _places(many: int, wanted: int, before: Sequence[str], classes: Sequence[str]) -> tuple[list[int], list[int]]:
    """For each channel of the new classes the one of the old ones that it begins as, and which are copies."""
    known = {name.lower(): index for index, name in enumerate(before[:many])}
    places, copied = [], []
    for index in range(wanted):
        name = classes[index].lower() if index < len(classes) else ""
        place = 0 if index == 0 else known.get(name) or min(index, many - 1)
        if place in places:
            copied.append(index)
        places.append(place)
    return places, copied


def _differs(shape: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    """The one axis along which two shapes differ, else None."""
    if len(shape) != len(other):
        return None
    axes = [axis for axis, pair in enumerate(zip(shape, other, strict=True)) if pair[0] != pair[1]]
    return axes[0] if len(axes) == 1 else None


def _last_shift(weights: Sequence[Any]) -> int:
    """The place of the last array that is added: the bias of the logits."""
    names = [weight.path.split("/")[-1] for weight in weights]
    return max((index for index, name in enumerate(names) if name in ("bias", "beta")), default=-1)
