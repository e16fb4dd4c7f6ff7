"""The noise of a slide, row by row: the very numbers that `ldseg.inference.engine.Engine.draw_noise` draws at once."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ldseg.diffusion.random import WORDS
from ldseg.inference.engine import Engine
from ldseg.inference.seeding import case_generator

_AT_ONCE = 1 << 20
"""Numbers that are drawn at a time where they are passed over."""


def noise_rows(engine: Engine, seed: int, content: str, grid: tuple[int, int]) -> Iterator[np.ndarray]:
    """Rows of the field of noise over a latent grid, from the top.

    Numbers of a generator come in the order of the array: copy by copy, row by row. So each copy has a generator of its own,
    which begins where those before it end.

    Args:
        engine: whose noise it is.
        seed: of the run.
        content: what tells the slide from others.
        grid: rows and columns of the latent.

    Yields:
        float32 ``(E, M, F, W, c)``, as `Engine.noise_shape` has it.
    """
    members, copies, fields, *_, depth = engine.noise_shape
    row = grid[1] * depth
    states: list[list[np.random.Generator]] = []
    keys: list[list[list[np.random.Generator]]] = []
    for member in range(members):
        purpose = f"latent {member}" if member else "latent"
        states.append([_after(seed, content, purpose, copy * grid[0] * row) for copy in range(copies)])
        normals = copies * grid[0] * row
        keys.append(
            [
                [
                    _after(seed, content, purpose, normals, (copy * (fields - 1) + word) * grid[0] * row)
                    for word in range(fields - 1)
                ]
                for copy in range(copies)
            ]
        )
    for _ in range(grid[0]):
        noise = np.empty((members, copies, fields, grid[1], depth), np.float32)
        for member, copy in np.ndindex(members, copies):
            noise[member, copy, 0] = states[member][copy].standard_normal((grid[1], depth), dtype=np.float32)
            for word, generator in enumerate(keys[member][copy]):
                noise[member, copy, 1 + word] = generator.integers(0, WORDS, (grid[1], depth))
        yield noise


def _after(seed: int, content: str, purpose: str, normals: int, integers: int = 0) -> np.random.Generator:
    """The generator of a case after it has drawn so many numbers."""
    generator = case_generator(seed, content, purpose)
    for count in _parts(normals):
        generator.standard_normal(count, dtype=np.float32)
    for count in _parts(integers):
        generator.integers(0, WORDS, count)
    return generator


def _parts(count: int) -> Iterator[int]:
    for index in range(math.ceil(count / _AT_ONCE)):
        yield min(_AT_ONCE, count - index * _AT_ONCE)
