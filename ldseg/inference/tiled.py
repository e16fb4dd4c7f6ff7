"""A case on the grid of the networks: its tiles, and what came back for them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ldseg.base.scratch import release, scratch
from ldseg.data.cases import LoadedCase
from ldseg.data.preprocess import Preprocessing
from ldseg.evaluation.familiarity import Signature, mean_signature
from ldseg.inference.engine import Engine
from ldseg.inference.tiles import Tiling, cover

SLAB = 16
"""Frames of a video that are brought to the grid at a time."""


def _on_grid(loaded: LoadedCase, preprocessing: Preprocessing, grid: tuple[int, ...]) -> np.ndarray:
    """The image of a case on a grid; of a video, whose frames stay what they are, a few frames after the other."""
    if not preprocessing.axes.startswith("T"):
        return preprocessing.image_to_grid(loaded.part(slice(None)), grid)
    starts = range(0, grid[0], SLAB)
    found = scratch((*grid, loaded.part(slice(1)).shape[-1]), np.float32)
    for start in starts:
        part = loaded.part(slice(start, start + SLAB))
        found[start : start + SLAB] = preprocessing.image_to_grid(part, (len(part), *grid[1:]))
        release(found)
        release(loaded.stored)
    return found


class TiledCase:
    """A case on the grid of the network, covered with tiles, and what came back for them so far.

    Tiles of one case share one field of noise for each member, so that they agree where they overlap.
    """

    def __init__(self, loaded: LoadedCase, preprocessing: Preprocessing, engine: Engine, seed: int) -> None:
        grid = preprocessing.grid_of(loaded.size, loaded.spacing)
        self.tiling: Tiling = cover(grid, engine.spec.size, engine.strides)
        self.strides, self.outline = engine.strides, engine.spec.outline
        self.image = self.tiling.pad(_on_grid(loaded, preprocessing, grid))
        latent_grid = tuple(n // d for n, d in zip(self.tiling.padded, self.strides, strict=True))
        self.noise = engine.draw_noise(seed, loaded.digest, latent_grid)
        self.left = len(self.tiling.starts)
        self.blend = self.tiling.weights()
        self.totals: list[np.ndarray] = []
        self.states: np.ndarray | None = None
        self.signatures: list[Signature] = []
        self.weight: np.ndarray | None = None

    @property
    def middle(self) -> tuple[int, ...]:
        """Where the tile in the middle begins, which stands for the case where one is shown."""
        return self.tiling.starts[len(self.tiling.starts) // 2]

    def tile(self, start: tuple[int, ...]) -> dict[str, np.ndarray]:
        """What the engine takes for one tile, without the axis of the batch."""
        latent = (slice(None),) * 3 + self.tiling.window(start, self.strides)
        return {"image": self.image[self.tiling.window(start)], "noise": self.noise[latent]}

    @property
    def signature(self) -> Signature | None:
        """What was measured of the case; None where nothing was."""
        return mean_signature(self.signatures) if self.signatures else None

    def add(
        self,
        start: tuple[int, ...],
        probabilities: np.ndarray,
        states: np.ndarray | None = None,
        signature: Signature | None = None,
    ) -> None:
        """Take in what the engine gave for one tile: float32 ``(E, *S, P)``, and the states and the signature if any."""
        self.left -= 1
        if signature is not None:
            self.signatures.append(signature)
        if states is not None and start == self.middle:
            self.states = states.copy()  # not the whole batch
        if len(self.tiling.starts) == 1:
            self.totals = list(probabilities)
            return
        if self.weight is None:
            shape = (*self.tiling.padded, probabilities.shape[-1])
            self.totals = [scratch(shape, np.float32) for _ in probabilities]
            self.weight = scratch((*self.tiling.padded, 1), np.float32)
        window = self.tiling.window(start)
        for total, member in zip(self.totals, probabilities, strict=True):
            total[window] += self.blend * member
            release(total)
        self.weight[window] += self.blend
        release(self.image)

    def let_go(self) -> None:
        """Let go of the image on the grid and of the noise, which are not needed once all tiles are done."""
        self.image = self.noise = np.zeros(0, np.float32)  # a part of either would keep all of it

    def members(self) -> Iterator[np.ndarray]:
        """The blend of all tiles of each member, float32 (*grid, P), which is then let go."""
        while self.totals:
            total = self.totals.pop(0)
            if self.weight is not None:
                for start in range(0, len(total), SLAB):
                    total[start : start + SLAB] /= self.weight[start : start + SLAB]
                    release(total)
            if not self.totals:
                self.weight = None
            yield self.tiling.crop(total)
