"""Names of the classes beside their colours, as a strip under a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ldseg.errors import DataError
from ldseg.viz.canvas import INK, Canvas, Picture, measure
from ldseg.viz.overlays import colour_of
from ldseg.viz.style import CLASS_COLOURS, TRUE_COLOUR, class_rgb

_MOST = 12  # more labels than that are ids, not classes


class Entry(NamedTuple):
    """One line of a legend."""

    name: str
    colour: str
    outline: bool = False  # drawn as a line, not as an area


def legend(
    picture: Picture,
    names: Sequence[str],
    colours: Sequence[str] = CLASS_COLOURS,
    *,
    true_colour: str | None = None,
) -> Picture:
    """Adds a white strip under a picture with the colour and the name of each class but the background.

    Args:
        picture: uint8 (H, W, 3).
        names: Name of each class, background first.
        colours: Colour of each class, background first; they start again after the last.
        true_colour: Colour of the outline of the true label, where the picture shows one.

    Returns:
        uint8 (H + h, W', 3), where W' is W, or more where a name would not fit.

    Raises:
        DataError: The picture is of another kind, or no class is named beside the background.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise DataError(f"picture: expected uint8 (H, W, 3), got {picture.dtype} {picture.shape}")
    if len(names) < 2:
        raise DataError(f"names: expected one for the background and at least one more, got {len(names)}")
    return above(picture, entries(names, colours, true_colour=true_colour))


def above(picture: Picture, found: Sequence[Entry]) -> Picture:
    """A picture over a strip with the entries, if there are any; it gets wider where a name would not fit."""
    if not found:
        return picture
    below = strip(found, picture.shape[1])
    wider = max(0, below.shape[1] - picture.shape[1])
    return np.concatenate([np.pad(picture, ((0, 0), (0, wider), (0, 0)), constant_values=255), below])


def entries(names: Sequence[str], colours: Sequence[str], *, true_colour: str | None = None) -> list[Entry]:
    """One entry for each class after the first, and one for the true label if its colour is given."""
    paint = np.rint(255 * colour_of(np.arange(len(names)), class_rgb(colours))).astype(int)
    found = [Entry(name, "#{:02x}{:02x}{:02x}".format(*paint[k])) for k, name in enumerate(names) if k]
    return found + ([Entry("true label", true_colour, outline=True)] if true_colour is not None else [])


def entries_for(
    labels: Sequence[npt.NDArray[np.integer] | None], names: Sequence[str] | None, colours: Sequence[str]
) -> list[Entry]:
    """What a picture of a mask and perhaps a true label has to explain; nothing where that goes without saying.

    Names that are given are always shown. Without them classes are numbered where there are more than two. Labels beyond
    the names, or too many to name, are ids of instances: then only the true label is explained.
    """
    most = max((int(found.max(initial=0)) for found in labels if found is not None), default=0)
    if names is None:
        named = ["", *(f"class {k}" for k in range(1, most + 1))] if 1 < most <= _MOST else []
    else:
        named = list(names) if most < len(names) else []
    true_colour = TRUE_COLOUR if labels[-1] is not None else None
    return entries(named, colours, true_colour=true_colour)


def strip(found: Sequence[Entry], width: int) -> Picture:
    """The entries on white, in as many rows as they need: uint8 (h, w, 3), w at least `width` pixels."""
    em = float(np.clip(width / 40, 10.4, 19.4))
    lengths = [2.6 * em + measure(entry.name, em) for entry in found]
    rows: list[list[int]] = [[]]
    at = 0.5 * em
    for k, length in enumerate(lengths):
        if rows[-1] and at + length > width:
            rows.append([])
            at = 0.5 * em
        rows[-1].append(k)
        at += length
    wide = int(np.ceil(max([float(width), *(0.5 * em + length for length in lengths)])))
    paper = Canvas(wide, np.ceil((1.6 * len(rows) + 0.5) * em))
    for row, members in enumerate(rows):
        x, y = 0.5 * em, (1.6 * row + 1.05) * em
        for k in members:
            entry = found[k]
            tall = (0.4 if entry.outline else 0.9) * em
            paper.box(x, y - 0.5 * tall, 1.1 * em, tall, entry.colour, INK if entry.outline else None)
            paper.write(x + 1.5 * em, y, entry.name, em, anchor="lm")
            x += lengths[k]
    return paper.array()
