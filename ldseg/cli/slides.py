"""Whole slides of a run: segmented piece by piece, each by itself."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ldseg import viz
from ldseg.base.options import SLIDE_FORMATS
from ldseg.cli.results import Results
from ldseg.cli.task import Task
from ldseg.data.cases import Case
from ldseg.description import fingerprint
from ldseg.errors import DataError, UnwrittenError, memory_told
from ldseg.evaluation import CaseResult
from ldseg.inference import Engine
from ldseg.io.slides.kinds import SLIDE_SUFFIXES, is_slide
from ldseg.viz.style import class_bytes

if TYPE_CHECKING:  # imported where there is a slide, as a run without one begins sooner
    from ldseg.slides.files import SlideResult, SlideSettings
    from ldseg.slides.run import Progress

logger = logging.getLogger(__name__)


def settings_of(task: Task) -> SlideSettings:
    """What the settings ask of slides; the resolution is that of the weights where they leave it open."""
    from ldseg.slides.files import SlideSettings

    config = task.config
    return SlideSettings(
        microns=config.slides.microns or task.description.microns,
        image_microns=config.slides.image_microns or None,
        skip_background=config.slides.skip_background,
        formats=tuple(name for name in config.output.formats if name in SLIDE_FORMATS),
        batch_size=int(config.parameters.batch_size),
        seed=config.sampler.seed,
        quality=task.quality,
        familiarity=task.description.familiarity,
    )


def split_cases(task: Task) -> tuple[list[Case], list[Case]]:
    """The cases that are segmented whole, and those that are slides.

    A TIFF that is large is one only where the resolution of the weights is known.
    """
    planar = task.preprocessing.axes == "YX"
    found = [case for case in task.cases if planar and not case.channels and is_slide(case.image)]
    if not found:
        return list(task.cases), []
    from ldseg.slides.plan import at_resolution

    known = at_resolution(task.preprocessing, settings_of(task).microns) is not None
    slides = [case for case in found if known or os.path.isdir(case.image) or case.image.suffix.lower() in SLIDE_SUFFIXES]
    chosen = set(map(id, slides))
    return [case for case in task.cases if id(case) not in chosen], slides


def segment_slides(task: Task, engine: Engine, cases: Sequence[Case], results: Results) -> Iterator[CaseResult]:
    """Segment slides one after the other, as cases of a run.

    Yields:
        what a record holds of each.
    """
    if not cases:
        return
    from ldseg.slides.files import segment_slide

    outputs, settings = results.outputs, settings_of(task)
    colours = class_bytes(task.preprocessing.num_classes, task.config.data.colours)
    key = {"weights": fingerprint(task.config.weights_folder)}
    for case in cases:
        started = time.perf_counter()
        try:
            problems = _check(task, settings, case)
            with _bars(case.name) as progress, memory_told(str(case.image), "segment it"):
                found = segment_slide(
                    case.image,
                    engine,
                    task.preprocessing,
                    outputs.folder,
                    case.name,
                    settings=settings,
                    colours=colours,
                    key=key,
                    progress=progress,
                )
            if task.config.output.overlay:
                picture = viz.overlay(found.image, found.mask, colours=task.config.data.colours or viz.CLASS_COLOURS)
                viz.save_image(picture, outputs.overlay(case.name))
        except DataError as error:
            told = str(error)
            if isinstance(error, UnwrittenError):
                results.unwritten.add(case.name)
                told += "; what there was of this case is kept"
            logger.error("skipped %s: %s", case.name, told)
            seconds = time.perf_counter() - started
            yield CaseResult(name=case.name, status="skipped", message=told, seconds=seconds)
            continue
        logger.info(_told(found))
        for line in found.warnings:
            logger.warning("%s is %s", case.name, line)
        result = CaseResult(
            name=case.name,
            mask=found.files.get("mask"),
            entropy=found.entropy,
            predicted_dice=found.predicted_dice,
            unfamiliar=found.unfamiliar,
            warnings=found.warnings,
            seconds=time.perf_counter() - started,
        )
        results.files[case.name] = dict(found.files)
        if problems:
            results.missing[case.name] = problems
        yield result


def _check(task: Task, settings: SlideSettings, case: Case) -> list[str]:
    """What of the settings does not go with slides, a line each.

    Raises:
        DataError: nothing that was asked for can be done.
    """
    config = task.config
    if not settings.formats:
        raise DataError(f"{case.image}: slides are written as {', '.join(SLIDE_FORMATS)}, see [Output] Formats")
    if config.sampler.sigma:
        raise DataError(
            f"{case.image}: noise is not added to slides, expected Sampler.Sigma = 0, got {config.sampler.sigma}"
        )
    if config.sampler.members > 1 and config.sampler.fusion != "mean":
        raise DataError(
            f"{case.image}: masks of a slide are fused by mean, expected Sampler.Fusion = mean, got {config.sampler.fusion}"
        )
    problems = [
        f"{case.name}: not written as {name}, which slides are not"
        for name in config.output.formats
        if name not in SLIDE_FORMATS
    ]
    if case.label is not None:
        problems.append(f"{case.label}: not compared with the mask of {case.name}, which is a slide")
    if config.output.masks == "instances":
        problems.append(f"{case.name}: its mask has classes; objects of a slide are told apart by the format geojson")
    return problems


def _told(found: SlideResult) -> str:
    """A slide in one line."""
    seen = "" if found.seen_at is None else f", seen at {found.seen_at[0]:.4g} µm per pixel"
    share = f"{found.tiles} of {found.of} tiles show tissue"
    areas = found.areas
    what = ", ".join(f"{name} {area:.4g} mm²" for name, area in list(areas.items())[1:]) if areas else ""
    count = "" if found.objects is None else f"; {found.objects} objects"
    return f"{found.name}: {found.size[0]}×{found.size[1]} pixels{seen}; {share}{count}{'; ' + what if what else ''}"


@contextlib.contextmanager
def _bars(name: str) -> Iterator[Progress]:
    """A bar for each thing that is done with a slide."""
    from tqdm import tqdm

    from ldseg.slides.run import Progress

    bars: list[tqdm] = []

    def begin(what: str, steps: int) -> None:
        for bar in bars:
            bar.close()
        bars[:] = [tqdm(total=steps, desc=f"{name}: {what}")]

    def step(steps: int) -> None:
        bars[0].update(steps)

    try:
        yield Progress(begin=begin, step=step)
    finally:
        for bar in bars:
            bar.close()
