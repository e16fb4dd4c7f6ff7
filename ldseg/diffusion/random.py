"""Noise that is worked out where it is used, and so takes no memory: a function of a key and a count."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

KEYS = 2
"""Words of a key."""

WORDS = 2**24
"""A word is a whole number below this, which float32 holds exactly."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Threefry-2x32 of 20 rounds (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3).

    It takes and gives pairs of int32 tensors that broadcast, 32 bits each whatever the sign. They need but be added,
    shifted and joined, which every backend does alike.
    """
    words = [*key, ops.bitwise_xor(ops.bitwise_xor(*key), _PARITY)]
    left, right = counter[0] + words[0], counter[1] + words[1]
    for group in range(5):
        for places in _ROTATIONS[group % 2]:
            left = left + right
            right = ops.bitwise_xor(_rotate(right, places), left)
        left = left + words[(group + 1) % 3]
        right = right + words[(group + 2) % 3] + (group + 1)
    return left, right


def _rotate(x: Any, places: int) -> Any:
    # Shifted to the right, a negative number draws ones after it.
    low = ops.bitwise_and(ops.right_shift(x, 32 - places), 2**places - 1)
    return ops.bitwise_or(ops.left_shift(x, places), low)


def normal(keys: Any, index: Any) -> Any:
    """Standard normal numbers ``(...)`` for the words ``(2, ...)`` of as many keys and a count int32.

    A key's numbers for all counts are independent of each other and of those of other keys (Box & Muller 1958).
    """
    first, second = ops.cast(keys[0], "int32"), ops.cast(keys[1], "int32")
    count = ops.zeros_like(first) + ops.cast(index, "int32")
    radius, angle = (
        ops.cast(ops.bitwise_and(ops.right_shift(bits, 8), WORDS - 1), "float32") / WORDS
        for bits in threefry((first, second), (count, ops.zeros_like(first)))
    )
    # A share of 0, whose logarithm there is none of, becomes 1.
    return ops.sqrt(-2 * ops.log(1 - radius)) * ops.cos(2 * math.pi * angle)
