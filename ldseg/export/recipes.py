"""How the arrays of a graph are made from those of a weights file, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Arrays = Sequence[np.ndarray]
_LARGEST = 1 << 28
"""Numbers of the largest matrix of a transform."""


def _plain(arrays: Arrays) -> np.ndarray:
    return arrays[0]


def _channels(arrays: Arrays, rank: int) -> np.ndarray:
    """One number for each channel, to broadcast over a map with channels first."""
    return arrays[0].reshape(-1, *[1] * rank)


def _conv(arrays: Arrays, start: int = 0, stop: int | None = None, planes: bool = False, turned: bool = False) -> np.ndarray:
    """A kernel ``(*k, in, out)`` to ``(out, in, *k)``, of the channels from `start` to `stop` that go in.

    With `planes`, ``(d, h, w, in, out)`` to ``(out, d * in, h, w)``: one for planes whose neighbours are channels. With
    `turned`, the kernel of the transposed convolution that does the same: ``(in, out, *k)``, turned round.
    """
    kernel = np.moveaxis(arrays[0][..., start:stop, :], (-1, -2), (0, 1))
    if planes:
        kernel = np.moveaxis(kernel, 1, 2).reshape(len(kernel), -1, *kernel.shape[3:])
    return np.flip(np.swapaxes(kernel, 0, 1), tuple(range(2, kernel.ndim))) if turned else kernel


def _conv_transpose(arrays: Arrays) -> np.ndarray:
    """A kernel ``(*k, out, in)`` to ``(in, out, *k)``."""
    return np.moveaxis(arrays[0], (-1, -2), (0, 1))


def _conv_unfolded(arrays: Arrays, factors: Sequence[int]) -> np.ndarray:
    """A kernel ``(*k, out, in)`` of a transposed convolution as one that gives all positions of a stride at once.

    Where a stride is not 1, the kernel is as long. What comes out is ``(out * factors, d * in, h, w)``, see ``_conv``, with
    1 for a length where the stride is not: along an axis without a stride it is a convolution with the kernel turned round.
    """
    kernel, rank = arrays[0], len(factors)
    turned = np.flip(kernel, tuple(axis for axis, factor in enumerate(factors) if factor == 1))
    turned = np.moveaxis(turned, rank, 0)  # (out, *k, in)
    split = turned.reshape(len(turned), *(n for k, f in zip(kernel.shape, factors, strict=False) for n in (f, k // f)), -1)
    found = split.transpose(0, *range(1, 2 * rank, 2), 2, 2 * rank + 1, *range(4, 2 * rank + 1, 2))
    return found.reshape(len(turned) * math.prod(factors), -1, *found.shape[rank + 3 :])


def _repeated(arrays: Arrays, times: int) -> np.ndarray:
    """Each number so many times."""
    return np.repeat(arrays[0], times)


def _normed_kernel(arrays: Arrays, epsilon: float, planes: bool = False) -> np.ndarray:
    """The kernel of a convolution with BatchNorm behind it: kernel, gamma, variance."""
    kernel, gamma, variance = arrays
    return _conv([kernel * (gamma / np.sqrt(variance + np.float32(epsilon)))], planes=planes)


def _normed_bias(arrays: Arrays, epsilon: float) -> np.ndarray:
    """The bias of a convolution with BatchNorm behind it: bias, gamma, beta, mean, variance."""
    bias, gamma, beta, mean, variance = arrays
    return (bias - mean) * (gamma / np.sqrt(variance + np.float32(epsilon))) + beta


def _factor(arrays: Arrays, epsilon: float, rank: int) -> np.ndarray:
    """What BatchNorm multiplies a channel by: gamma, variance."""
    return _channels([arrays[0] / np.sqrt(arrays[1] + np.float32(epsilon))], rank)


def _shift(arrays: Arrays, epsilon: float, rank: int) -> np.ndarray:
    """What BatchNorm adds to a channel: beta, mean, gamma, variance."""
    beta, mean, *rest = arrays
    return _channels([beta], rank) - _channels([mean], rank) * _factor(rest, epsilon, rank)


def _projections(arrays: Arrays, scale: float, rank: int) -> np.ndarray:
    """The kernels ``(c, c)`` of query, key and value as one of a convolution, the query's times `scale`."""
    query, *rest = arrays
    joined = np.concatenate([query * np.float32(scale), *rest], axis=1)
    return joined.T.reshape(joined.shape[1], -1, *[1] * rank)


def _projection(arrays: Arrays, rank: int) -> np.ndarray:
    """The kernel ``(in, out)`` of a dense layer as one of a convolution."""
    return arrays[0].T.reshape(arrays[0].shape[1], -1, *[1] * rank)


def _biases(arrays: Arrays, scale: float) -> np.ndarray:
    query, *rest = arrays
    return np.concatenate([query * np.float32(scale), *rest])


def _cosines(arrays: Arrays, length: int, kept: int, part: str) -> np.ndarray:
    """The matrix ``(length, kept)`` of a discrete Fourier transform, its part ``cos`` or ``sin``."""
    if not 0 < length * kept <= _LARGEST:
        raise ValueError(f"a transform of {length} to {kept} numbers")
    angle = 2 * np.pi * (np.outer(np.arange(length), np.arange(kept)) % length) / length
    return getattr(np, part)(angle)


def _back(arrays: Arrays, length: int, part: str) -> np.ndarray:
    """The matrix ``(length // 2 + 1, length)`` from half a spectrum back to real numbers."""
    kept = length // 2 + 1
    twice = np.full(kept, 2.0)
    twice[0] = 1
    if length % 2 == 0:
        twice[-1] = 1
    return _cosines((), length, kept, part).T * twice[:, None] / length


RECIPES: dict[str, Callable[..., np.ndarray]] = {
    "plain": _plain,
    "channels": _channels,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "conv_unfolded": _conv_unfolded,
    "repeated": _repeated,
    "normed_kernel": _normed_kernel,
    "normed_bias": _normed_bias,
    "factor": _factor,
    "shift": _shift,
    "projections": _projections,
    "projection": _projection,
    "biases": _biases,
    "cosines": _cosines,
    "back": _back,
}
"""By name, as graphs name them."""


def cooked(recipe: str, arrays: Arrays, arguments: dict[str, Any]) -> np.ndarray:
    """An array of a graph, float32."""
    made = RECIPES[recipe]([array.astype(np.float32, copy=False) for array in arrays], **arguments)
    return np.ascontiguousarray(made, dtype=np.float32)
