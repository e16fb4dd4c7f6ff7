"""What stands in a graph for convolutions. Those along three axes become ones along two, at which runtimes are quick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ldseg.errors import WeightsError
from ldseg.export.graph import Graph


def refuse(layer: Any, why: str) -> WeightsError:
    """The error for what has no place in a graph."""
    return WeightsError(f"cannot be exported: layer {layer.name!r} ({type(layer).__name__}): {why}")


def _same(size: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...]) -> list[int]:
    """Padding before each axis, then behind each: as much as a map of the size divided by the strides takes."""
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, strides, strict=True)]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def _convolved(
    graph: Graph,
    x: str,
    given: tuple[int, ...],
    shape: tuple[int, ...],
    weights: Sequence[str],
    kernel: tuple[int, ...],
    strides: tuple[int, ...] = (),
    group: int = 1,
    same: bool = True,
    turned: bool = False,
) -> str:
    """A map of the shape `given` to one of `shape`; of three axes by planes, see ``_in_planes``.

    The weights are laid out for that, and as ``_is_turned`` says where they are `turned`.
    """
    size = given[:-1]
    strides = strides or (1,) * len(size)
    pads = _same(size, kernel, strides) if same else [0] * (2 * len(size))
    if _in_planes(len(size), group):
        return graph.transpose(_by_planes(graph, x, given, shape, weights, kernel, strides, pads, turned), (0, 2, 1, 3, 4))
    kind = "ConvTranspose" if turned else "Conv"
    found: str = graph.add(kind, x, *weights, kernel_shape=kernel, strides=strides, pads=pads, group=group)
    return found


_FEW = 4
"""Filters, see ``_is_turned``."""


def _is_turned(layer: Any) -> bool:
    """Whether a convolution stands as a transposed one with its kernel turned round, which is the same.

    Runtimes work out convolutions in blocks of 16 filters, transposed ones not: with few filters these take a third of the
    time.
    """
    kernel, strides = layer.kernel_size[-2:], layer.strides[-2:]
    if layer.filters > _FEW or len(kernel) < 2 or layer.groups > 1 or layer.padding != "same":
        return False
    return set(strides) == {1} and all(k % 2 for k in kernel) and max(kernel) > 1


def _in_planes(rank: int, group: int = 1) -> bool:
    """Whether a convolution goes by planes: runtimes are quick along two axes, slow and greedy along three."""
    return rank == 3 and group == 1


def _by_planes(
    graph: Graph,
    x: str,
    given: tuple[int, ...],
    shape: tuple[int, ...],
    weights: Sequence[str],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: Sequence[int],
    turned: bool = False,
) -> str:
    """A convolution along three axes as one along two: its planes are a batch, the neighbours of a plane its channels.

    What comes out has the planes before the channels, ``(B, d, c, h, w)``.
    """
    (_, *plane, channels), (depth, *after, filters) = given, shape
    x = graph.transpose(x, (0, 2, 1, 3, 4))  # (B, d, c, h, w)
    if pads[0] or pads[3]:
        x = graph.add("Pad", x, graph.constant((0, pads[0], 0, 0, 0, 0, pads[3], 0, 0, 0), "int64"))
    if kernel[0] > 1 or strides[0] > 1:
        ends = [(k, k + (depth - 1) * strides[0] + 1) for k in range(kernel[0])]
        steps = graph.constant([1], "int64"), graph.constant([strides[0]], "int64")
        parts = [graph.add("Slice", x, *(graph.constant([n], "int64") for n in both), *steps) for both in ends]
        x = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=2)
    x = graph.add("Reshape", x, graph.constant((-1, kernel[0] * channels, *plane), "int64"))
    flat = [*pads[1:3], *pads[4:]]
    kind = "ConvTranspose" if turned else "Conv"
    x = graph.add(kind, x, *weights, kernel_shape=kernel[1:], strides=strides[1:], pads=flat)
    return graph.add("Reshape", x, graph.constant((-1, depth, filters, *after), "int64"))


def _check(layer: Any) -> None:
    if layer.padding not in ("same", "valid") or layer.data_format != "channels_last" or set(layer.dilation_rate) != {1}:
        raise refuse(layer, "expected padding 'same' or 'valid', channels last and no dilation")


_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def activated(graph: Graph, x: str, activation: str) -> str:
    """An activation by the name that Keras has for it.

    Raises:
        KeyError: for one that is not known here.
    """
    if activation == "linear":
        return x
    found: str
    if activation in ("swish", "silu"):
        found = graph.add("Mul", x, graph.add("Sigmoid", x))
    else:
        found = graph.add(_ACTIVATIONS[activation], x)
    return found


def activated_by(graph: Graph, layer: Any, x: str) -> str:
    """The activation of a layer."""
    try:
        return activated(graph, x, layer.activation.__name__)
    except KeyError:
        raise refuse(layer, f"the activation {layer.activation.__name__} is not known") from None


def conv(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """A convolution of any rank."""
    bias = [graph.weight("plain", layer.bias)] if layer.use_bias else []
    return activated_by(graph, layer, part_of_conv(graph, layer, inputs[0], shapes[0], shape, bias))


def part_of_conv(
    graph: Graph,
    layer: Any,
    x: str,
    given: tuple[int, ...],
    shape: tuple[int, ...],
    bias: Sequence[str] = (),
    start: int = 0,
) -> str:
    """What a convolution makes of the channels that it is given, without its activation.

    The first of them is its channel `start`. The sum over all of them is the whole of it.
    """
    _check(layer)
    turned = _is_turned(layer)
    options: dict[str, Any] = {}
    if layer.groups == 1:
        options = {"planes": _in_planes(len(given) - 1), "turned": turned}
        if (start, start + given[-1]) != (0, layer.kernel.shape[-2]):
            options |= {"start": start, "stop": start + given[-1]}
    weights = (graph.weight("conv", layer.kernel, **options), *bias)
    kernel, strides, same = tuple(layer.kernel_size), tuple(layer.strides), layer.padding == "same"
    return _convolved(graph, x, given, shape, weights, kernel, strides, layer.groups, same, turned)


def conv_transpose(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """A transposed convolution of any rank."""
    _check(layer)
    kernel, strides = tuple(layer.kernel_size), tuple(layer.strides)
    if len(kernel) == 3 and all(s in (1, k) for k, s in zip(kernel, strides, strict=True)) and layer.padding == "same":
        return activated_by(graph, layer, _unfolded(graph, layer, inputs[0], shapes[0], shape))
    weights = [graph.weight("conv_transpose", layer.kernel)]
    weights += [graph.weight("plain", layer.bias)] if layer.use_bias else []
    more = [max(k - s, 0) if layer.padding == "same" else 0 for k, s in zip(kernel, strides, strict=True)]
    missing = [max(s - k, 0) for k, s in zip(kernel, strides, strict=True)]
    pads = [total // 2 for total in more] + [total - total // 2 for total in more]
    x = graph.add(
        "ConvTranspose", inputs[0], *weights, kernel_shape=kernel, strides=strides, pads=pads, output_padding=missing
    )
    return activated_by(graph, layer, x)


def _unfolded(graph: Graph, layer: Any, x: str, given: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """A transposed convolution whose windows do not overlap where they have a stride.

    All positions of a stride come at once, as channels, which are then laid out. Runtimes are slow at transposed
    convolutions along three axes.
    """
    (depth, height, width, _), filters, strides = given, shape[-1], tuple(layer.strides)
    factor = math.prod(strides)
    kernel = tuple(k if s == 1 else 1 for k, s in zip(layer.kernel_size, strides, strict=True))
    weights = [graph.weight("conv_unfolded", layer.kernel, factors=list(strides))]
    weights += [graph.weight("repeated", layer.bias, times=factor)] if layer.use_bias else []
    # Turned round, a kernel of even length has the longer padding on the other side.
    behind = [(k - 1) // 2 for k in kernel]
    pads = [k - 1 - n for k, n in zip(kernel, behind, strict=True)] + behind
    positions = (depth, height, width, filters * factor)
    x = _by_planes(graph, x, given, positions, weights, kernel, (1, 1, 1), pads)
    x = graph.reshape(x, (depth, filters, *strides, height, width))
    return graph.reshape(graph.transpose(x, (0, 2, 1, 3, 6, 4, 7, 5)), (filters, *shape[:-1]))


def conv_norm(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """A convolution with BatchNorm folded into it."""
    norm, given = layer.norm, shapes[0]
    options = {"epsilon": norm.epsilon, "planes": _in_planes(len(given) - 1)}
    kernel = graph.weight("normed_kernel", layer.conv.kernel, norm.gamma, norm.moving_variance, **options)
    variables = (layer.conv.bias, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    bias = graph.weight("normed_bias", *variables, epsilon=norm.epsilon)
    return _convolved(graph, inputs[0], given, shape, (kernel, bias), tuple(layer.conv.kernel_size))


def grouped_conv(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """A convolution in groups."""
    given = shapes[0]
    group = {"planes": False} if layer.groups > 1 else {"planes": _in_planes(len(given) - 1)}
    weights = (graph.weight("conv", layer.weight, **group), graph.weight("plain", layer.bias))
    return _convolved(graph, inputs[0], given, shape, weights, (layer.kernel,) * (len(given) - 1), group=layer.groups)
