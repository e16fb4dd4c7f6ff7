"""Noise that is worked out where it is used, and so takes no memory: a function of a key and a count.

``xp`` is the library whose arrays come and go: NumPy, or ``keras.ops`` for any backend. Both give the same bits.
"""

from __future__ import annotations

import math
from typing import Any

from ldseg.base.spatial import Tensor

KEYS = 2
"""Words of a key."""

WORDS = 2**24
"""A word is a whole number below this, which float32 holds exactly."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry(key: tuple[Tensor, Tensor], counter: tuple[Tensor, Tensor], xp: Any) -> tuple[Tensor, Tensor]:
    """Threefry-2x32 of 20 rounds (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3).

    It takes and gives pairs of int32 arrays that broadcast, 32 bits each whatever the sign. They need but be added,
    shifted and joined, which every backend does alike.
    """
    words = [*key, xp.bitwise_xor(xp.bitwise_xor(*key), _PARITY)]
    left, right = counter[0] + words[0], counter[1] + words[1]
    for group in range(5):
        for places in _ROTATIONS[group % 2]:
            left = left + right
            right = xp.bitwise_xor(_rotate(right, places, xp), left)
        left = left + words[(group + 1) % 3]
        right = right + words[(group + 2) % 3] + (group + 1)
    return left, right


def _rotate(x: Tensor, places: int, xp: Any) -> Tensor:
    # Shifted to the right, a negative number draws ones after it.
    low = xp.bitwise_and(xp.right_shift(x, 32 - places), 2**places - 1)
    return xp.bitwise_or(xp.left_shift(x, places), low)


def normal(keys: Tensor, index: Tensor, xp: Any) -> Tensor:
    """Standard normal numbers ``(...)`` for the words ``(2, ...)`` of as many keys and a count int32.

    A key's numbers for all counts are independent of each other and of those of other keys (Box & Muller 1958).
    """
    first, second = _cast(keys[0], "int32", xp), _cast(keys[1], "int32", xp)
    count = xp.zeros_like(first) + _cast(index, "int32", xp)
    radius, angle = (
        _cast(xp.bitwise_and(xp.right_shift(bits, 8), WORDS - 1), "float32", xp) / WORDS
        for bits in threefry((first, second), (count, xp.zeros_like(first)), xp)
    )
    # A share of 0, whose logarithm there is none of, becomes 1.
    return xp.sqrt(-2 * xp.log(1 - radius)) * xp.cos(2 * math.pi * angle)


def _cast(x: Tensor, dtype: str, xp: Any) -> Tensor:
    return xp.cast(x, dtype) if hasattr(xp, "cast") else xp.asarray(x).astype(dtype)
