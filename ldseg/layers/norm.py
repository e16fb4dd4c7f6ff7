"""GroupNorm and BatchNorm, as Keras has them but faster on a CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ldseg.devices.operations import batch_norm_in_one
from ldseg.layers import factories


# The class is named as the one of Keras: files of weights address layers by the names of their classes.
@keras.saving.register_keras_serializable("ldseg")
class GroupNormalization(keras.layers.GroupNormalization):
    """The layer of Keras, for channels last and a fixed size, with the same weights and the same result.

    Keras reduces the positions and a group's channels at once, axes that do not lie side by side; on a CPU, TensorFlow
    needs more than twice as long for that as for the positions alone. So each channel is reduced by itself, and then the
    channels of a group: its variance is the mean of theirs plus the variance of their means. In training on TensorFlow the
    gradient is written out, too.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        *size, channels = inputs.shape[1:]
        groups = channels if self.groups == -1 else self.groups
        of_group = (groups, channels // groups)
        # In half precision the sums would overflow.
        x = ops.reshape(ops.cast(inputs, "float32"), (-1, math.prod(size), channels))
        gamma = ops.reshape(ops.cast(self.gamma, "float32"), of_group) if self.scale else ops.ones(of_group)
        beta = ops.reshape(ops.cast(self.beta, "float32"), of_group) if self.center else ops.zeros(of_group)
        # Elsewhere than on TensorFlow a compiler joins the many small operations of the gradient.
        by_hand = training and keras.backend.backend() == "tensorflow"
        y = ops.custom_gradient(self._normalize)(x, gamma, beta) if by_hand else self._normalize(x, gamma, beta)[0]
        return ops.cast(ops.reshape(y, (-1, *size, channels)), self.compute_dtype)

    def _normalize(self, x: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[..., tuple[Any, Any, Any]]]:
        r"""Float32 ``(B, N, c)`` and ``(groups, c / groups)`` to the same, normalised, and to its gradient.

        With :math:`y = \gamma \hat x + \beta`, :math:`\hat x = (x - \mu) r`, the gradient g of y and means over a group,

        .. math:: dx = r (\gamma g - \overline{\gamma g} - \hat x \, \overline{\gamma g \hat x})

        which is one number for each channel times g, one for each group times x, and one for each channel: by far fewer
        passes over the map than differentiating each operation takes.
        """
        of_group, positions, channels = tuple(gamma.shape), x.shape[1], x.shape[2]

        def each(value: Any) -> Any:
            return ops.reshape(value, (-1, 1, channels))

        mean = ops.mean(x, axis=1, keepdims=True)
        centred = x - mean
        variance = ops.mean(ops.square(centred), axis=1)
        mean, variance = (ops.reshape(part, (-1, *of_group)) for part in (mean, variance))
        shared = ops.mean(mean, axis=-1, keepdims=True)
        variance = ops.mean(variance + ops.square(mean - shared), axis=-1, keepdims=True)
        inverse = ops.rsqrt(variance + self.epsilon)
        factor = gamma * inverse
        shift = beta - shared * factor

        def gradient(*given: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
            upstream = given[0] if upstream is None else upstream
            total = ops.reshape(ops.sum(upstream, axis=1), (-1, *of_group))
            along = ops.reshape(ops.sum(upstream * centred, axis=1), (-1, *of_group))
            # Of x less the mean of its group, where it was that of its channel; and of \hat x.
            along = (along + (mean - shared) * total) * inverse
            count = positions * of_group[1]
            level = ops.sum(gamma * total, axis=-1, keepdims=True) / count
            slope = ops.sum(gamma * along, axis=-1, keepdims=True) / count * inverse * inverse
            offset = -inverse * level - slope * (mean - shared)
            slopes = ops.broadcast_to(slope, ops.shape(mean))
            grown = upstream * each(factor) - centred * each(slopes) + each(offset)
            return grown, ops.sum(along, axis=0), ops.sum(total, axis=0)

        return x * each(factor) + each(shift), gradient


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
        conv, norm = self.conv, self.norm
        if training:
            mixed = conv(x)
            found = batch_norm_in_one(mixed, norm.gamma, norm.beta, norm.epsilon)
            if found is None:
                return norm(mixed, training=True)
            mixed, *statistics = found
            for kept, seen in zip((norm.moving_mean, norm.moving_variance), statistics, strict=True):
                kept.assign(kept * norm.momentum + ops.cast(seen, kept.dtype) * (1 - norm.momentum))
            return mixed
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
