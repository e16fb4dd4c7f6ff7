"""What is written of a slide: its mask and its entropy as pyramids, its objects as GeoJSON and as a table, what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.options import SLIDE_FORMATS
from ldseg.base.spatial import Mask, Numbers
from ldseg.base.writing import remove, write_file
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import ConfigError, DataError
from ldseg.evaluation.familiarity import Familiarity, unfamiliar
from ldseg.evaluation.quality import Quality, predicted_dice
from ldseg.inference.engine import Engine
from ldseg.io.slides.kinds import open_slide
from ldseg.io.slides.masks import MaskTiles, levels_of, write_pyramid
from ldseg.slides.objects import blocks_of
from ldseg.slides.outlined import Numbered, features_of, lines_of, numbered
from ldseg.slides.plan import at_resolution
from ldseg.slides.run import Progress, SegmentedSlide, segment_tiles
from ldseg.writers.geojson import collection
from ldseg.writers.table import check_formats
from ldseg.writers.tables import OBJECTS


@dataclass(frozen=True, kw_only=True)
class SlideSettings:
    """What is asked of slides.

    Attributes:
        microns: µm per pixel at which the network sees them; None for what the weights say.
        image_microns: µm per pixel of a slide that does not say; None where that is not known.
        skip_background: whether parts without tissue are left out.
        formats: of `SLIDE_FORMATS`.
        quality: of the weights: what their masks are like.
        familiarity: of the weights: what they learned from.
        batch_size: tiles at a time.
        seed: of the noise.
    """

    microns: float | None = None
    image_microns: float | None = None
    skip_background: bool = True
    formats: tuple[str, ...] = SLIDE_FORMATS[:2]
    quality: Quality | None = None
    familiarity: Familiarity | None = None
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
        entropy: the mean over all pixels, as a share of the highest there is.
        predicted_dice: the Dice to expect, told without a label, see `ldseg.evaluation.quality`.
        unfamiliar: how far the slide lies from what the weights learned from, as a share of the limit; None where they do
            not know.
        warnings: why not to trust the mask, one line each.
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
    entropy: float
    predicted_dice: float
    unfamiliar: float | None
    warnings: tuple[str, ...]
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
        folder: where the results go: ``<name>_segmentation.ome.tif``, ``<name>_objects.geojson``, ``<name>_objects.csv``
            and, of several members, ``<name>_entropy.ome.tif``.
        name: of the slide.
        settings: what is asked for.
        colours: red, green and blue from 0 to 255 of each class.
        key: what the mask depends on beside settings and slide, see `segment_tiles`.
        progress: who is told how far it is.

    Raises:
        ConfigError: a format that slides are not written in.
        DataError: a slide that cannot be read, or whose resolution is not known, or a folder that cannot be written.
    """
    if unknown := [each for each in settings.formats if each not in SLIDE_FORMATS]:
        raise ConfigError(f"Output.Formats: expected some of {', '.join(SLIDE_FORMATS)} for slides, got {unknown[0]}")
    check_formats(settings.formats)
    step, progress = slide_step(step, settings.microns, path), progress or Progress()
    if step.num_classes > 256:
        raise DataError(f"{path}: masks of slides hold up to 256 classes, the weights have {step.num_classes}")
    parts, several = folder / f"{name}_segmentation.parts", engine.samples > 1
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
            entropy=several or "csv" in settings.formats,
            recognise=settings.familiarity is not None,
            progress=progress,
        )
        progress.begin("writing", 1)
        levels, doubts = levels_of(done.mask), [] if done.entropy is None else levels_of(done.entropy)
        files = {"mask": folder / f"{name}_segmentation.ome.tif"}
        write_pyramid(files["mask"], levels, done.plan.microns, name)
        entropy = folder / f"{name}_entropy.ome.tif"
        if several:
            write_pyramid(entropy, doubts, done.plan.microns, name)
            files["entropy"] = entropy
        else:
            remove(entropy)  # of an earlier run
        progress.step(1)
        counted = None
        if "geojson" in settings.formats:
            progress.begin("objects", blocks_of(done.mask))
            counted = _Counted(numbered(levels, done, step, progress.step))
            found = collection(features_of(iter(counted), done, step.classes, colours, name))
            files["geojson"] = _lines(folder / f"{name}_objects.geojson", found)
        if "csv" in settings.formats:
            progress.begin("measuring", blocks_of(done.mask))
            counted = _Counted(numbered(levels, done, step, progress.step))
            table = lines_of(iter(counted), slide, done, doubts, step.classes, name)
            files["csv"] = _lines(folder / f"{name}{OBJECTS}", table)
    image, mask = _shown(done, levels)
    pixels = _pixels(done.mask, step.num_classes)
    if "mask" not in settings.formats:
        remove(files.pop("mask"))
    remove(parts)
    far, warnings = unfamiliar(done.signature, settings.familiarity)
    return SlideResult(
        name=name,
        files=files,
        classes=step.classes,
        size=done.plan.full,
        microns=done.plan.microns,
        seen_at=done.plan.grid_microns,
        pixels=pixels,
        objects=None if counted is None else counted.count,
        tiles=done.tiles,
        of=done.of,
        entropy=done.sums.entropy,
        predicted_dice=predicted_dice(done.sums.signs(), settings.quality),
        unfamiliar=far,
        warnings=warnings,
        image=image,
        mask=mask,
    )


def _lines(path: Path, lines: Iterator[str]) -> Path:
    return write_file(path, lambda stream: stream.writelines(line.encode() for line in lines))


class _Counted:
    """Objects, counted as they pass."""

    def __init__(self, found: Iterator[Numbered]) -> None:
        self._found, self.count = found, 0

    def __iter__(self) -> Iterator[Numbered]:
        for each in self._found:
            self.count += each.count
            yield each


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
