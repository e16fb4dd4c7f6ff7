"""What the settings leave open, chosen from the data, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldseg.base.options import AUTO
from ldseg.base.regions import of_no_region
from ldseg.base.spatial import AXES
from ldseg.base.text import counted, times
from ldseg.config import Config
from ldseg.config.kinds import plain
from ldseg.data.preprocess import Preprocessing
from ldseg.models import PRESETS, Preset
from ldseg.models.presets import CONTROL
from ldseg.training.cost import Machine, this_machine
from ldseg.training.grid import POSITIONS, Grid, grid_of
from ldseg.training.look import Seen

OPEN: dict[str, object] = {
    "Data.Channels": AUTO,
    "Data.Classes": (),
    "Data.Intensity": AUTO,
    "Training.Augmentation": AUTO,
    "Data.Size": (),
    "Data.Fit": AUTO,
    "Data.Zoom": AUTO,
    "Data.Spacing": (),
    "Data.Patch": (),
    "Parameters.BatchSize": AUTO,
    "Training.SamplesPerCase": AUTO,
    "Training.Focus": AUTO,
    "Training.Recycling": AUTO,
    "Model.Outline": AUTO,
}
"""What may be chosen from the data, and the value that leaves it open."""

EARLIER: dict[str, object] = {
    "Data.Fit": "resize", "Data.Zoom": 1.0, "Data.Spacing": (), "Parameters.BatchSize": 4, "Training.SamplesPerCase": 1,
    "Training.Focus": 0.0, "Training.Recycling": 0.7, "Model.Outline": "False",
}  # fmt: skip
"""What trainings had that began before this was chosen."""

UPDATES = {"LDSeg": 2000, "MedSegDiff": 5000}
"""Updates that a training of given minutes should have: a smaller grid is taken where there would be fewer."""

FEWEST = 1000
"""With fewer updates, a batch of two in place of four is taken."""

BATCH = 4
MOST_SAMPLES = 64
"""Samples of a case in an epoch, at most."""

RARE_SHARE, RARE_CASES = 0.01, 0.2
"""A class is rare with less of all positions than the first, or in fewer of the labels than the second."""

FOCUS = 0.33
"""Share of the samples drawn by class, as nnU-Net has it (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z)."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Something chosen, and why; without a name, something worth knowing.

    Attributes:
        name: of the setting, ``Section.Key``; may be empty.
        value: what was chosen.
        why: in words.
    """

    name: str = ""
    value: Any = None
    why: str

    def __str__(self) -> str:
        return f"{self.name} = {self.shown}: {self.why}" if self.name else self.why

    @property
    def shown(self) -> str:
        """The value as it would stand in ``cfg.ini``."""
        return plain(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "setting": self.name,
            "value": list(self.value) if isinstance(self.value, tuple) else self.value,
            "why": self.why,
        }


def microns_of(config: Config, step: Preprocessing, seen: Seen) -> float | None:
    """µm per pixel at which networks see tissue, stored with the weights to segment slides; None where it is not known.

    That of the settings, or of ``Fit = tile`` with a spacing; else, of images whose µm per pixel the settings tell, what the
    grid makes of it in the median.
    """
    if step.axes != "YX":
        return None
    if config.slides.microns:
        return config.slides.microns
    if step.fit == "tile" and step.spacing:
        return 1000 * step.spacing[0]
    if not config.slides.image_microns:
        return None
    ratios = [
        math.sqrt(math.prod(size) / math.prod(step.grid_of(size, spacing)))
        for size, spacing in zip(seen.sizes, seen.spacings, strict=True)
    ]
    return float(config.slides.image_microns * np.median(ratios))


def choose(
    config: Config,
    seen: Seen,
    before: Mapping[str, object] | None = None,
    preset: Preset | None = None,
    machine: Machine | None = None,
    spent: float = 0.0,
) -> tuple[Config, tuple[Reason, ...]]:
    """A value for everything that says ``auto`` or nothing and matters to a training.

    - ``Channels``: 3 if an image has colours, or as many as its modalities. ``Classes``: background, object.
    - ``Intensity``: dtype for images of 8 bits, percentile for others.
    - ``Augmentation``: histology for pictures that look like stained tissue, anatomy for others.
    - ``Size``, ``Fit``, ``Zoom``, ``Spacing``: see ``ldseg.training.grid``. ``Patch``: the size.
    - ``BatchSize``, ``SamplesPerCase``, ``Focus``: see their constants here.
    - ``Recycling``: 1 where the clean latent is predicted, 0.7 where the noise is.
    - ``Outline``: True where labels number their objects, but for MedSegDiff.

    Args:
        config: the settings; [Data] Dimensions is known.
        seen: the data.
        before: what was chosen when the training began, by name, if it goes on: that stays, whatever the data are now.
        preset: networks of the user's own, in place of those that the settings name.
        machine: what the training runs on, the machine at hand unless given.
        spent: seconds of its minutes that it has had, if it goes on.

    Returns:
        the settings with nothing left open; what was chosen and what is worth knowing.
    """
    kept = {name: value for name, value in {**EARLIER, **before}.items() if name in OPEN} if before else {}
    config = config.with_values({name: value for name, value in kept.items() if config.value(name) == OPEN[name]})
    data, axes = config.data, AXES[config.data.dimensions]
    machine, networks = machine or this_machine(), preset or PRESETS[config.model.preset]
    chosen: dict[str, Reason] = {}

    def take(name: str, value: Any, why: str) -> None:
        if config.value(name) == OPEN[name]:
            chosen[name] = Reason(name=name, value=value, why=why)

    colours = seen.channels == 3 and axes != "ZYX"
    take("Data.Channels", seen.channels, "colours" if colours else "gray" if seen.channels == 1 else "as the images have")
    take("Data.Classes", ("background", "object"), "none are named")
    eight = seen.eight_bits
    take("Data.Intensity", "dtype" if eight else "percentile", "8 bits" if eight else "values of any range")
    take("Training.Augmentation", *_augmentation(seen, axes))
    batch = BATCH if config.parameters.batch_size == AUTO else int(config.parameters.batch_size)
    positions, limit = _positions(config, axes, networks, batch, machine)
    grid = grid_of(data, seen, axes, networks, positions, limit)
    for key, value in (("Size", grid.size), ("Fit", grid.fit), ("Zoom", grid.zoom), ("Spacing", grid.spacing)):
        if value not in ((), 1.0) or key == "Fit":
            take(f"Data.{key}", value, grid.why.get(key, "whole cases" if key == "Fit" else "as for Fit"))
    take("Data.Patch", grid.size, "the whole grid" if grid.fit == "resize" else "a tile")
    patch = data.patch or grid.size
    growing = machine.growing(networks.name, axes, batch * math.prod(patch))
    few = bool(config.training.minutes) and config.training.minutes_each * 60 / growing < FEWEST
    take(
        "Parameters.BatchSize",
        2 if few else BATCH,
        "the minutes are few for samples of this size" if few else "samples of an update",
    )
    whole = grid.step(data, axes).grid_of(seen.whole.astype(int).tolist(), seen.spacing)
    parts = math.prod(max(1.0, length / part) for length, part in zip(whole, patch, strict=True))
    several = parts > 1.5
    why = f"a case is {parts:.0f} times as large as a sample" if several else "a sample shows a whole case"
    take("Training.SamplesPerCase", min(max(round(parts), 1), MOST_SAMPLES) if several else 1, why)
    take("Training.Focus", *_focus(seen, data.classes, several))
    take("Training.Recycling", *_recycling(config, networks))
    wanted = seen.numbered and networks.architecture != "MedSegDiff"  # whose state would grow by it
    if wanted:
        take("Model.Outline", "True", "labels number their objects")
    without = {**OPEN, "Data.Zoom": 1.0, "Model.Outline": "False"}
    values = {name: without[name] for name in OPEN if config.value(name) == OPEN[name]}
    config = config.with_values({**values, **{name: reason.value for name, reason in chosen.items()}})
    return config, (*chosen.values(), *_notes(config, seen, grid, networks, machine, spent))


def _augmentation(seen: Seen, axes: str) -> tuple[str, str]:
    if axes != "YX" or seen.channels != 3:
        return "anatomy", "pictures without colours" if axes == "YX" else "volumes and videos have an upright position"
    if seen.stained > 0.5:
        return "histology", f"{seen.stained:.0%} of the pictures look like stained tissue: violet, or colour on white glass"
    return "anatomy", f"these colours are not those of stained tissue ({seen.stained:.0%} of the pictures look so)"


def _positions(config: Config, axes: str, preset: Preset, batch: int, machine: Machine) -> tuple[float, str]:
    """What a sample may have of them, and why not more."""
    most, minutes = float(POSITIONS[axes]), config.training.minutes_each
    each = machine.growing(preset.name, axes, batch)
    if not minutes or math.isnan(each):
        return most, "scaled down to what a common machine trains on"
    updates = UPDATES.get(preset.architecture, UPDATES["LDSeg"])
    within = 60 * minutes / (updates * each)
    if within >= most:
        return most, "scaled down to what a common machine trains on"
    return max(within, most / 16), f"smaller, so that {minutes:g} minutes on {machine.cores} cores teach more"


def _focus(seen: Seen, classes: Sequence[str], several: bool) -> tuple[float, str]:
    names = tuple(classes) or ("background", "object")
    pairs = list(zip(names, seen.shares, seen.occurs, strict=False))[1:]
    rare = [
        f"{name} ({share:.1%} of all, in {occurs:.0%} of the labels)"
        for name, share, occurs in pairs
        if occurs > 0 and (share < RARE_SHARE or occurs < RARE_CASES)
    ]
    if rare:
        return FOCUS, f"rare: {', '.join(rare)}"
    if several:
        return FOCUS, "a sample is a part of a case, and should often show an object"
    return 0.0, "no class is rare"


def _recycling(config: Config, networks: Preset) -> tuple[float, str]:
    """The share of samples that start from the network's own estimate.

    With all of them, more steps no longer make masks worse (docs/results.md). Where noise is predicted such a sample has no
    target of its own, so that some have to start from the label.
    """
    if config.model.architecture == CONTROL:
        return 0.0, "a control knows no state to start from"
    prediction = networks.prediction if config.model.prediction == AUTO else config.model.prediction
    if prediction == "x0":
        return 1.0, "the clean latent is predicted: trained from its own estimates, more steps do no harm"
    return 0.7, "noise is predicted, which is learned from true latents alone"


def _notes(config: Config, seen: Seen, grid: Grid, preset: Preset, machine: Machine, spent: float) -> list[Reason]:
    axes, training, data = AXES[config.data.dimensions], config.training, config.data
    notes = []
    if missing := of_no_region(data.classes, data.regions):
        notes.append(f"in none of the regions, so that no figure tells of it: {', '.join(missing)}")
    if not math.isnan(lost := seen.lost(grid.step(config.data, axes))):
        many = f"measured on {len(seen.outlines)} labels"
        notes.append(f"the grid alone loses {100 * lost:.1f} % of label Dice ({many}): no training can do better")
    batch, patch = int(config.parameters.batch_size), config.data.patch
    seconds = machine.update(preset.name, axes, batch * math.prod(patch))
    epoch = max(1, round(seen.cases * (1 - training.held_back) * int(training.samples_per_case) / batch))
    if math.isnan(seconds):
        notes.append("what an update takes is measured when the training begins")
    elif training.minutes:
        updates = machine.updates(max(training.minutes_each - spent / 60, 0.0), seconds)
        had = f", of which {spent / 60:.1f} are over" if spent else ""
        each = f", shared by {training.folds} folds: in each" if training.folds else f"{had}:"
        notes.append(
            f"{training.minutes:g} minutes{each} about {updates:.0f} updates of {seconds:.2g} s on {machine.cores} idle "
            f"cores, {updates / epoch:.0f} times through the cases"
        )
    else:
        minutes = max(training.folds, 1) * config.parameters.epoch * epoch * seconds / 60
        length = f"{minutes / 60:.1f} hours" if minutes > 90 else counted(math.ceil(minutes), "minute")
        each = f" in each of {training.folds} folds" if training.folds else ""
        notes.append(
            f"{config.parameters.epoch} epochs of {epoch} updates{each}: about {length} on {machine.cores} idle "
            "cores; --minutes N ends on time, and plans for it"
        )
    return [Reason(why=note) for note in notes]


def summary(seen: Seen, config: Config) -> list[str]:
    """What the cases are like, a line each.

    Args:
        seen: the data.
        config: the settings, with nothing left open.
    """
    sizes = np.array(seen.sizes)
    low, high = sizes.min(0), sizes.max(0)
    size = (
        times(low) if (low == high).all() else f"{times(low)} to {times(high)}, the median {times(np.median(sizes, axis=0))}"
    )
    lines = [f"{seen.cases} cases, {len(seen.sizes)} of them looked at: {size}"]
    widths = seen.widths(AXES[config.data.dimensions])
    for index, (name, share, occurs) in enumerate(zip(config.data.classes, seen.shares, seen.occurs, strict=False)):
        if index:
            width = f", about {widths[index]:.0f} wide" if index in widths else ""
            lines.append(f"{name}: {share:.1%} of all, in {occurs:.0%} of the labels{width}")
    return lines
