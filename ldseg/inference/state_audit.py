"""How much a mask depends on the state of the diffusion, and how much on the image alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from ldseg.base import options
from ldseg.base.regions import Unions
from ldseg.base.spatial import IGNORE
from ldseg.data.cases import Case, LoadedCase, load_case
from ldseg.data.labels import filled
from ldseg.data.outline import label_on_grid
from ldseg.data.preprocess import Preprocessing
from ldseg.diffusion import step_grid
from ldseg.errors import DataError
from ldseg.evaluation import dice, scored
from ldseg.inference.cases import degraded
from ldseg.inference.predictor import Predictor
from ldseg.inference.seeding import case_generator
from ldseg.inference.tiled import TiledCase

STATES = tuple(options.STATES)
"""What the denoiser is given: the state that the sampler has come to, the latent of the case's label under noise, that of
another case's label, or noise alone."""

TIMES = 8
"""Steps of a run that are audited, at most."""


class StateAudit(keras.Model):
    r"""The mask that the denoiser's estimate :math:`\hat x_0` decodes to at several steps of a run, from each of ``STATES``.

    The state at time t is that of the run itself, :math:`\sqrt{\bar\alpha_t} E(y) + \sqrt{1 - \bar\alpha_t} n` with E the
    label encoder and y the case's label or that of another case, or n alone. Where a run is given such a state anew at every
    step, its mask is that of its last step.

    Args:
        predictor: whose sampler to follow, with its first member and without mirrored copies.

    Attributes:
        steps: the steps that are audited, from 0 up.
        times: their times t, descending from T.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(name="state_audit", dtype="float32")
        self.predictor = predictor
        count = min(predictor.steps, TIMES)
        self.steps = tuple(int(step) for step in np.round(np.linspace(0, predictor.steps - 1, count)))
        grid = step_grid(predictor.segmenter.spec.schedule.timesteps, predictor.steps)
        self.times = tuple(int(grid[step]) for step in self.steps)
        self.built = True

    def call(self, inputs: dict[str, Any]) -> Any:
        """Masks int32 ``(B, K, 4, *S)`` of K steps.

        Args:
            inputs: ``image (B, *S, ci)`` in [0, 1], ``label`` and ``other`` int ``(B, *S)`` of parts,
                ``noise (B, *noise_shape)`` of the predictor, ``fresh (B, K, *L, c)`` standard normal.
        """
        model = self.predictor.segmenter
        condition = model.encode_image(inputs["image"])
        own = self.predictor.reverse(condition, inputs["noise"][:, 0, 0], keep=self.steps)
        latents = [model.encode_label(ops.cast(inputs[name], "int32")) for name in ("label", "other")]
        repeated = keras.tree.map_structure(lambda features: ops.concatenate([features] * len(STATES), axis=0), condition)

        def masks(step: Any) -> Any:
            state, fresh, time = step
            when = ops.broadcast_to(time, ops.shape(fresh)[:1])
            noised = [model.corrupt(latent, fresh, when) for latent in latents]
            x_t, when = ops.concatenate([state, *noised, fresh], axis=0), ops.concatenate([when] * len(STATES), axis=0)
            x0, _ = model.convert(ops.cast(model.denoise(x_t, repeated, when), "float32"), x_t, when)
            logits = model.class_logits(model.decode(x0 if model.hold is None else model.hold(x0)))
            return ops.cast(ops.argmax(logits, axis=-1), "int32")

        times = ops.convert_to_tensor(np.asarray(self.times, np.int32))
        found = ops.map(masks, (own, ops.moveaxis(inputs["fresh"], 1, 0), times))
        found = ops.reshape(found, (len(self.times), len(STATES), -1, *model.spec.size))
        return ops.transpose(found, (2, 0, 1, *range(3, found.ndim)))


@dataclass(frozen=True, kw_only=True)
class Audited:
    """One case, audited or not.

    Attributes:
        name: of the case.
        masks: int32 ``(K, 4, *S)`` by step and state, on the grid of the network; None if it could not be audited.
        label: the case's label there, int32 ``(*S)``.
        problem: what was wrong with it; empty if nothing was.
    """

    name: str
    masks: np.ndarray | None = None
    label: np.ndarray | None = None
    problem: str = ""

    def scores(self, classes: int, unions: Unions = ()) -> np.ndarray:
        """Dice of each mask with the label, then with the mask from the own state; NaN as in ``dice``.

        Returns:
            float64 ``(K, 4, 2, C)``; with unions of classes, of each of these.

        Raises:
            ValueError: if the case could not be audited.
        """
        if self.masks is None or self.label is None:
            raise ValueError(f"{self.name} was not audited: {self.problem}")
        own = STATES.index("own")
        pairs = [[[(mask, self.label), (mask, step[own])] for mask in step] for step in self.masks]
        return np.array([[[scored(dice, *pair, classes, unions) for pair in mask] for mask in step] for step in pairs])


def audit_states(
    audit: StateAudit, cases: Iterable[Case], preprocessing: Preprocessing, *, seed: int, sigma: float = 0.0
) -> Iterator[Audited]:
    """Audit cases with labels in their order, each beside the next one, the last beside the first.

    A case that is tiled is looked at through one window of the network's grid, in its middle. On each image lies Gaussian
    noise of ``sigma``, see ``degrade``.

    Raises:
        DataError: if fewer than two of them can be used.
    """
    first = last = None
    for case in cases:
        try:
            loaded = degraded(load_case(case, preprocessing), "gaussian", sigma, seed, preprocessing)
            window = _Window(loaded, preprocessing, audit.predictor, seed)
        except DataError as error:
            yield Audited(name=case.name, problem=str(error))
            continue
        if last is not None:
            yield _audited(audit, last, window, seed)
        first, last = first or window, window
    if first is None or last is None or last is first:
        raise DataError(f"state audit: expected at least two cases with a label, got {0 if first is None else 1}")
    yield _audited(audit, last, first, seed)


def _audited(audit: StateAudit, window: _Window, other: _Window, seed: int) -> Audited:
    rng = case_generator(seed, window.digest, "audit")
    latent = audit.predictor.segmenter.latent_shape
    inputs = {
        "image": window.image,
        "label": window.parts,
        "other": other.parts,
        "noise": window.noise,
        "fresh": rng.standard_normal((len(audit.times), *latent), dtype=np.float32),
    }
    found = audit.predict_on_batch({name: value[np.newaxis] for name, value in inputs.items()})
    return Audited(name=window.name, masks=np.asarray(found)[0], label=window.label)


class _Window:
    """What the audit needs of a case."""

    def __init__(self, loaded: LoadedCase, preprocessing: Preprocessing, predictor: Predictor, seed: int) -> None:
        if loaded.label is None:
            raise DataError(f"{loaded.name}: expected a label, found none")
        tiled = TiledCase(loaded, preprocessing, predictor, seed)
        tiling = tiled.tiling
        start = tiling.starts[len(tiling.starts) // 2]
        tile = tiled.tile(start)
        self.name, self.digest = loaded.name, loaded.digest
        self.image, self.noise = tile["image"].copy(), tile["noise"].copy()
        parts = label_on_grid(loaded, preprocessing, tiling.grid, predictor.spec.outline)
        unsaid = tiling.pad((parts == IGNORE)[..., np.newaxis])[..., 0][tiling.window(start)]
        parts = filled(parts, predictor.spec.parts) % predictor.spec.parts
        self.parts = tiling.pad(parts[..., np.newaxis])[..., 0][tiling.window(start)].astype(np.int32)
        self.label = np.where(unsaid, IGNORE, np.minimum(self.parts, predictor.spec.classes - 1))
