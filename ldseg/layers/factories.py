"""Keras's ready-made layers, picked by spatial rank instead of by name."""

from __future__ import annotations

from typing import Any

import keras

_CONV = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D, 3: keras.layers.Conv3D}
_CONV_TRANSPOSE = {1: keras.layers.Conv1DTranspose, 2: keras.layers.Conv2DTranspose, 3: keras.layers.Conv3DTranspose}
_MAX_POOL = {1: keras.layers.MaxPooling1D, 2: keras.layers.MaxPooling2D, 3: keras.layers.MaxPooling3D}
_UPSAMPLE = {1: keras.layers.UpSampling1D, 2: keras.layers.UpSampling2D, 3: keras.layers.UpSampling3D}

Size = int | tuple[int, ...]


def _of_rank(layers: dict[int, Any], rank: int) -> Any:
    if rank not in layers:
        raise ValueError(f"expected a spatial rank of {sorted(layers)}, got {rank}")
    return layers[rank]


def conv(rank: int, filters: int, kernel: Size = 3, strides: Size = 1, **options: Any) -> keras.layers.Layer:
    """A convolution with "same" padding over ``rank`` spatial axes."""
    return _of_rank(_CONV, rank)(filters, kernel, strides=strides, padding="same", **options)


def conv_transpose(rank: int, filters: int, kernel: Size, strides: Size, **options: Any) -> keras.layers.Layer:
    """A transposed convolution with "same" padding over ``rank`` spatial axes: grows each axis by its stride."""
    return _of_rank(_CONV_TRANSPOSE, rank)(filters, kernel, strides=strides, padding="same", **options)


def max_pool(rank: int, strides: Size) -> keras.layers.Layer:
    """Maximum pooling over windows as large as the strides."""
    return _of_rank(_MAX_POOL, rank)(strides)


def upsample(rank: int, factors: Size) -> keras.layers.Layer:
    """Nearest-neighbour up-sampling by a factor for each axis."""
    if rank == 1 and isinstance(factors, tuple):
        factors = factors[0]
    return _of_rank(_UPSAMPLE, rank)(factors)
