"""Residual blocks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ldseg.layers.factories import conv
from ldseg.layers.norm import GroupNormalization


@keras.saving.register_keras_serializable("ldseg")
class ResidualBlock(keras.layers.Layer):
    """GroupNorm, swish, convolution of 3, twice, plus the input; with a time embedding added between the two.

    ``(B, *S, c)``, or the pair of it and a time embedding ``(B, d)``, to ``(B, *S, filters)`` (Ho et al. 2020, appendix B).
    The embedding goes through swish and a dense layer; the input through a convolution of 1 where the width changes.

    Args:
        filters: channels that come out, a multiple of ``groups`` as the channels that come in are.
        groups: groups of each GroupNorm.
        kernel: kernel of both convolutions, one number or one for each axis.
        epsilon: added to the variance in each GroupNorm.
    """

    def __init__(
        self, filters: int, groups: int = 8, kernel: int | tuple[int, ...] = 3, epsilon: float = 1e-5, **options: Any
    ) -> None:
        super().__init__(**options)
        self.filters = filters
        self.groups = groups
        self.kernel = kernel if isinstance(kernel, int) else tuple(kernel)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        timed = isinstance(input_shape[0], list | tuple)
        shape, *embedding = input_shape if timed else (input_shape,)
        shape = tuple(shape)
        rank, between = len(shape) - 2, (*shape[:-1], self.filters)
        precision = {"dtype": self.dtype_policy}
        self.norm_in = GroupNormalization(self.groups, epsilon=self.epsilon, name="norm_in", **precision)
        self.conv_in = conv(rank, self.filters, self.kernel, name="conv_in", **precision)
        self.norm_out = GroupNormalization(self.groups, epsilon=self.epsilon, name="norm_out", **precision)
        self.conv_out = conv(rank, self.filters, self.kernel, name="conv_out", **precision)
        self.norm_in.build(shape)
        self.conv_in.build(shape)
        self.norm_out.build(between)
        self.conv_out.build(between)
        self.time = keras.layers.Dense(self.filters, name="time", **precision) if timed else None
        if self.time is not None:
            self.time.build(tuple(embedding[0]))
        widens = shape[-1] != self.filters
        self.shortcut = conv(rank, self.filters, 1, name="shortcut", **precision) if widens else None
        if self.shortcut is not None:
            self.shortcut.build(shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        x, embedding = inputs if self.time is not None else (inputs, None)
        hidden = self.conv_in(ops.silu(self.norm_in(x)))
        if self.time is not None:
            shift = self.time(ops.silu(embedding))
            hidden = hidden + ops.reshape(shift, (-1, *[1] * (len(x.shape) - 2), self.filters))
        hidden = self.conv_out(ops.silu(self.norm_out(hidden)))
        return hidden + (x if self.shortcut is None else self.shortcut(x))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        shape = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
        return (*shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "groups", "kernel", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("ldseg")
class ClassIndex(keras.layers.Layer):
    """One-hot classes ``(B, *S, C)`` to the expected class index as one float channel ``(B, *S, 1)``."""

    def call(self, onehot: Any) -> Any:
        return ops.sum(onehot * ops.cast(ops.arange(onehot.shape[-1]), onehot.dtype), axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 1)


@keras.saving.register_keras_serializable("ldseg")
class GroupedConv(keras.layers.Layer):
    """A "same" convolution whose channels fall into groups that do not see each other, of any rank.

    ``(B, *S, c)`` to ``(B, *S, filters)``. Keras has this as an option, which TensorFlow computes
    in three axes on a GPU only.

    Args:
        filters: channels that come out.
        groups: number of groups; a divisor of the channels on both sides.
        kernel: kernel along every axis.
    """

    def __init__(self, filters: int, groups: int, kernel: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.filters = filters
        self.groups = groups
        self.kernel = kernel

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        rank, channels = len(input_shape) - 2, int(input_shape[-1] or 0)
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(f"expected multiples of {self.groups} groups, got {channels} channels to {self.filters}")
        shape = ((self.kernel,) * rank) + (channels // self.groups, self.filters)
        self.weight = self.add_weight(name="kernel", shape=shape, initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, x: Any) -> Any:
        parts = zip(ops.split(x, self.groups, axis=-1), ops.split(self.weight, self.groups, axis=-1), strict=True)
        return ops.concatenate([ops.conv(part, kernel, padding="same") for part, kernel in parts], axis=-1) + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "groups": self.groups, "kernel": self.kernel}
