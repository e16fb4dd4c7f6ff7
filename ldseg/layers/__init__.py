"""Keras layers of any spatial rank, read from the tensor they are built on: (B, *S, c)."""

from ldseg.layers.attention import SelfAttention
from ldseg.layers.blocks import ClassIndex, GroupedConv, ResidualBlock
from ldseg.layers.factories import conv, conv_transpose, max_pool, upsample
from ldseg.layers.frequency import AttentiveFusion, FFParser
from ldseg.layers.masks import MaskLogits, MaskState
from ldseg.layers.norm import ConvNorm, GroupNormalization
from ldseg.layers.time import TimeEmbedding

__all__ = [
    "AttentiveFusion",
    "ClassIndex",
    "ConvNorm",
    "FFParser",
    "GroupedConv",
    "GroupNormalization",
    "MaskLogits",
    "MaskState",
    "ResidualBlock",
    "SelfAttention",
    "TimeEmbedding",
    "conv",
    "conv_transpose",
    "max_pool",
    "upsample",
]
