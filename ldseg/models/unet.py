"""The denoiser's U-Net: Ho et al. 2020, appendix B, of any rank, width and depth."""

from __future__ import annotations

import keras

from ldseg.layers import GroupNormalization, ResidualBlock, SelfAttention, TimeEmbedding, conv, upsample


def denoising_unet(
    grid: tuple[int, ...],
    channels: int,
    condition: int,
    *,
    widths: tuple[int, ...],
    strides: tuple[tuple[int, ...], ...],
    blocks: int,
    attention: tuple[bool, ...],
    groups: int = 8,
    time_dim: int = 64,
    skip_down: bool = True,
    epsilon: float = 1e-5,
    add_normed: bool = False,
    name: str = "denoiser",
) -> keras.Model:
    """A U-Net on the noisy latent beside the image condition.

    Args:
        grid: latent grid L.
        channels, condition: channels of the latent and of the condition.
        widths: channels of each level, from fine to coarse.
        strides: strides from each level to the next, one fewer than the levels.
        blocks: residual blocks of each level on the way down; on the way up one more, as there is one more skip.
        attention: whether a level has self-attention behind each of its blocks.
        groups: of GroupNorm.
        time_dim: length of the time embedding.
        skip_down: whether the map behind a down-sampling is a skip too; without it each level goes
            up with ``blocks`` blocks.
        epsilon: added to the variance in each GroupNorm.
        add_normed: of attention, see ``SelfAttention``.

    Returns:
        a model of ``[x_t (B, *L, channels), condition (B, *L, condition), t int32 (B,)]`` to ``(B, *L, channels)``.
    """
    rank = len(grid)
    state = keras.Input((*grid, channels), name="state")
    image = keras.Input((*grid, condition), name="condition")
    time = keras.Input((), dtype="int32", name="time")
    embedding = TimeEmbedding(time_dim, name="time_embedding")(time)

    def block(x: keras.KerasTensor, level: int, label: str) -> keras.KerasTensor:
        return ResidualBlock(widths[level], groups, epsilon=epsilon, name=label)([x, embedding])

    def attend(x: keras.KerasTensor, label: str) -> keras.KerasTensor:
        return SelfAttention(groups=groups, epsilon=epsilon, add_normed=add_normed, name=f"{label}_attention")(x)

    def stage(x: keras.KerasTensor, level: int, label: str) -> keras.KerasTensor:
        x = block(x, level, label)
        return attend(x, label) if attention[level] else x

    x = conv(rank, widths[0], name="stem")(keras.layers.Concatenate(name="joined")([state, image]))
    skips = [x] if skip_down else []
    for level, width in enumerate(widths):
        for index in range(blocks):
            x = stage(x, level, f"down{level}_{index}")
            skips.append(x)
        if level < len(strides):
            x = conv(rank, width, strides=strides[level], name=f"down{level}")(x)
            if skip_down:
                skips.append(x)
    x = attend(block(x, -1, "middle_in"), "middle")
    x = block(x, -1, "middle_out")
    for level in reversed(range(len(widths))):
        for index in range(blocks + skip_down):
            x = keras.layers.Concatenate(name=f"skip{level}_{index}")([x, skips.pop()])
            x = stage(x, level, f"up{level}_{index}")
        if level > 0:
            x = upsample(rank, strides[level - 1])(x)
            x = conv(rank, widths[level], name=f"up{level}")(x)
    x = GroupNormalization(groups, epsilon=epsilon, name="norm")(x)
    x = keras.layers.Activation("swish", name="swish")(x)
    # The latent is float32 whatever the precision: its rates span six orders of magnitude.
    x = conv(rank, channels, dtype="float32", name="prediction")(x)
    return keras.Model([state, image, time], x, name=name)
