"""The networks of LDSeg as published (Zaman et al., arXiv 2407.12952), in 2D and 3D: presets ``ldseg``, ``ldseg-published``.

Base width 16 and a latent of one channel at stride 16. The label goes in as its integer value in one channel. In three
axes the published networks change resolution in other ways, and their image encoder has grouped convolutions in place of
attention. A video ("TYX") takes the networks of volumes with nothing strided along time.

``ldseg`` has the published layers, to the parameter, and is there to be trained. ``ldseg-published`` (``exact``) answers on
published weights as the published code does. It does not centre the image, has one more swish before the classes, adds
attention in the denoiser to its normalised input, takes an epsilon of 1e-3 throughout, and in the image encoder Keras's own
GroupNorm: its sums over hundreds of thousands of float32 values are rounded on TensorFlow, which shows in the condition.
"""

from __future__ import annotations

import keras

from ldseg.layers import (
    ClassIndex,
    ConvNorm,
    GroupedConv,
    GroupNormalization,
    SelfAttention,
    conv,
    conv_transpose,
    max_pool,
    upsample,
)
from ldseg.models.unet import denoising_unet

BASE = 16
STAGES = 4

DROPOUT = 0.2

EPSILON, EXACT_EPSILON = 1e-5, 1e-3
"""Of GroupNorm in attention and in the denoiser."""


def _stage(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    """Two convolutions with BatchNorm beside a convolution of 1, added, swish."""
    shortcut = ConvNorm(width, 1, name=f"{name}_shortcut")(x)
    x = ConvNorm(width, name=f"{name}_in")(x)
    x = keras.layers.Activation("swish", name=f"{name}_swish_in")(x)
    x = ConvNorm(width, name=f"{name}_out")(x)
    x = keras.layers.Dropout(DROPOUT, name=f"{name}_dropout")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.Activation("swish", name=f"{name}_swish_out")(x)


def _halves(axes: str) -> tuple[int, ...]:
    return tuple(1 if axis == "T" else 2 for axis in axes)


def label_encoder(size: tuple[int, ...], classes: int, axes: str) -> keras.Model:
    """One-hot label ``(B, *S, classes)`` to the latent ``(B, *S/16, 1)``."""
    rank = len(size)
    label = keras.Input((*size, classes), name="label")
    x = ClassIndex(name="class_index")(label)
    for index, multiple in enumerate((1, 2, 4, 4, 2)):
        x = _stage(x, multiple * BASE, f"stage{index}")
        if index < STAGES:
            strided = conv(rank, multiple * BASE, 3, _halves(axes), name=f"down{index}")
            x = max_pool(rank, _halves(axes))(x) if rank == 2 else strided(x)
    x = conv(rank, 1, 1 if rank == 2 else 2, name="latent")(x)
    x = keras.layers.LayerNormalization(axis=list(range(1, rank + 2)), dtype="float32", name="norm")(x)
    return keras.Model(label, x, name="label_encoder")


def label_decoder(grid: tuple[int, ...], classes: int, axes: str, exact: bool = False) -> keras.Model:
    """The latent ``(B, *L, 1)`` to logits ``(B, *16L, classes)``."""
    rank = len(grid)
    latent = keras.Input((*grid, 1), name="latent")
    x = latent
    for index, multiple in enumerate((2, 4, 4, 2)):
        if rank == 2:
            x = conv_transpose(rank, multiple * BASE, 3, _halves(axes), name=f"up{index}")(x)
        else:
            x = conv(rank, multiple * BASE, name=f"up{index}")(upsample(rank, _halves(axes))(x))
        x = _stage(x, multiple * BASE, f"stage{index}")
    if exact:
        x = keras.layers.Activation("swish", name="swish")(x)
    # Softmax follows where the logits are used: in the loss and in the predictor.
    x = ConvNorm(classes, 1, dtype="float32", name="classes")(x)
    return keras.Model(latent, x, name="label_decoder")


def _group_norm(exact: bool, name: str) -> keras.layers.Layer:
    return (keras.layers.GroupNormalization if exact else GroupNormalization)(4, name=name)


def _image_block(x: keras.KerasTensor, width: int, rank: int, name: str, exact: bool) -> keras.KerasTensor:
    shortcut = conv(rank, width, 1, name=f"{name}_shortcut")(x)
    x = keras.layers.Activation("swish", name=f"{name}_swish_in")(x)
    x = conv(rank, width, name=f"{name}_conv_in")(x)
    x = keras.layers.Dropout(DROPOUT, name=f"{name}_dropout")(x)
    x = keras.layers.Activation("swish", name=f"{name}_swish_mid")(x)
    x = conv(rank, width, name=f"{name}_conv_out")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    x = keras.layers.Activation("swish", name=f"{name}_swish_out")(x)
    x = conv(rank, width, strides=2, name=f"{name}_down")(x)
    return _group_norm(exact, f"{name}_norm")(x)


def _grouped_block(x: keras.KerasTensor, width: int, axes: str, name: str, exact: bool) -> keras.KerasTensor:
    rank = len(axes)
    shortcut = conv(rank, width, 1, name=f"{name}_shortcut")(x)
    x = keras.layers.Activation("swish", name=f"{name}_swish_in")(x)
    x = GroupedConv(width, groups=4, name=f"{name}_conv_in")(x)
    x = keras.layers.Dropout(DROPOUT, name=f"{name}_dropout")(x)
    x = keras.layers.Activation("swish", name=f"{name}_swish_mid")(x)
    x = GroupedConv(width, groups=4, name=f"{name}_conv_out")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    x = keras.layers.Activation("swish", name=f"{name}_swish_out")(x)
    x = max_pool(rank, _halves(axes))(x)
    return _group_norm(exact, f"{name}_norm")(x)


def image_encoder(size: tuple[int, ...], channels: int, axes: str, exact: bool = False) -> keras.Model:
    """Image ``(B, *S, channels)`` in [0, 1] to the condition ``(B, *S/16, 1)``.

    Each channel of an image enters with zero mean and unit variance, unless ``exact``. As it comes, the zeros around it
    stand out more than anything in it, and the one channel of the condition shows little but the border.
    """
    rank, epsilon = len(axes), EXACT_EPSILON if exact else EPSILON
    image = keras.Input((*size, channels), name="image")
    x = image
    if not exact:
        x = GroupNormalization(-1, center=False, scale=False, epsilon=1e-5, name="centre")(x)
    x = conv(rank, BASE, name="stem")(x)
    if rank == 2:
        for index, multiple in enumerate((2, 4, 4)):
            x = _image_block(x, multiple * BASE, rank, f"block{index}", exact)
        x = SelfAttention(8, 8, epsilon=epsilon, name="attention0")(x)
        x = _image_block(x, 2 * BASE, rank, "block3", exact)
        x = SelfAttention(8, 8, epsilon=epsilon, name="attention1")(x)
        x = conv(rank, 1, 1, name="embedding")(x)
        x = SelfAttention(8, 1, epsilon=epsilon, name="attention2")(x)
        x = keras.layers.Activation("swish", name="swish")(x)
    else:
        for index, multiple in enumerate((2, 4, 4, 2)):
            x = _grouped_block(x, multiple * BASE, axes, f"block{index}", exact)
        x = conv(rank, 1, name="embedding")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(image, x, name="image_encoder")


def denoiser(grid: tuple[int, ...], axes: str, exact: bool = False) -> keras.Model:
    """Latent, condition and time to the prediction, see ``denoising_unet``."""
    return denoising_unet(
        grid,
        1,
        1,
        widths=(BASE, 2 * BASE, 4 * BASE),
        strides=(_halves(axes),) * 2,
        blocks=2,
        attention=(False, True, True),
        groups=4,
        time_dim=64,
        skip_down=len(axes) == 2,
        epsilon=EXACT_EPSILON if exact else EPSILON,
        add_normed=exact,
    )
