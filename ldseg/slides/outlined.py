"""The objects of a slide with their numbers: as features of GeoJSON, and as rows of measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldseg.base.spatial import Mask
from ldseg.base.text import csv_text
from ldseg.data.preprocess import Preprocessing
from ldseg.inference.instances import INSIDE, MIN_SHARE, parted
from ldseg.io.slides.contract import Slide
from ldseg.io.slides.masks import MaskTiles, levels_of
from ldseg.slides.objects import SlideObject, objects_in
from ldseg.slides.panel import CERTAIN
from ldseg.slides.run import SegmentedSlide
from ldseg.writers.geojson import Feature, features
from ldseg.writers.objects import Measurements, Objects, measure
from ldseg.writers.tables import table_rows

BAND = 1 << 24
"""Pixels of a slide that are read at a time to measure what is below every so-many-th."""


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """What touches, parted into objects that follow each other in their numbers.

    Attributes:
        found: what touches.
        labels: the numbers of its objects, int32, at its place and of its size; 0 elsewhere.
        first: the first of them.
        count: how many there are.
    """

    found: SlideObject
    labels: Mask
    first: int
    count: int


def numbered(
    levels: list[MaskTiles], done: SegmentedSlide, step: Preprocessing, watch: Callable[[int], None]
) -> Iterator[Numbered]:
    """The objects of a slide, numbered from 1. Specks are left out, as of a picture of the size of a tile.

    Where the networks tell outlines, objects that touch are told apart as `ldseg.inference.instances.label_instances` does.

    Args:
        levels: the mask and its smaller copies.
        done: the slide.
        step: its preprocessing.
        watch: told how many blocks of the mask were read.
    """
    plan = done.plan
    zoom = plan.full[0] * plan.full[1] / (plan.grid[0] * plan.grid[1])
    smallest = max(int(MIN_SHARE * math.prod(plan.tiling.size) * zoom), 1)
    outlines = None if done.outline is None else levels_of(done.outline)
    if outlines is not None and step.smallest:
        smallest = math.ceil(step.smallest * zoom)
    number = 0
    for found in objects_in(levels, smallest, watch, outlines):
        labels, count = found.shown.astype(np.int32), 1
        if found.outline is not None:
            speck = math.ceil(INSIDE * smallest / found.factor**2) - 1
            labels = parted(labels, found.outline.astype(np.float32) / np.float32(CERTAIN), speck)
            count = int(labels.max())
        labels[labels > 0] += number
        yield Numbered(found=found, labels=labels, first=number + 1, count=count)
        number += count


def features_of(
    objects: Iterator[Numbered],
    done: SegmentedSlide,
    classes: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
    name: str,
) -> Iterator[Feature]:
    """Objects as features, in pixels of the full resolution."""
    microns, by_name = done.plan.microns, dict(zip(classes, colours, strict=True))
    pixel, unit = (1.0, "px") if microns is None else (microns[0] * microns[1], "µm")
    for each in objects:
        found, one = each.found, each.count == 1
        areas = [found.area] if one else (np.bincount(each.labels[each.labels > 0] - each.first) * found.factor**2).tolist()
        measured = {k: {f"Area {unit}^2": float(f"{area * pixel:.6g}")} for k, area in enumerate(areas, start=each.first)}
        offset = found.box[0] // found.factor, found.box[1] // found.factor
        names = dict.fromkeys(measured, classes[found.index])
        for feature in features(each.labels, names, by_name, key=name, offset=offset, measurements=measured):
            if found.factor > 1:
                feature["geometry"]["coordinates"] = _times(feature["geometry"]["coordinates"], found.factor)
                feature["properties"]["measurements"]["Outlined at every so-many-th pixel"] = found.factor
            yield feature


def _times(coordinates: Any, factor: int) -> Any:
    return [_times(each, factor) for each in coordinates] if isinstance(coordinates, list) else coordinates * factor


def lines_of(
    objects: Iterator[Numbered],
    slide: Slide,
    done: SegmentedSlide,
    doubts: list[MaskTiles],
    classes: Sequence[str],
    name: str,
) -> Iterator[str]:
    """Objects as lines of a table, its head first, see `ldseg.writers.tables`; lengths and places count full pixels.

    Args:
        objects: numbered.
        slide: open, for its intensities.
        done: the slide.
        doubts: its entropy, and the smaller copies of it.
        classes: their names.
        name: of the slide.
    """
    nothing = Objects(labels=np.zeros((1, 1), np.int32), classes=np.zeros(1, int))
    image, doubt = np.zeros((1, 1, slide.channels), slide.dtype), np.zeros((1, 1), np.float32)
    empty = measure(nothing, axes="YX", classes=classes, spacing=_spacing(done, 1), image=image, uncertainty=doubt)
    yield csv_text(table_rows(name, empty))
    for each in objects:
        yield csv_text(table_rows(name, _measured(each, slide, done, doubts, classes))[1:])


def _measured(
    each: Numbered, slide: Slide, done: SegmentedSlide, doubts: list[MaskTiles], classes: Sequence[str]
) -> Measurements:
    found, factor = each.found, each.found.factor
    level = factor.bit_length() - 1
    (top, left), (height, width) = (found.box[0] // factor, found.box[1] // factor), each.labels.shape
    labels = np.where(each.labels > 0, each.labels - each.first + 1, 0)
    measured = measure(
        Objects(labels=labels, classes=np.array([0, *[found.index] * each.count])),
        axes="YX",
        classes=classes,
        spacing=_spacing(done, factor),
        image=_every(slide, top, left, height, width, factor),
        uncertainty=doubts[level].window(top, left, top + height, left + width).astype(np.float32) / np.float32(CERTAIN),
    )
    columns = {**measured.columns, "object": np.asarray(measured.columns["object"]) + each.first - 1}
    for axis, start in (("y", top), ("x", left)):
        for column in (f"centroid_{axis}", f"min_{axis}", f"max_{axis}"):
            columns[column] = (columns[column] + start) * factor
    if done.plan.microns is None and factor > 1:
        for column, power in (("area", 2), ("perimeter", 1), ("major_axis", 1), ("minor_axis", 1)):
            columns[column] = columns[column] * factor**power
    return Measurements(columns=columns, unit=measured.unit)


def _spacing(done: SegmentedSlide, factor: int) -> tuple[float, float] | None:
    """mm of every so-many-th pixel."""
    microns = done.plan.microns
    return None if microns is None else (microns[0] * factor / 1000, microns[1] * factor / 1000)


def _every(slide: Slide, top: int, left: int, height: int, width: int, factor: int) -> np.ndarray:
    """Every so-many-th pixel of a slide (height, width, channels), its place and its size counted in these."""
    full = slide.sizes[0]
    if factor == 1:
        return slide.window(0, top, left, height, width)
    rows, right = max(1, BAND // (width * factor * factor)), min(left * factor + width * factor, full[1])
    parts = []
    for row in range(0, height, rows):
        first, end = (top + row) * factor, min((top + min(row + rows, height)) * factor, full[0])
        parts.append(slide.window(0, first, left * factor, end - first, right - left * factor)[::factor, ::factor].copy())
    return np.concatenate(parts)
