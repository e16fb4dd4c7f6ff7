"""The compiled predictor: an image and noise in, class probabilities out, in one call."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
from keras import ops

from ldseg.inference.noise import case_generator
from ldseg.segmenter import Segmenter

SAMPLERS: dict[str, dict[str, Any]] = {
    "DDIM": {"eta": 0.0, "order": 1},
    "DDPM": {"eta": 1.0, "order": 1},
    "DPM-Solver++": {"eta": 0.0, "order": 2},
}
"""The share of the posterior's noise in each step of a sampler, and its order: see ``ldseg.diffusion.sample``."""

STATES = 64
"""States of a trajectory that are kept, at most."""


class Predictor(keras.Model):
    """Encode the image once, run the whole reverse diffusion in one compiled loop, decode.

    A case's masks depend on its image and its noise alone. With ``flips``, the case is segmented as it is and mirrored
    along each combination of the axes of space, each copy from noise of its own, one copy after the other; their
    probabilities, mirrored back, are averaged.

    Args:
        segmenter: the networks with their weights.
        sampler: one of ``SAMPLERS``.
        steps: evaluations of the denoiser.
        flips: whether to average over mirrored copies.

    Raises:
        ValueError: for an unknown sampler.
    """

    def __init__(self, segmenter: Segmenter, *, sampler: str = "DDIM", steps: int = 15, flips: bool = False) -> None:
        super().__init__(name="predictor", dtype="float32")
        if sampler not in SAMPLERS:
            raise ValueError(f"expected a sampler of {sorted(SAMPLERS)}, got {sampler!r}")
        self.segmenter = segmenter
        self.steps = steps
        self.eta: float = SAMPLERS[sampler]["eta"]
        self.order: int = SAMPLERS[sampler]["order"]
        space = [index for index, axis in enumerate(segmenter.spec.axes, start=1) if axis != "T"]
        chosen = itertools.chain.from_iterable(itertools.combinations(space, n) for n in range(len(space) + 1))
        self.mirrors = tuple(chosen) if flips else ((),)
        self.built = True

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """``(M, 1 + N', *L, c)``: for each mirrored copy the state to start from, then the noise of N' steps.

        N' is the number of steps for DDPM and 0 for the others.
        """
        return (len(self.mirrors), 1 + (self.steps if self.eta else 0), *self.segmenter.latent_shape)

    def draw_noise(self, seed: int, name: str, grid: tuple[int, ...] | None = None) -> np.ndarray:
        """The noise of one case, float32 ``noise_shape``, or over a latent grid of its own in place of L."""
        shape = self.noise_shape if grid is None else (*self.noise_shape[:2], *grid, self.noise_shape[-1])
        return case_generator(seed, name).standard_normal(shape, dtype=np.float32)

    def call(self, inputs: dict[str, Any]) -> Any:
        """``{"image": (B, *S, ci) in [0, 1], "noise": (B, *noise_shape)}`` to probabilities ``(B, *S, C)``."""
        total = 0.0
        for index, mirror in enumerate(self.mirrors):
            image = ops.flip(inputs["image"], mirror) if mirror else inputs["image"]
            condition = self.segmenter.encode_image(image)
            latent = self.reverse(condition, inputs["noise"][:, index])
            probabilities = ops.softmax(self.segmenter.decode(latent), axis=-1)
            total = total + (ops.flip(probabilities, mirror) if mirror else probabilities)
        return total / len(self.mirrors)

    def reverse(self, condition: Any, noise: Any, **part: Any) -> Any:
        """Run the sampler, or the part of it that ``ldseg.diffusion.sample`` is told, on one copy's noise."""
        return self.segmenter.reverse(
            condition,
            noise[:, 0],
            steps=self.steps,
            eta=self.eta,
            order=self.order,
            step_noise=noise[:, 1:] if self.eta else None,
            **part,
        )


class Trajectory(keras.Model):
    """States of one case's reverse diffusion, for looking at: the same arithmetic as ``Predictor``.

    Args:
        predictor: whose sampler to follow, without mirrored copies.

    Attributes:
        kept: the steps after which a state is kept, from 0 (pure noise) to N (clean), all of them where there are no
            more than ``STATES``.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(name="trajectory", dtype="float32")
        self.predictor = predictor
        count = min(predictor.steps + 1, STATES)
        self.kept = tuple(int(step) for step in np.round(np.linspace(0, predictor.steps, count)))
        self.built = True

    def call(self, inputs: dict[str, Any]) -> Any:
        """The inputs of ``Predictor`` for one case to its latents after the steps ``kept``, ``(K, *L, c)``."""
        condition = self.predictor.segmenter.encode_image(inputs["image"])
        return self.predictor.reverse(condition, inputs["noise"][:, 0], keep=self.kept)[:, 0]
