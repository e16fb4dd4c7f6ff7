"""The preset ``lean``: the same four parts, leaner, faster and more accurate, of any rank.

What differs from the published networks, and why:

- The image path leaves full resolution in its first layer and spends its work at strides 4 to 32; 32 channels of
  condition reach the denoiser instead of one.
- The latent has four channels at stride 8, normalised for each case and channel.
- GroupNorm without dropout: a mask does not depend on the batch, in training neither.
- The denoiser, which runs at every step, is the smallest of the parts.

Along time ("T") nothing is strided: a cine keeps its frames.
"""

from __future__ import annotations

import keras

from ldseg.layers import ResidualBlock, SelfAttention, TimeEmbedding, conv, conv_transpose, upsample

LATENT = 4
CONDITION = 32
GROUPS = 8


def strides(axes: str, factor: int) -> tuple[int, ...]:
    """The same stride along every axis of space, none along time."""
    return tuple(1 if axis == "T" else factor for axis in axes)


def _kernel(axes: str, factor: int) -> tuple[int, ...]:
    """A window as wide as its stride, but three frames along time, which is not strided."""
    return tuple(3 if axis == "T" else factor for axis in axes)


def label_encoder(size: tuple[int, ...], classes: int, axes: str) -> keras.Model:
    """One-hot label ``(B, *S, classes)`` to the latent ``(B, *S/8, 4)``, zero mean and unit variance by channel."""
    rank = len(axes)
    label = keras.Input((*size, classes), name="label")
    x = conv(rank, 16, _kernel(axes, 4), strides(axes, 4), name="stem")(label)
    x = ResidualBlock(16, GROUPS, name="block0")(x)
    x = conv(rank, 48, strides=strides(axes, 2), name="down0")(x)
    x = ResidualBlock(48, GROUPS, name="block1")(x)
    x = conv(rank, LATENT, dtype="float32", name="latent")(_out(x))
    x = keras.layers.GroupNormalization(-1, center=False, scale=False, epsilon=1e-5, dtype="float32", name="range")(x)
    return keras.Model(label, x, name="label_encoder")


def label_decoder(grid: tuple[int, ...], classes: int, axes: str) -> keras.Model:
    """The latent ``(B, *L, 4)`` to logits ``(B, *8L, classes)``."""
    rank = len(axes)
    latent = keras.Input((*grid, LATENT), name="latent")
    x = conv(rank, 48, name="stem")(latent)
    x = ResidualBlock(48, GROUPS, name="block0")(x)
    x = conv_transpose(rank, 24, _kernel(axes, 2), strides(axes, 2), name="up0")(x)
    x = ResidualBlock(24, GROUPS, name="block1")(x)
    x = conv_transpose(rank, classes, _kernel(axes, 4), strides(axes, 4), dtype="float32", name="classes")(_out(x))
    return keras.Model(latent, x, name="label_decoder")


def image_encoder(size: tuple[int, ...], channels: int, axes: str) -> keras.Model:
    """Image ``(B, *S, channels)`` in [0, 1] to the condition ``(B, *S/8, 32)``: down to stride 32 and back up to 8."""
    rank = len(axes)
    image = keras.Input((*size, channels), name="image")
    x = keras.layers.Rescaling(2.0, offset=-1.0, name="centre")(image)
    x = conv(rank, 32, _kernel(axes, 7), strides(axes, 4), name="stem")(x)
    x = ResidualBlock(32, GROUPS, name="stride4")(x)
    x = conv(rank, 96, strides=strides(axes, 2), name="down8")(x)
    fine = ResidualBlock(96, GROUPS, name="stride8")(x)
    x = conv(rank, 128, strides=strides(axes, 2), name="down16")(fine)
    for index in range(2):
        x = ResidualBlock(128, GROUPS, name=f"stride16_{index}")(x)
    middle = x
    x = conv(rank, 192, strides=strides(axes, 2), name="down32")(middle)
    for index in range(2):
        x = ResidualBlock(192, GROUPS, name=f"stride32_{index}")(x)
        x = SelfAttention(4, GROUPS, name=f"stride32_{index}_attention")(x)
    x = _ascend(x, middle, 128, axes, "up16")
    x = _ascend(x, fine, 96, axes, "up8")
    x = conv(rank, CONDITION, 1, name="condition")(_out(x))
    return keras.Model(image, x, name="image_encoder")


def denoiser(grid: tuple[int, ...], axes: str) -> keras.Model:
    """``[x_t (B, *L, 4), condition (B, *L, 32), t int32 (B,)]`` to the prediction ``(B, *L, 4)``.

    A U-Net of one block a level, its middle at stride 32 with attention.
    """
    rank = len(axes)
    state = keras.Input((*grid, LATENT), name="state")
    condition = keras.Input((*grid, CONDITION), name="condition")
    time = keras.Input((), dtype="int32", name="time")
    embedding = TimeEmbedding(64, name="time_embedding")(time)
    fine = conv(rank, 24, name="stem")(keras.layers.Concatenate(name="joined")([state, condition]))
    x = conv(rank, 64, strides=strides(axes, 2), name="down16")(fine)
    middle = ResidualBlock(64, GROUPS, name="stride16")([x, embedding])
    x = conv(rank, 96, strides=strides(axes, 2), name="down32")(middle)
    x = ResidualBlock(96, GROUPS, name="stride32_0")([x, embedding])
    x = SelfAttention(4, GROUPS, name="stride32_attention")(x)
    x = ResidualBlock(96, GROUPS, name="stride32_1")([x, embedding])
    x = _ascend(x, middle, 64, axes, "up16", embedding)
    x = _ascend(x, fine, 24, axes, "up8", embedding)
    # The latent is float32 whatever the precision: its rates span six orders of magnitude.
    x = conv(rank, LATENT, dtype="float32", name="prediction")(_out(x))
    return keras.Model([state, condition, time], x, name="denoiser")


def _ascend(
    x: keras.KerasTensor,
    skip: keras.KerasTensor,
    width: int,
    axes: str,
    name: str,
    embedding: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """Up by two onto a skip. The maps are added, not joined: half the work of the block behind."""
    x = conv(len(axes), width, 1, name=f"{name}_project")(x)
    x = upsample(len(axes), strides(axes, 2))(x)
    x = keras.layers.Add(name=f"{name}_add")([x, skip])
    return ResidualBlock(width, GROUPS, name=name)(x if embedding is None else [x, embedding])


def _out(x: keras.KerasTensor) -> keras.KerasTensor:
    """The norm and the activation before a network's last layer."""
    x = keras.layers.GroupNormalization(GROUPS, epsilon=1e-5, name="norm")(x)
    return keras.layers.Activation("swish", name="swish")(x)
