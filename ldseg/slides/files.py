"""What is written of a slide: its mask as a pyramid, its objects as GeoJSON, and what is shown of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.data.preprocess import Preprocessing
from ldseg.errors import ConfigError, DataError
from ldseg.inference.engine import Engine
from ldseg.inference.instances import INSIDE, MIN_SHARE, parted, without_small
from ldseg.io.slides.kinds import open_slide
from ldseg.io.slides.masks import MaskTiles, levels_of, write_pyramid
from ldseg.slides.objects import SlideObject, blocks_of, objects_in
from ldseg.slides.plan import at_resolution
from ldseg.slides.run import Progress, SegmentedSlide, segment_tiles
from ldseg.spatial import Mask, Numbers
from ldseg.writers.geojson import Feature, collection, features
from ldseg.writing import remove, write_file

FORMATS = ("mask", "geojson")
"""What can be written of a slide, of [Output] Formats."""


@dataclass(frozen=True, kw_only=True)
class SlideSettings:
    """What is asked of slides.

    Attributes:
        microns: µm per pixel at which the network sees them; None for what the weights say.
        image_microns: µm per pixel of a slide that does not say; None where that is not known.
        skip_background: whether parts without tissue are left out.
        formats: of `FORMATS`.
        batch_size: tiles at a time.
        seed: of the noise.
    """

    microns: float | None = None
    image_microns: float | None = None
    skip_background: bool = True
    formats: tuple[str, ...] = FORMATS
    batch_size: int = 4
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SlideResult:
    """A slide, segmented.

    Attributes:
        name: of the slide.
        files: what was written, by format.
        classes: names of the classes, background first.
        size: rows and columns of the full resolution.
        microns: µm per pixel of the full resolution along y and x; None where it is not known.
        seen_at: µm per pixel at which the network saw it.
        pixels: of each class, at full resolution.
        objects: how many objects were written; None where none were asked for.
        tiles: how many tiles were segmented.
        of: how many there are, those of background included.
        image: the slide made small, float32 (h, w, 3) in [0, 1].
        mask: class numbers at the size of `image`, int32 (h, w).
    """

    name: str
    files: Mapping[str, Path]
    classes: tuple[str, ...]
    size: tuple[int, int]
    microns: tuple[float, float] | None
    seen_at: tuple[float, float] | None
    pixels: tuple[int, ...]
    objects: int | None
    tiles: int
    of: int
    image: Numbers
    mask: Mask

    @property
    def areas(self) -> dict[str, float] | None:
        """mm² of each class; None where the slide does not say how large its pixels are."""
        if self.microns is None:
            return None
        pixel = self.microns[0] * self.microns[1] * 1e-6
        return {name: count * pixel for name, count in zip(self.classes, self.pixels, strict=True)}


def slide_step(step: Preprocessing, microns: float | None, path: Path) -> Preprocessing:
    """The preprocessing of a slide, see `at_resolution`.

    Raises:
        DataError: weights for images of other axes, or of no known resolution.
    """
    if step.axes != "YX":
        raise DataError(f"{path}: a slide is a picture (2D), the weights are for {step.axes.lower()}")
    found = at_resolution(step, microns)
    if found is None:
        raise DataError(
            f"{path}: the weights do not say at which resolution they see tissue; say it in [Slides] Microns (µm per pixel)"
        )
    return found


def segment_slide(
    path: Path,
    engine: Engine,
    step: Preprocessing,
    folder: Path,
    name: str,
    *,
    settings: SlideSettings,
    colours: Sequence[tuple[int, int, int]],
    key: Mapping[str, Any],
    progress: Progress | None = None,
) -> SlideResult:
    """Segment a slide in memory that does not grow with it, and write what comes out.

    Finished parts lie in ``<name>_segmentation.parts`` until the mask is whole: a run that was stopped goes on from there.

    Args:
        path: the slide.
        engine: that segments it.
        step: the preprocessing of the weights.
        folder: where the results go: ``<name>_segmentation.ome.tif`` and ``<name>_objects.geojson``.
        name: of the slide.
        settings: what is asked for.
        colours: red, green and blue from 0 to 255 of each class.
        key: what the mask depends on beside settings and slide, see `segment_tiles`.
        progress: who is told how far it is.

    Raises:
        ConfigError: a format that slides are not written in.
        DataError: a slide that cannot be read, or whose resolution is not known, or a folder that cannot be written.
    """
    if unknown := [each for each in settings.formats if each not in FORMATS]:
        raise ConfigError(f"Output.Formats: expected some of {', '.join(FORMATS)} for slides, got {unknown[0]}")
    step, progress = slide_step(step, settings.microns, path), progress or Progress()
    if step.num_classes > 256:
        raise DataError(f"{path}: masks of slides hold up to 256 classes, the weights have {step.num_classes}")
    parts = folder / f"{name}_segmentation.parts"
    with open_slide(path) as slide:
        done = segment_tiles(
            slide,
            engine,
            step,
            parts,
            seed=settings.seed,
            batch_size=settings.batch_size,
            key=key,
            image_microns=settings.image_microns,
            skip_background=settings.skip_background,
            progress=progress,
        )
    progress.begin("writing", 1)
    mask_path = folder / f"{name}_segmentation.ome.tif"
    levels = levels_of(done.mask)
    write_pyramid(mask_path, levels, done.plan.microns, name)
    files = {"mask": mask_path}
    progress.step(1)
    count = None
    if "geojson" in settings.formats:
        progress.begin("objects", blocks_of(done.mask))
        counted = _Counted(_features(levels, done, step, colours, name, progress))
        lines = (line.encode() for line in collection(counted))
        files["geojson"] = write_file(folder / f"{name}_objects.geojson", lambda stream: stream.writelines(lines))
        count = counted.count
    image, mask = _shown(done, levels)
    pixels = _pixels(done.mask, step.num_classes)
    if "mask" not in settings.formats:
        remove(files.pop("mask"))
    remove(parts)
    return SlideResult(
        name=name,
        files=files,
        classes=step.classes,
        size=done.plan.full,
        microns=done.plan.microns,
        seen_at=done.plan.grid_microns,
        pixels=pixels,
        objects=count,
        tiles=done.tiles,
        of=done.of,
        image=image,
        mask=mask,
    )


class _Counted:
    """Features, counted as they pass."""

    def __init__(self, found: Iterator[Feature]) -> None:
        self._found, self.count = found, 0

    def __iter__(self) -> Iterator[Feature]:
        for feature in self._found:
            self.count += 1
            yield feature


def _features(
    levels: list[MaskTiles],
    done: SegmentedSlide,
    step: Preprocessing,
    colours: Sequence[tuple[int, int, int]],
    name: str,
    progress: Progress,
) -> Iterator[Feature]:
    """The objects of a slide as features, numbered from 1. Specks are left out, as of a picture of the size of a tile.

    Where the networks tell insides, objects that touch are told apart as `ldseg.inference.instances.label_instances` does.
    """
    plan, by_name = done.plan, dict(zip(step.classes, colours, strict=True))
    zoom = plan.full[0] * plan.full[1] / (plan.grid[0] * plan.grid[1])
    smallest = max(int(MIN_SHARE * math.prod(plan.tiling.size) * zoom), 1)
    insides = None if done.inside is None else levels_of(done.inside)
    if insides is not None and step.smallest:
        smallest = math.ceil(step.smallest * zoom)
    pixel = 1.0 if plan.microns is None else plan.microns[0] * plan.microns[1]
    unit = "px" if plan.microns is None else "µm"
    number = 0
    for found in objects_in(levels, smallest, progress.step, insides):
        labels, count = found.shown.astype(np.int32), 1
        if found.inside is not None:
            speck = math.ceil(INSIDE * smallest / found.factor**2) - 1
            labels = parted(labels, without_small(found.inside, speck))
            count = int(labels.max())
        areas = [found.area] if count == 1 else (np.bincount(labels.ravel())[1:] * found.factor**2).tolist()
        measured = {k: {f"Area {unit}^2": float(f"{area * pixel:.6g}")} for k, area in enumerate(areas, start=number + 1)}
        labels[labels > 0] += number
        yield from _features_of(found, labels, step.classes[found.index], measured, by_name, name)
        number += count


def _features_of(
    found: SlideObject,
    labels: Mask,
    class_name: str,
    measured: dict[int, dict[str, float]],
    colours: Mapping[str, tuple[int, int, int]],
    name: str,
) -> Iterator[Feature]:
    offset, names = (found.box[0] // found.factor, found.box[1] // found.factor), dict.fromkeys(measured, class_name)
    for feature in features(labels, names, colours, key=name, offset=offset, measurements=measured):
        if found.factor > 1:
            feature["geometry"]["coordinates"] = _times(feature["geometry"]["coordinates"], found.factor)
            feature["properties"]["measurements"]["Outlined at every so-many-th pixel"] = found.factor
        yield feature


def _times(coordinates: Any, factor: int) -> Any:
    return [_times(each, factor) for each in coordinates] if isinstance(coordinates, list) else coordinates * factor


def _shown(done: SegmentedSlide, levels: list[MaskTiles]) -> tuple[Numbers, Mask]:
    """The slide and its mask made small."""
    overview = done.seen.overview[..., :3] if done.seen.overview.shape[-1] >= 3 else done.seen.overview[..., :1]
    image = np.ascontiguousarray(np.broadcast_to(overview, (*overview.shape[:2], 3)))
    height, width = image.shape[:2]
    level = max(
        (each for each in levels if each.size[0] >= height and each.size[1] >= width), key=levels.index, default=levels[0]
    )
    whole = level.window(0, 0, *level.size)
    rows, columns = (
        ((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip((height, width), level.size, strict=True)
    )
    return image, whole[np.ix_(rows, columns)].astype(np.int32)


def _pixels(mask: MaskTiles, classes: int) -> tuple[int, ...]:
    found = np.zeros(classes, np.int64)
    for row in range(mask.tiles[0]):
        for column in range(mask.tiles[1]):
            found += np.bincount(mask.tile(row, column).ravel(), minlength=classes)
    beyond = mask.tiles[0] * mask.tiles[1] * mask.tile(0, 0).size - mask.size[0] * mask.size[1]
    found[0] -= beyond  # tiles are filled up with background
    return tuple(found.tolist())
