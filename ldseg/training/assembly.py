"""What a plan is made into before it is trained: batches, trainer, and the description of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ldseg.base.paths import cache_folder
from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import Case
from ldseg.data.disk import DiskCache
from ldseg.group import Group
from ldseg.segmenter import Segmenter
from ldseg.training.optimizer import adamw
from ldseg.training.plan import Plan
from ldseg.training.trainer import Trainer
from ldseg.weights import Description


def batches_of(plan: Plan, cases: Sequence[Case], segmenter: Segmenter, group: Group | None = None) -> TrainingBatches:
    """The batches of a plan, for networks built on its patch; of a group of processes the share of this one."""
    group = group or Group()
    return TrainingBatches(
        cases,
        plan.preprocessing,
        batch_size=plan.batch_size,
        patch=plan.patch,
        latent_shape=segmenter.latent_shape,
        timesteps=plan.spec.schedule.timesteps,
        augmentation=plan.augmentation,
        recycling=plan.recycling,
        seed=plan.seed,
        outline=plan.spec.outline,
        samples_per_case=plan.samples_per_case,
        focus=plan.focus,
        shown=plan.shown,
        sampled=plan.sampled,
        cache=plan.cache,
        disk=disk_of(plan),
        workers=plan.workers,
        share=(group.index, group.count),
    )


def disk_of(plan: Plan) -> DiskCache | None:
    """Where prepared cases of a plan are kept on disk, if they are."""
    if not plan.disk_cache:
        return None
    # The smallest object is for masks alone.
    rules = {**plan.preprocessing.to_dict(), "smallest": 0.0, "outline": plan.spec.outline}
    return DiskCache(cache_folder() / "cases", plan.disk_cache * 10**6, rules)


def trainer_of(plan: Plan, segmenter: Segmenter, updates: int) -> Trainer:
    """The trainer of a plan, compiled and its optimiser built for a number of updates."""
    trainer = Trainer(
        segmenter,
        diffusion_weight=plan.diffusion_weight,
        recycling=plan.recycling > 0,
        ema=plan.ema,
        ignores=plan.preprocessing.ignores,
        regions=plan.preprocessing.unions[1:],
    )
    optimizer = adamw(
        learning_rate=plan.learning_rate,
        updates=0 if plan.minutes else updates,
        warm_up=plan.warm_up,
        weight_decay=plan.weight_decay,
    )
    trainer.compile(optimizer=optimizer)
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def description_of(plan: Plan, figures: dict[str, Any]) -> Description:
    """What the weights of a plan say of themselves."""
    return Description(
        spec=plan.spec,
        preprocessing=plan.preprocessing,
        figures=figures,
        training=plan.settings,
        split=plan.split,
        plan=plan.to_dict(),
        sampling=plan.sampling,
        microns=plan.microns,
    )
