"""Between classes and the state of a diffusion in the space of the mask itself."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_LEAST = 1e-4
"""Probability below which a class does not fall, so that its logarithm stays in range."""


@keras.saving.register_keras_serializable("ldseg")
class MaskState(keras.layers.Layer):
    """One-hot classes ``(B, *S, C)`` to the state in [-1, 1], float32: one channel for two classes, else C."""

    def call(self, onehot: Any) -> Any:
        state = ops.cast(onehot, "float32") * 2 - 1
        return state[..., 1:] if onehot.shape[-1] == 2 else state

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 1 if input_shape[-1] == 2 else input_shape[-1])


@keras.saving.register_keras_serializable("ldseg")
class MaskLogits(keras.layers.Layer):
    r"""The clean state of ``MaskState`` to logits ``(B, *S, C)``.

    What a denoiser estimates is the mean of the states that may be: of a channel that is 1 with probability p and -1
    otherwise, :math:`2p - 1`. So the logits are :math:`\log p`, and a softmax over them gives p, scaled to the sum of 1
    where there are more than two classes.
    """

    def call(self, state: Any) -> Any:
        share = (ops.cast(state, "float32") + 1) / 2
        if state.shape[-1] == 1:
            share = ops.concatenate([1 - share, share], axis=-1)
        return ops.log(ops.clip(share, _LEAST, 1.0))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 2 if input_shape[-1] == 1 else input_shape[-1])
