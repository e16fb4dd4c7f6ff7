"""GroupNorm and BatchNorm, as Keras has them but faster on a CPU."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from ldseg.layers import factories


# The class is named as the one of Keras: files of weights address layers by the names of their classes.
@keras.saving.register_keras_serializable("ldseg")
class GroupNormalization(keras.layers.GroupNormalization):
    """The layer of Keras, for channels last and a fixed size, with the same weights and the same result.

    Keras reduces the positions and a group's channels at once, axes that do not lie side by side; on a CPU, TensorFlow
    needs more than twice as long for that as for the positions alone. So each channel is reduced by itself, and then the
    channels of a group: its variance is the mean of theirs plus the variance of their means.
    """

    def call(self, inputs: Any) -> Any:
        *size, channels = inputs.shape[1:]
        groups = channels if self.groups == -1 else self.groups
        # In half precision the sums would overflow.
        x = ops.cast(inputs, "float32")
        flat = ops.reshape(x, (-1, math.prod(size), channels))
        mean = ops.mean(flat, axis=1, keepdims=True)
        variance = ops.mean(ops.square(flat - mean), axis=1)
        of_group = (groups, channels // groups)
        mean, variance = (ops.reshape(part, (-1, *of_group)) for part in (mean, variance))
        shared = ops.mean(mean, axis=-1, keepdims=True)
        variance = ops.mean(variance + ops.square(mean - shared), axis=-1, keepdims=True)
        gamma = ops.reshape(ops.cast(self.gamma, "float32"), of_group) if self.scale else ops.ones(of_group)
        beta = ops.reshape(ops.cast(self.beta, "float32"), of_group) if self.center else 0.0
        factor = gamma * ops.rsqrt(variance + self.epsilon)
        shift = beta - shared * factor
        each = (-1, *[1] * len(size), channels)
        return ops.cast(x * ops.reshape(factor, each) + ops.reshape(shift, each), self.compute_dtype)


@keras.saving.register_keras_serializable("ldseg")
class ConvNorm(keras.layers.Layer):
    """A "same" convolution, then BatchNorm (Ioffe and Szegedy 2015), in one layer.

    ``(B, *S, c)`` to ``(B, *S, filters)``. Out of training, BatchNorm scales and shifts each channel by fixed numbers, which
    go into kernel and bias here: the map is passed over once.

    Args:
        filters: channels that come out.
        kernel: kernel along every axis.
    """

    def __init__(self, filters: int, kernel: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.filters = filters
        self.kernel = kernel

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        rank = len(input_shape) - 2
        self.conv = factories.conv(rank, self.filters, self.kernel, name="conv", dtype=self.dtype_policy)
        self.conv.build(input_shape)
        self.norm = keras.layers.BatchNormalization(name="norm", dtype=self.dtype_policy)
        self.norm.build(self.conv.compute_output_shape(input_shape))
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            return self.norm(self.conv(x), training=True)
        conv, norm = self.conv, self.norm
        weights = conv.kernel, conv.bias, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance
        kernel, bias, gamma, beta, mean, variance = (ops.cast(weight, "float32") for weight in weights)
        factor = gamma * ops.rsqrt(variance + norm.epsilon)
        kernel, bias = kernel * factor, (bias - mean) * factor + beta
        # Not "+": it is this function that TensorFlow computes in one with the convolution.
        x = ops.conv(x, ops.cast(kernel, self.compute_dtype), padding="same")
        return ops.add(x, ops.cast(bias, self.compute_dtype))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "kernel": self.kernel}
