"""The compiled predictor: an image and noise in, class probabilities out, in one call."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
from keras import ops

from ldseg.inference.noise import case_generator
from ldseg.segmenter import Segmenter

ETA = {"DDIM": 0.0, "DDPM": 1.0}
"""Share of the posterior's noise in each step of a sampler."""


class Predictor(keras.Model):
    """Encode the image once, run the whole reverse diffusion in one compiled loop, decode.

    A case's masks depend on its image and its noise alone. With ``flips``, the case is segmented as it is and mirrored
    along each combination of the axes of space, each copy from noise of its own, one copy after the other; their
    probabilities, mirrored back, are averaged.

    Args:
        segmenter: the networks with their weights.
        sampler: "DDIM" or "DDPM".
        steps: evaluations of the denoiser.
        flips: whether to average over mirrored copies.

    Raises:
        ValueError: for an unknown sampler.
    """

    def __init__(self, segmenter: Segmenter, *, sampler: str = "DDIM", steps: int = 15, flips: bool = False) -> None:
        super().__init__(name="predictor", dtype="float32")
        if sampler not in ETA:
            raise ValueError(f"expected a sampler of {sorted(ETA)}, got {sampler!r}")
        self.segmenter = segmenter
        self.steps = steps
        self.eta = ETA[sampler]
        space = [index for index, axis in enumerate(segmenter.spec.axes, start=1) if axis != "T"]
        chosen = itertools.chain.from_iterable(itertools.combinations(space, n) for n in range(len(space) + 1))
        self.mirrors = tuple(chosen) if flips else ((),)
        self.built = True

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """``(M, 1 + N', *L, c)``: for each mirrored copy the state to start from, then the noise of N' steps.

        N' is the number of steps for DDPM and 0 for DDIM.
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

    def reverse(self, condition: Any, noise: Any, state: Any = None, **part: Any) -> Any:
        """Run the sampler, or the part of it from ``first`` to ``last``, on one copy's noise ``(B, 1 + N', *L, c)``."""
        return self.segmenter.reverse(
            condition,
            noise[:, 0] if state is None else state,
            steps=self.steps,
            eta=self.eta,
            step_noise=noise[:, 1:] if self.eta else None,
            **part,
        )


class Trajectory(keras.Model):
    """The states of one case's reverse diffusion, for looking at: the same arithmetic as ``Predictor``, all steps kept.

    Args:
        predictor: whose sampler to follow, without mirrored copies.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(name="trajectory", dtype="float32")
        self.predictor = predictor
        self.built = True

    def call(self, inputs: dict[str, Any]) -> Any:
        """The inputs of ``Predictor`` for one case to its latents, ``(N + 1, *L, c)``, from pure noise to clean."""
        noise = inputs["noise"][:, 0]
        condition = self.predictor.segmenter.encode_image(inputs["image"])
        steps, start = self.predictor.steps, noise[:, 0]
        place = (-1, *[1] * (len(start.shape) - 1))

        def step(index: Any, carried: tuple[Any, Any]) -> tuple[Any, Any]:
            state, states = carried
            state = self.predictor.reverse(condition, noise, state, first=index, last=index + 1)
            # Each state is added to zeros in a place of its own: a loop, where unrolled steps take minutes to trace.
            return state, states + ops.reshape(ops.one_hot(index + 1, steps + 1), place) * state

        first = ops.reshape(ops.one_hot(0, steps + 1), place) * start
        return ops.fori_loop(0, steps, step, (start, first))[1]
