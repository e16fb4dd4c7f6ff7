"""The presets ``lean`` and ``small``: the same four parts, leaner, faster and more accurate, of any rank.

What differs from the published networks, and why:

- The image path leaves full resolution in its first layer and spends its work on coarse levels; many channels of
  condition reach the denoiser instead of one.
- The latent has four channels, normalised for each case and channel.
- GroupNorm without dropout: a mask does not depend on the batch, in training neither.
- The denoiser, which runs at every step, is the smallest of the parts.

Along time ("T") nothing is strided: a video keeps its frames. They meet in the coarse levels, where it costs least.
"""

from __future__ import annotations

import keras

from ldseg.layers import GroupNormalization, ResidualBlock, SelfAttention, TimeEmbedding, conv, conv_transpose, upsample
from ldseg.models.plans import LEAN_LATENT as LATENT
from ldseg.models.plans import LeanPlan, strides

GROUPS = 8


def _window(axes: str, factor: int) -> tuple[int, ...]:
    """A window as wide as its stride, but three frames along time, which is not strided."""
    return tuple(3 if axis == "T" else factor for axis in axes)


def _frame(axes: str) -> tuple[int, ...]:
    """The kernel of a fine level: three along every axis of space, one frame at a time."""
    return tuple(1 if axis == "T" else 3 for axis in axes)


def label_encoder(plan: LeanPlan, size: tuple[int, ...], classes: int, axes: str) -> keras.Model:
    """One-hot label ``(B, *S, classes)`` to the latent ``(B, *L, 4)``, zero mean and unit variance by channel."""
    rank, (fine, coarse) = len(axes), plan.label
    label = keras.Input((*size, classes), name="label")
    x = conv(rank, fine, _window(axes, plan.stem), strides(axes, plan.stem), name="stem")(label)
    x = ResidualBlock(fine, GROUPS, _frame(axes), name="block0")(x)
    x = conv(rank, coarse, strides=strides(axes, 2), name="down0")(x)
    x = ResidualBlock(coarse, GROUPS, name="block1")(x)
    x = conv(rank, LATENT, dtype="float32", name="latent")(_out(x))
    x = GroupNormalization(-1, center=False, scale=False, epsilon=1e-5, dtype="float32", name="range")(x)
    return keras.Model(label, x, name="label_encoder")


def label_decoder(plan: LeanPlan, grid: tuple[int, ...], classes: int, axes: str) -> keras.Model:
    """The latent ``(B, *L, 4)`` to logits ``(B, *S, classes)``."""
    rank, (fine, coarse) = len(axes), plan.decoder
    latent = keras.Input((*grid, LATENT), name="latent")
    x = conv(rank, coarse, name="stem")(latent)
    x = ResidualBlock(coarse, GROUPS, name="block0")(x)
    x = conv_transpose(rank, fine, _window(axes, 2), strides(axes, 2), name="up0")(x)
    x = ResidualBlock(fine, GROUPS, _frame(axes), name="block1")(x)
    window, stride = _window(axes, plan.stem), strides(axes, plan.stem)
    x = conv_transpose(rank, classes, window, stride, dtype="float32", name="classes")(_out(x))
    return keras.Model(latent, x, name="label_decoder")


def image_encoder(plan: LeanPlan, size: tuple[int, ...], channels: int, axes: str) -> keras.Model:
    """Image ``(B, *S, channels)`` in [0, 1] to the condition ``(B, *L, condition)``: down three levels and back up two."""
    rank, (finest, fine_width, middle_width, deepest) = len(axes), plan.image
    image = keras.Input((*size, channels), name="image")
    x = keras.layers.Rescaling(2.0, offset=-1.0, name="centre")(image)
    x = conv(rank, finest, _window(axes, 2 * plan.stem - 1), strides(axes, plan.stem), name="stem")(x)
    x = ResidualBlock(finest, GROUPS, _frame(axes), name="stride4")(x)
    x = conv(rank, fine_width, _frame(axes), strides(axes, 2), name="down8")(x)
    fine = ResidualBlock(fine_width, GROUPS, _frame(axes), name="stride8")(x)
    x = conv(rank, middle_width, _frame(axes), strides(axes, 2), name="down16")(fine)
    for index in range(2):
        x = ResidualBlock(middle_width, GROUPS, name=f"stride16_{index}")(x)
    middle = x
    x = conv(rank, deepest, _frame(axes), strides(axes, 2), name="down32")(middle)
    for index in range(2):
        x = ResidualBlock(deepest, GROUPS, name=f"stride32_{index}")(x)
        x = SelfAttention(4, GROUPS, name=f"stride32_{index}_attention")(x)
    x = _ascend(x, middle, middle_width, axes, "up16")
    x = _ascend(x, fine, fine_width, axes, "up8", kernel=_frame(axes))
    x = conv(rank, plan.condition, 1, name="condition")(_out(x))
    return keras.Model(image, x, name="image_encoder")


def denoiser(plan: LeanPlan, grid: tuple[int, ...], axes: str) -> keras.Model:
    """``[x_t (B, *L, 4), condition (B, *L, condition), t int32 (B,)]`` to the prediction ``(B, *L, 4)``.

    A U-Net of one block a level, attention in the middle of it.
    """
    rank, (fine_width, middle_width, deepest) = len(axes), plan.denoiser
    state = keras.Input((*grid, LATENT), name="state")
    condition = keras.Input((*grid, plan.condition), name="condition")
    time = keras.Input((), dtype="int32", name="time")
    embedding = TimeEmbedding(64, name="time_embedding")(time)
    fine = conv(rank, fine_width, name="stem")(keras.layers.Concatenate(name="joined")([state, condition]))
    x = conv(rank, middle_width, _frame(axes), strides(axes, 2), name="down16")(fine)
    middle = ResidualBlock(middle_width, GROUPS, name="stride16")([x, embedding])
    x = conv(rank, deepest, _frame(axes), strides(axes, 2), name="down32")(middle)
    x = ResidualBlock(deepest, GROUPS, name="stride32_0")([x, embedding])
    x = SelfAttention(4, GROUPS, name="stride32_attention")(x)
    x = ResidualBlock(deepest, GROUPS, name="stride32_1")([x, embedding])
    x = _ascend(x, middle, middle_width, axes, "up16", embedding)
    x = _ascend(x, fine, fine_width, axes, "up8", embedding)
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
    kernel: int | tuple[int, ...] = 3,
) -> keras.KerasTensor:
    """Up by two onto a skip. The maps are added, not joined: half the work of the block behind."""
    x = conv(len(axes), width, 1, name=f"{name}_project")(x)
    x = upsample(len(axes), strides(axes, 2))(x)
    x = keras.layers.Add(name=f"{name}_add")([x, skip])
    return ResidualBlock(width, GROUPS, kernel, name=name)(x if embedding is None else [x, embedding])


def _out(x: keras.KerasTensor) -> keras.KerasTensor:
    """The norm and the activation before a network's last layer."""
    x = GroupNormalization(GROUPS, epsilon=1e-5, name="norm")(x)
    return keras.layers.Activation("swish", name="swish")(x)
