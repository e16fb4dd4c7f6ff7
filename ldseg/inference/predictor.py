"""The compiled predictor: an image and noise in, class probabilities of each member out, in one call."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ldseg.devices import fused
from ldseg.diffusion.random import KEYS, WORDS, normal
from ldseg.inference.seeding import case_generator
from ldseg.segmenter import Segmenter

SAMPLERS: dict[str, dict[str, Any]] = {
    "DDIM": {"eta": 0.0, "order": 1},
    "DDPM": {"eta": 1.0, "order": 1},
    "DPM-Solver++": {"eta": 0.0, "order": 2},
}
"""The share of the posterior's noise in each step of a sampler, and its order: see ``ldseg.diffusion.sample``."""

FUSED = 64 * 64
"""Positions of a latent of two axes up to which fused loops were measured to be faster; in three axes they are slower."""


class Predictor(keras.Model):
    """Encode the image once, run the whole reverse diffusion of all members in one compiled loop, decode.

    A case's masks depend on its image and its noise alone: all members of an ensemble share the image, each has its own
    noise, and the first members do not depend on how many follow. With ``flips``, the case is segmented as it is and
    mirrored along each combination of the axes of space, each copy from noise of its own, one copy after the other; their
    probabilities, mirrored back, are averaged.

    Args:
        segmenter: the networks with their weights.
        sampler: one of ``SAMPLERS``.
        steps: evaluations of the denoiser.
        flips: whether each member is an average over mirrored copies.
        samples: E, the members of the ensemble.
        at_once: members in memory at the same time, for each image; more than that go in several loops, one after the
            other. All of them by default.

    Raises:
        ValueError: for an unknown sampler, or no member.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        sampler: str = "DDIM",
        steps: int = 15,
        flips: bool = False,
        samples: int = 1,
        at_once: int | None = None,
    ) -> None:
        super().__init__(name="predictor", dtype="float32")
        if sampler not in SAMPLERS:
            raise ValueError(f"expected a sampler of {sorted(SAMPLERS)}, got {sampler!r}")
        if samples < 1 or (at_once is not None and at_once < 1):
            raise ValueError(f"expected at least one member, got {samples} samples, {at_once} at once")
        self.segmenter = segmenter
        self.steps = 1 if segmenter.spec.control else steps  # whose every step is the same
        self.samples = samples
        # Parts of equal size, so that as few places as can be are left over in the last.
        self._part = math.ceil(samples / math.ceil(samples / (at_once or samples)))
        self.eta: float = SAMPLERS[sampler]["eta"]
        self.order: int = SAMPLERS[sampler]["order"]
        space = [index for index, axis in enumerate(segmenter.spec.axes, start=1) if axis != "T"]
        chosen = itertools.chain.from_iterable(itertools.combinations(space, n) for n in range(len(space) + 1))
        self.mirrors = tuple(chosen) if flips else ((),)
        self.built = True

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """``(E, M, 1 + K, *L, c)``: for each member and mirrored copy the state to start from, then the K words of a key.

        K is 2 for DDPM, whose noise each step works out from the key of each position, and 0 for the others.
        """
        return (self.samples, len(self.mirrors), 1 + (KEYS if self.eta else 0), *self.segmenter.latent_shape)

    def draw_noise(self, seed: int, content: str, grid: tuple[int, ...] | None = None) -> np.ndarray:
        """The noise of one case, float32 ``noise_shape``, or over a latent grid of its own in place of L.

        Every sampler starts from the same state.
        """
        _, copies, fields, *latent = self.noise_shape
        latent = latent if grid is None else [*grid, latent[-1]]
        purposes = ["latent", *(f"latent {index}" for index in range(1, self.samples))]
        noise = np.empty((self.samples, copies, fields, *latent), np.float32)
        for member, purpose in zip(noise, purposes, strict=True):
            rng = case_generator(seed, content, purpose)
            member[:, 0] = rng.standard_normal((copies, *latent), dtype=np.float32)
            member[:, 1:] = rng.integers(0, WORDS, (copies, fields - 1, *latent))
        return noise

    def call(self, inputs: dict[str, Any]) -> Any:
        """``{"image": (B, *S, ci) in [0, 1], "noise": (B, *noise_shape)}`` to probabilities ``(B, E, *S, C)``."""
        spec, positions = self.segmenter.spec, math.prod(self.segmenter.latent_shape[:-1])
        small = spec.axes == "YX" and positions <= FUSED and self.steps > 1  # one step is no loop
        reverse = fused(self.reverse) if small else self.reverse
        total = 0.0
        for index, mirror in enumerate(self.mirrors):
            image = ops.flip(inputs["image"], mirror) if mirror else inputs["image"]
            condition = self.segmenter.encode_image(image)
            probabilities = self._members(reverse, condition, inputs["noise"][:, :, index])
            total = total + (ops.flip(probabilities, [axis + 1 for axis in mirror]) if mirror else probabilities)
        return total / len(self.mirrors)

    def _members(self, reverse: Callable[[Any, Any], Any], condition: Any, noise: Any) -> Any:
        """One copy's noise of all members ``(B, E, 1 + K, *L, c)`` to probabilities ``(B, E, *S, C)``."""
        part, rest = self._part, noise.shape[2:]
        if part > 1:
            condition = keras.tree.map_structure(lambda features: ops.repeat(features, part, axis=0), condition)

        def one(noise: Any) -> Any:
            return ops.softmax(self.segmenter.decode(reverse(condition, noise)), axis=-1)

        if part == self.samples:
            members = one(ops.reshape(noise, (-1, *rest)))
            return ops.reshape(members, (-1, part, *members.shape[1:]))
        parts = math.ceil(self.samples / part)
        left_over = parts * part - self.samples
        if left_over:
            noise = ops.concatenate([noise, noise[:, :left_over]], axis=1)
        noise = ops.moveaxis(ops.reshape(noise, (-1, parts, part, *rest)), 1, 0)
        members = ops.map(one, ops.reshape(noise, (parts, -1, *rest)))
        members = ops.moveaxis(ops.reshape(members, (parts, -1, part, *members.shape[2:])), 0, 1)
        return ops.reshape(members, (-1, parts * part, *members.shape[3:]))[:, : self.samples]

    def reverse(self, condition: Any, noise: Any, **part: Any) -> Any:
        """Run the sampler, or the part of it that ``ldseg.diffusion.sample`` is told, on one copy's noise."""
        return self.segmenter.reverse(
            condition,
            noise[:, 0],
            steps=self.steps,
            eta=self.eta,
            order=self.order,
            step_noise=(lambda index: normal((noise[:, 1], noise[:, 2]), index)) if self.eta else None,
            **part,
        )
