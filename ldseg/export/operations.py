"""What stands in a graph for each layer: one function and one entry in ``OPERATIONS``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ldseg.export.convolutions import activated, activated_by, conv, conv_norm, conv_transpose, grouped_conv, refuse
from ldseg.export.graph import Graph

SCORES = 2**21
"""Entries of an image's score matrix that attention holds at once: they stay in the caches of a processor."""

Operation = Callable[[Graph, Any, list[str], list[tuple[int, ...]], tuple[int, ...]], str]
"""``(graph, layer, inputs, their shapes, shape that comes out) -> value``. Shapes are those of Keras without the batch,
``(*S, c)``; the values have channels first."""


# ---- Norms


def batch_norm(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """BatchNorm out of training: a factor and a shift for each channel."""
    if not (layer.scale and layer.center):
        raise refuse(layer, "expected scale and centre")
    options = {"epsilon": layer.epsilon, "rank": len(shape) - 1}
    variance, gamma = layer.moving_variance, layer.gamma
    x = graph.add("Mul", inputs[0], graph.weight("factor", gamma, variance, **options))
    return graph.add("Add", x, graph.weight("shift", layer.beta, layer.moving_mean, gamma, variance, **options))


def normed(graph: Graph, layer: Any, x: str, shape: tuple[int, ...]) -> str:
    """GroupNorm: the positions and channels of a group are normalised in one line of numbers."""
    *size, channels = shape
    rank, groups = len(size), channels if layer.groups == -1 else layer.groups
    ones, zeros = graph.constant([1.0] * groups), graph.constant([0.0] * groups)
    x = graph.reshape(x, (groups, channels // groups * math.prod(size)))
    x = graph.add("InstanceNormalization", x, ones, zeros, epsilon=float(layer.epsilon))
    x = graph.reshape(x, (channels, *size))
    if layer.scale and layer.center:  # both at once
        weights = graph.weight("plain", layer.gamma), graph.weight("plain", layer.beta)
        still = graph.constant([0.0] * channels), graph.constant([1.0] * channels)
        return graph.add("BatchNormalization", x, *weights, *still, epsilon=0.0)
    if layer.scale:
        x = graph.add("Mul", x, graph.weight("channels", layer.gamma, rank=rank))
    if layer.center:
        x = graph.add("Add", x, graph.weight("channels", layer.beta, rank=rank))
    return x


def group_norm(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """GroupNorm."""
    return normed(graph, layer, inputs[0], shape)


def attentive_fusion(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """``AttentiveFusion``: LayerNorm over the channels of each position."""
    rank, parts = len(shape) - 1, []
    for x, norm in zip(inputs, (layer.norm_image, layer.norm_mask), strict=True):
        weights = graph.weight("plain", norm.gamma), graph.weight("plain", norm.beta)
        x = graph.add("LayerNormalization", graph.channels_last(x, rank), *weights, axis=-1, epsilon=float(norm.epsilon))
        parts.append(graph.channels_first(x, rank))
    return graph.add("Mul", graph.add("Mul", *parts), inputs[0])


# ---- Blocks


def residual_block(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """``ResidualBlock``."""
    x, given, rank = inputs[0], shapes[0], len(shape) - 1
    hidden = activated(graph, normed(graph, layer.norm_in, x, given), "swish")
    hidden = conv(graph, layer.conv_in, [hidden], [given], shape)
    if layer.time is not None:
        shift = dense(graph, layer.time, [activated(graph, inputs[1], "swish")], [shapes[1]], (layer.filters,))
        hidden = graph.add("Add", hidden, graph.reshape(shift, (layer.filters, *[1] * rank)))
    hidden = activated(graph, normed(graph, layer.norm_out, hidden, shape), "swish")
    hidden = conv(graph, layer.conv_out, [hidden], [shape], shape)
    return graph.add("Add", hidden, x if layer.shortcut is None else conv(graph, layer.shortcut, [x], [given], shape))


def self_attention(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """``SelfAttention``, the queries in as many chunks as keep to ``SCORES``."""
    *size, channels = shape
    rank, count, heads = len(size), math.prod(size), layer.used_heads
    scale, one = (channels // heads) ** -0.5, (1,) * rank
    three = (layer.query, layer.key, layer.value)
    x = normed(graph, layer.norm, inputs[0], shape)
    kernel = graph.weight("projections", *(part.kernel for part in three), scale=scale, rank=rank)
    mixed = graph.add(
        "Conv", x, kernel, graph.weight("biases", *(part.bias for part in three), scale=scale), kernel_shape=one
    )
    split = graph.add("Split", graph.reshape(mixed, (3 * heads, channels // heads, count)), outputs=3, axis=1)
    query, value = (graph.transpose(part, (0, 1, 3, 2)) for part in (split[0], split[2]))
    chunks = min(-(-heads * count * count // SCORES), count)
    step = -(-count // chunks)
    parts = []
    for start in range(0, count, step):
        ends = graph.constant([start], "int64"), graph.constant([min(start + step, count)], "int64")
        part = query if chunks == 1 else graph.add("Slice", query, *ends, graph.constant([2], "int64"))
        parts.append(graph.add("MatMul", graph.add("Softmax", graph.add("MatMul", part, split[1]), axis=-1), value))
    mixed = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=2)
    mixed = graph.reshape(graph.transpose(mixed, (0, 1, 3, 2)), (channels, *size))
    weights = graph.weight("projection", layer.out.kernel, rank=rank), graph.weight("plain", layer.out.bias)
    return graph.add("Add", x if layer.add_normed else inputs[0], graph.add("Conv", mixed, *weights, kernel_shape=one))


def ff_parser(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """``FFParser``: Fourier transforms as products with matrices, which every runtime has."""
    *size, _ = shape
    rank, last = len(size), size[-1]
    kept = last // 2 + 1

    def times(x: str, recipe: str, part: str, **lengths: int) -> str:
        return graph.add("MatMul", x, graph.weight(recipe, part=part, **lengths))

    def along(axis: int, real: str, imaginary: str, sign: int) -> tuple[str, str]:
        """A transform of another axis: forward with sign 1, back, without dividing, with -1."""
        order = list(range(rank + 2))
        order[axis], order[-1] = order[-1], order[axis]
        length = size[axis - 2]
        real, imaginary = graph.transpose(real, order), graph.transpose(imaginary, order)
        lengths = {"length": length, "kept": length}
        (rc, rs), (ic, si) = ([times(x, "cosines", part, **lengths) for part in ("cos", "sin")] for x in (real, imaginary))
        plus, minus = ("Add", "Sub") if sign > 0 else ("Sub", "Add")
        return graph.transpose(graph.add(plus, rc, si), order), graph.transpose(graph.add(minus, ic, rs), order)

    real, imaginary = (
        times(inputs[0], "cosines", "cos", length=last, kept=kept),
        graph.add("Neg", times(inputs[0], "cosines", "sin", length=last, kept=kept)),
    )
    for axis in range(2, rank + 1):
        real, imaginary = along(axis, real, imaginary, 1)
    a, b = graph.weight("plain", layer.real), graph.weight("plain", layer.imaginary)
    real, imaginary = (
        graph.add("Sub", graph.add("Mul", real, a), graph.add("Mul", imaginary, b)),
        graph.add("Add", graph.add("Mul", real, b), graph.add("Mul", imaginary, a)),
    )
    for axis in range(2, rank + 1):
        real, imaginary = along(axis, real, imaginary, -1)
    x = graph.add("Sub", times(real, "back", "cos", length=last), times(imaginary, "back", "sin", length=last))
    return graph.add("Mul", x, graph.constant(1 / math.prod(size[:-1])))


def time_embedding(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """``TimeEmbedding``."""
    half = layer.dim // 2
    frequencies = [math.exp(-math.log(1e4) * k / (half - 1)) for k in range(half)]
    time = graph.add("Cast", inputs[0], to=1)
    angle = graph.add("Mul", graph.reshape(time, (1,)), graph.constant([frequencies]))
    code = graph.add("Concat", graph.add("Sin", angle), graph.add("Cos", angle), axis=-1)
    hidden = dense(graph, layer.hidden, [code], [(layer.dim,)], (layer.units,))
    return dense(graph, layer.out, [hidden], [(layer.units,)], shape)


def mask_logits(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """``MaskLogits``."""
    one, half = graph.constant(1.0), graph.constant(0.5)
    share = graph.add("Mul", graph.add("Add", inputs[0], one), half)
    if shapes[0][-1] == 1:
        share = graph.add("Concat", graph.add("Sub", one, share), share, axis=1)
    return graph.add("Log", graph.add("Clip", share, graph.constant(1e-4), one))


# ---- Small ones


def dense(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """A dense layer on vectors."""
    if len(shapes[0]) != 1:
        raise refuse(layer, "expected vectors")
    x = graph.add("MatMul", inputs[0], graph.weight("plain", layer.kernel))
    if layer.use_bias:
        x = graph.add("Add", x, graph.weight("plain", layer.bias))
    return activated_by(graph, layer, x)


def rescaling(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """Times a number, plus a number."""
    x = graph.add("Mul", graph.add("Cast", inputs[0], to=1), graph.constant(layer.scale))
    return graph.add("Add", x, graph.constant(layer.offset))


def upsampling(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """Nearest neighbours."""
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise refuse(layer, "expected nearest neighbours")
    how: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    *size, channels = shapes[0]
    times = [after // n for after, n in zip(shape[:-1], size, strict=True)]
    if len(size) < 3:
        return graph.add("Resize", inputs[0], "", graph.constant([1, 1, *times]), **how)
    # Runtimes are quick along two axes: planes are channels, and then each plane is there so many times.
    x = graph.reshape(inputs[0], (channels * size[0], *size[1:]))
    x = graph.add("Resize", x, "", graph.constant([1, 1, *times[1:]]), **how)
    if times[0] > 1:
        x = graph.reshape(x, (channels * size[0], 1, math.prod(shape[1:-1])))
        x = graph.add("Concat", *[x] * times[0], axis=2)
    return graph.reshape(x, (channels, *shape[:-1]))


def max_pool(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """Maximum pooling."""
    if layer.padding != "valid":
        raise refuse(layer, "expected padding 'valid'")
    return graph.add("MaxPool", inputs[0], kernel_shape=tuple(layer.pool_size), strides=tuple(layer.strides))


def concatenate(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """Channels behind each other."""
    if layer.axis not in (-1, len(shape)):
        raise refuse(layer, "expected channels to be joined")
    return graph.add("Concat", *inputs, axis=1)


def add(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """A sum."""
    total = inputs[0]
    for x in inputs[1:]:
        total = graph.add("Add", total, x)
    return total


def reshape(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """Another shape of the same numbers, in the order of channels last."""
    before, after = len(shapes[0]) - 1, len(shape) - 1
    x = graph.channels_last(inputs[0], before) if before > 0 else inputs[0]
    x = graph.reshape(x, shape)
    return graph.channels_first(x, after) if after > 0 else x


def zeros(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """Nothing, of the same shape."""
    return graph.add("Sub", inputs[0], inputs[0])


def nothing(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
    """What does nothing out of training."""
    return inputs[0]


OPERATIONS: dict[str, Operation] = {
    **{f"Conv{rank}D": conv for rank in (1, 2, 3)},
    **{f"Conv{rank}DTranspose": conv_transpose for rank in (1, 2, 3)},
    **{f"UpSampling{rank}D": upsampling for rank in (1, 2, 3)},
    **{f"MaxPooling{rank}D": max_pool for rank in (1, 2, 3)},
    "Activation": lambda graph, layer, inputs, shapes, shape: activated_by(graph, layer, inputs[0]),
    "Add": add,
    "AttentiveFusion": attentive_fusion,
    "BatchNormalization": batch_norm,
    "Concatenate": concatenate,
    "ConvNorm": conv_norm,
    "Dense": dense,
    "Dropout": nothing,
    "FFParser": ff_parser,
    "GroupNormalization": group_norm,
    "GroupedConv": grouped_conv,
    "MaskLogits": mask_logits,
    "Rescaling": rescaling,
    "Reshape": reshape,
    "ResidualBlock": residual_block,
    "SelfAttention": self_attention,
    "TimeEmbedding": time_embedding,
    "ZerosLike": zeros,
}
"""By the name of the layer's class."""
