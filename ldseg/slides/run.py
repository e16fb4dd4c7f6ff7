"""A slide from its file to its mask, piece by piece; what was finished stays when a run is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldseg.data.preprocess import Preprocessing
from ldseg.inference.engine import Engine
from ldseg.io.slides.contract import Slide
from ldseg.io.slides.masks import STRIP, TILE, MaskTiles
from ldseg.slides.panel import Panel, Source, tiles_of
from ldseg.slides.plan import SlidePlan, plan_slide
from ldseg.slides.survey import CELL, Survey, survey
from ldseg.text import json_text
from ldseg.version import __version__
from ldseg.writing import remove, write_text

_KEY = "made_with.json"


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
        inside: where the insides of objects are, 1 or 0; None where the networks tell no outlines.
        tiles: how many tiles were segmented for it, now or in an earlier run that was stopped.
        of: how many there are, those of background included.
    """

    plan: SlidePlan
    seen: Survey
    mask: MaskTiles
    inside: MaskTiles | None
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
    inside = MaskTiles(folder / "inside", plan.full) if engine.spec.outline else None
    made_with = {
        "ldseg": __version__,
        "digest": seen.digest,
        "level": plan.level,
        "grid": list(plan.grid),
        "full": list(plan.full),
        "preprocessing": step.to_dict(),
        "seed": seed,
        "skip_background": skip_background,
        "engine": engine.kind,
        "sampler": engine.sampler.name,
        "steps": engine.steps,
        "samples": engine.samples,
        "flips": len(engine.mirrors) > 1,
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
        )
        edges = [(row * TILE, min((row + 1) * TILE, plan.full[0])) for row in range(rows[0], mask.tiles[0])]
        for row, (values, insides) in zip(range(rows[0], mask.tiles[0]), panel.masks(iter(edges)), strict=True):
            if inside is not None:
                inside.write(row, column, insides)
            mask.write(row, column, values)  # the last: a strip of it tells that all of this row is there
    return SegmentedSlide(plan=plan, seen=seen, mask=mask, inside=inside, tiles=sum(shown.values()), of=len(shown))


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
