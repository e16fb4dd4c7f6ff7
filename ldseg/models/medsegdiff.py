"""MedSegDiff (Wu et al., arXiv 2211.00611): diffusion in the space of the mask itself, of any rank.

A U-Net whose two encoders, one of the image I and one of the noisy mask x_t, meet at every level:

.. math:: \\epsilon_\\theta(x_t, I, t) = D(E_I + E_x, t)

With dynamic conditioning, the features of the image are fused at the end of each level with those of the mask, filtered by
the FF-Parser (``ldseg.layers.frequency``), and go on down fused: the condition depends on x_t and t, and both encoders run
at every step. Without it, the image is encoded once. The FF-Parser filters what the mask brings to where the two meet, with
dynamic conditioning or without, so that each can be left out alone.

The state is the mask in [-1, 1], one channel for two classes, else one-hot (``ldseg.layers.masks``). Nothing is strided
along time.

The paper gives the numbers of down-samplings; its code the width of B and of ++, 2 and 12 blocks a level, and attention
where 16 positions are left of 256 along an axis. Widths double at every second level, as in the networks that it builds on
(Dhariwal & Nichol 2021, arXiv 2105.05233). S has half the width of B, and L is twice as wide and one level deeper.
"""

from __future__ import annotations

import keras

from ldseg.layers import (
    AttentiveFusion,
    FFParser,
    GroupNormalization,
    MaskLogits,
    MaskState,
    ResidualBlock,
    SelfAttention,
    TimeEmbedding,
    conv,
    upsample,
)
from ldseg.models.plans import MedSegDiffPlan, state_channels, strides

Maps = list[keras.KerasTensor]


def label_encoder(size: tuple[int, ...], classes: int) -> keras.Model:
    """One-hot label ``(B, *S, classes)`` to the state ``(B, *S, c)``, without weights."""
    label = keras.Input((*size, classes), name="label")
    return keras.Model(label, MaskState(dtype="float32", name="state")(label), name="label_encoder")


def label_decoder(size: tuple[int, ...], classes: int) -> keras.Model:
    """The clean state ``(B, *S, c)`` to logits ``(B, *S, classes)``, without weights."""
    state = keras.Input((*size, state_channels(classes)), name="state")
    return keras.Model(state, MaskLogits(dtype="float32", name="logits")(state), name="label_decoder")


def image_encoder(
    plan: MedSegDiffPlan, size: tuple[int, ...], channels: int, axes: str, dynamic_conditioning: bool
) -> keras.Model:
    """Image ``(B, *S, channels)`` in [0, 1] to the condition.

    With dynamic conditioning that is the image itself, in [-1, 1]; without it, the features of each level.
    """
    image = keras.Input((*size, channels), name="image")
    condition = keras.layers.Rescaling(2.0, offset=-1.0, name="centre")(image)
    if not dynamic_conditioning:
        condition = _image_path(condition, plan, axes)
    return keras.Model(image, condition, name="image_encoder")


def denoiser(
    plan: MedSegDiffPlan,
    size: tuple[int, ...],
    channels: int,
    classes: int,
    axes: str,
    dynamic_conditioning: bool,
    ff_parser: bool,
) -> keras.Model:
    """``[x_t (B, *S, c), condition, t int32 (B,)]`` to the prediction ``(B, *S, c)``."""
    rank, levels = len(axes), range(len(plan.widths))
    state = keras.Input((*size, state_channels(classes)), name="state")
    time = keras.Input((), dtype="int32", name="time")
    embedding = TimeEmbedding(plan.widths[0], 4 * plan.widths[0], name="time_embedding")(time)

    x = conv(rank, plan.widths[0], name="mask_stem")(state)
    skips, met = [[x]], []
    for level in levels:
        if level > 0:
            x = conv(rank, plan.widths[level], strides=strides(axes, 2), name=f"mask{level}_down")(x)
            skips.append([x])
        for index in range(plan.blocks):
            x = _stage(x, plan, level, f"mask{level}_{index}", embedding)
            skips[level].append(x)
        met.append(FFParser(name=f"ff_parser{level}")(x) if ff_parser else x)

    if dynamic_conditioning:
        given = keras.Input((*size, channels), name="condition")
        condition = _image_path(given, plan, axes, embedding, met)
    else:
        grids = [tuple(n // d for n, d in zip(size, strides(axes, 2**level), strict=True)) for level in levels]
        given = [keras.Input((*grids[level], plan.widths[level]), name=f"condition{level}") for level in levels]
        condition = given
    for level in levels:
        skips[level][-1] = keras.layers.Add(name=f"joined{level}")([met[level], condition[level]])

    x = skips[-1][-1]
    x = ResidualBlock(plan.widths[-1], plan.groups, name="middle_in")([x, embedding])
    x = SelfAttention(plan.heads, plan.groups, name="middle_attention")(x)
    x = ResidualBlock(plan.widths[-1], plan.groups, name="middle_out")([x, embedding])
    for level in reversed(levels):
        for index, skip in enumerate(reversed(skips[level])):
            x = keras.layers.Concatenate(name=f"skip{level}_{index}")([x, skip])
            x = _stage(x, plan, level, f"up{level}_{index}", embedding)
        if level > 0:
            x = conv(rank, plan.widths[level], name=f"up{level}")(upsample(rank, strides(axes, 2))(x))
    x = GroupNormalization(plan.groups, epsilon=1e-5, name="norm")(x)
    x = keras.layers.Activation("swish", name="swish")(x)
    # The state is float32 whatever the precision: its rates span six orders of magnitude.
    x = conv(rank, state_channels(classes), dtype="float32", name="prediction")(x)
    return keras.Model([state, given, time], x, name="denoiser")


def _image_path(
    image: keras.KerasTensor,
    plan: MedSegDiffPlan,
    axes: str,
    embedding: keras.KerasTensor | None = None,
    met: Maps | None = None,
) -> Maps:
    """Features of the image at each level, fused with those of the mask where there are any."""
    rank, features = len(axes), []
    x = conv(rank, plan.widths[0], name="image_stem")(image)
    for level, width in enumerate(plan.widths):
        if level > 0:
            x = conv(rank, width, strides=strides(axes, 2), name=f"image{level}_down")(x)
        for index in range(plan.blocks):
            x = _stage(x, plan, level, f"image{level}_{index}", embedding)
        if met is not None:
            x = AttentiveFusion(name=f"fusion{level}")([x, met[level]])
        features.append(x)
    return features


def _stage(
    x: keras.KerasTensor, plan: MedSegDiffPlan, level: int, name: str, embedding: keras.KerasTensor | None
) -> keras.KerasTensor:
    block = ResidualBlock(plan.widths[level], plan.groups, name=name)
    x = block(x if embedding is None else [x, embedding])
    if 2**level in plan.attention:
        x = SelfAttention(plan.heads, plan.groups, name=f"{name}_attention")(x)
    return x
