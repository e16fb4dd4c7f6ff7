"""The states that a run goes through, for looking at."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ldseg.inference.predictor import Predictor

STATES = 64
"""States of a trajectory that are kept, at most."""


class Trajectory(keras.Model):
    """States of one case's reverse diffusion, for looking at: the same arithmetic as ``Predictor``.

    Args:
        predictor: whose sampler to follow, with its first member and without mirrored copies.

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
        return self.predictor.reverse(condition, inputs["noise"][:, 0, 0], keep=self.kept)[:, 0]
