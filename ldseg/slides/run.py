"""A slide from its file to its mask, piece by piece; what was finished stays when a run is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.text import json_text
from ldseg.base.writing import remove, write_text
from ldseg.data.preprocess import Preprocessing
from ldseg.evaluation.familiarity import Signature, mean_signature, measure
from ldseg.evaluation.quality import SignSums
from ldseg.inference.engine import Engine
from ldseg.io.slides.contract import Slide
from ldseg.io.slides.masks import STRIP, TILE, MaskTiles
from ldseg.slides.panel import Panel, Source, tiles_of
from ldseg.slides.plan import SlidePlan, plan_slide
from ldseg.slides.survey import CELL, Survey, survey
from ldseg.version import __version__

_KEY = "made_with.json"

MOST_LOOKED_AT = 32
"""Tiles of tissue that tell how familiar a slide is, evenly among all."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Who is told how far a slide is.

    Attributes:
        begin: called with what is done now and the number of its steps.
        step: called with the number of steps that were done.
    """

    begin: Callable[[str, int], None] = lambda what, steps: None
    step: Callable[[int], None] = lambda steps: None


@dataclass(frozen=True, kw_only=True)
class SegmentedSlide:
    """A slide whose mask lies in tiles.

    Attributes:
        plan: at which resolution, and where its tiles lay.
        seen: what a pass over it told.
        mask: its tiles.
        outline: of objects, see `ldseg.slides.panel.Strip`; None where the networks tell none.
        entropy: of its probabilities, from 0 to `ldseg.slides.panel.CERTAIN`; None unless asked for.
        sums: what tells of the quality of the mask.
        signature: what tells how familiar the slide is; None unless asked for, and where it shows no tissue.
        tiles: how many tiles were segmented for it, now or in an earlier run that was stopped.
        of: how many there are, those of background included.
    """

    plan: SlidePlan
    seen: Survey
    mask: MaskTiles
    outline: MaskTiles | None
    entropy: MaskTiles | None
    sums: SignSums
    signature: Signature | None
    tiles: int
    of: int


def segment_tiles(
    slide: Slide,
    engine: Engine,
    step: Preprocessing,
    folder: Path,
    *,
    seed: int,
    batch_size: int,
    key: Mapping[str, Any],
    image_microns: float | None = None,
    skip_background: bool = True,
    entropy: bool = False,
    recognise: bool = False,
    progress: Progress | None = None,
) -> SegmentedSlide:
    """Segment a slide into tiles of its mask, at its full resolution.

    The mask is that of the same picture in memory (`ldseg.inference.cases.segment_each`), where no background is skipped, to
    the pixel where the level that is read has the resolution of the network; else sums come in another order, and a few
    pixels in a million may differ.

    Args:
        slide: the slide, open.
        engine: that segments; several members are fused by their mean.
        step: the preprocessing of `ldseg.slides.plan.at_resolution`.
        folder: where the tiles go. What an earlier run with the same slide, weights and settings left there is kept.
        seed: of the noise.
        batch_size: tiles at a time; members count.
        key: what else the mask depends on, in JSON's types: the weights.
        image_microns: µm per pixel of a slide that does not say.
        skip_background: whether the mask is background wherever there is no tissue, and tiles that show none are left out.
        entropy: whether to keep the entropy of each pixel.
        recognise: whether to measure how familiar the slide is.
        progress: who is told.

    Raises:
        DataError: a slide that cannot be read or has no known resolution, or a folder that cannot be written.
    """
    progress = progress or Progress()
    plan = plan_slide(slide, step, engine.strides, image_microns)
    progress.begin("reading", plan.size[0])
    seen = survey(
        slide,
        plan.level,
        intensity=step.intensity,
        window=step.window,
        cell=max(1, round(CELL * plan.size[0] / plan.grid[0])),
        skip_background=skip_background,
        watch=progress.step,
    )
    mask = MaskTiles(folder, plan.full)
    outline = MaskTiles(folder / "outline", plan.full) if engine.spec.outline else None
    doubt = MaskTiles(folder / "entropy", plan.full) if entropy else None
    made_with = {
        "ldseg": __version__,
        "digest": seen.digest,
        "level": plan.level,
        "grid": list(plan.grid),
        "full": list(plan.full),
        "preprocessing": step.to_dict(),
        "seed": seed,
        "skip_background": skip_background,
        "entropy": entropy,
        "engine": engine.kind,
        "sampler": engine.sampler.name,
        "steps": engine.steps,
        "samples": engine.samples,
        "flips": len(engine.mirrors) > 1,
        "outline": engine.spec.outline,
        **key,
    }
    _claim(folder, made_with)
    source = Source(slide, plan, seen, step.channels)
    shown = {start: source.shows_tissue(start) for start in plan.tiling.starts}  # type: ignore[arg-type]
    lacking = {column: _lacking(mask, column) for column in mask.columns}
    counts = [_count(plan, shown, rows, *_bounds(mask, column)) for column, rows in lacking.items()]
    progress.begin("segmenting", sum(counts))
    for column, rows in lacking.items():
        if not rows:
            continue
        first, last = _bounds(mask, column)
        panel = Panel(
            source,
            engine,
            seed=seed,
            left=first,
            right=last,
            first=rows[0] * TILE,
            batch=engine.together(batch_size),
            watch=progress.step,
            unions=step.unions,
        )
        edges = [(row * TILE, min((row + 1) * TILE, plan.full[0])) for row in range(rows[0], mask.tiles[0])]
        for row, strip in zip(range(rows[0], mask.tiles[0]), panel.strips(iter(edges)), strict=True):
            if outline is not None:
                outline.write(row, column, strip.outline)
            if doubt is not None:
                doubt.write(row, column, strip.entropy)
            # The last: a strip of the mask tells that all of this row is there.
            mask.write(row, column, strip.mask, json.dumps(strip.sums.told()))
    sums = SignSums(step.num_classes, step.unions)
    for column in mask.columns:
        for row in range(mask.tiles[0]):
            sums.add_told(json.loads(mask.about(row, column)))
    return SegmentedSlide(
        plan=plan,
        seen=seen,
        mask=mask,
        outline=outline,
        entropy=doubt,
        sums=sums,
        signature=_signature(source, engine, [start for start, tissue in shown.items() if tissue]) if recognise else None,
        tiles=sum(shown.values()),
        of=len(shown),
    )


def _signature(source: Source, engine: Engine, shown: list[tuple[int, ...]]) -> Signature | None:
    """What is measured of some tiles that show tissue."""
    chosen = sorted({len(shown) * index // MOST_LOOKED_AT for index in range(MOST_LOOKED_AT)}) if shown else []
    found = []
    for index in chosen:
        image = source.image((shown[index][0], shown[index][1]))
        features = engine.encode(image[np.newaxis])[0].astype(np.float64)
        found.append({"features": features, **measure(image)})
    return mean_signature(found) if found else None


def _bounds(mask: MaskTiles, column: int) -> tuple[int, int]:
    """The first column of pixels of a panel, and the one behind its last."""
    return column * TILE, min((column + STRIP) * TILE, mask.size[1])


def _lacking(mask: MaskTiles, column: int) -> list[int]:
    """The rows of tiles of a panel from the first one on that was not written."""
    done = 0
    while done < mask.tiles[0] and mask.has(done, column):
        done += 1
    return list(range(done, mask.tiles[0]))


def _count(plan: SlidePlan, shown: Mapping[tuple[int, ...], bool], rows: list[int], left: int, right: int) -> int:
    """How many tiles are to be segmented for the rest of a panel."""
    if not rows:
        return 0
    starts = tiles_of(plan, rows[0] * TILE, plan.full[0], left, right)
    return sum(shown[row, column] for row in starts[0] for column in starts[1])


def _claim(folder: Path, made_with: Mapping[str, Any]) -> None:
    """Keep what a folder holds of the same run, and nothing else."""
    text = json_text(made_with)
    try:
        same = (folder / _KEY).read_text("utf-8") == text
    except (OSError, ValueError):
        same = False
    if same:
        return
    if folder.exists():
        remove(folder)
    write_text(folder / _KEY, text)
