"""The time of the diffusion process as a vector that a network can use."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("ldseg")
class TimeEmbedding(keras.layers.Layer):
    r"""Sinusoids of t, then two dense layers, the first with swish: int ``(B,)`` to ``(B, units)``.

    ``dim / 2`` frequencies :math:`\exp(-\ln(10^4) k / (dim/2 - 1))`, all sines, then all cosines (Ho et al. 2020, after
    Vaswani et al. 2017).

    Args:
        dim: length of the sinusoidal code, even and at least 4.
        units: width of the dense layers; ``dim`` if not given.
    """

    def __init__(self, dim: int, units: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if dim < 4 or dim % 2:
            raise ValueError(f"expected an even dimension of at least 4, got {dim}")
        self.dim = dim
        self.units = units or dim
        precision = {"dtype": self.dtype_policy}
        self.hidden = keras.layers.Dense(self.units, activation="swish", name="hidden", **precision)
        self.out = keras.layers.Dense(self.units, name="out", **precision)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.hidden.build((None, self.dim))
        self.out.build((None, self.units))
        self.built = True

    def call(self, time: Any) -> Any:
        half = self.dim // 2
        frequencies = np.exp(-np.log(1e4) * np.arange(half) / (half - 1)).astype("float32")
        # Times run to 1000 and more: in half precision their phases would be lost.
        angle = ops.cast(time, "float32")[:, None] * ops.convert_to_tensor(frequencies)
        code = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)
        return self.out(self.hidden(ops.cast(code, self.compute_dtype)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim, "units": self.units}
