"""Columns of a slide that are segmented together, from top to bottom, in memory that depends on their width alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ldseg.base.regions import Unions
from ldseg.data.intensity import between, to_channels
from ldseg.evaluation.quality import SignSums
from ldseg.inference.engine import Engine
from ldseg.inference.parts import check_numbers, classes_of
from ldseg.inference.uncertainty import predictive_entropy
from ldseg.io.slides.contract import Slide
from ldseg.slides.noise import noise_rows
from ldseg.slides.plan import SlidePlan
from ldseg.slides.resample import resampled
from ldseg.slides.survey import Survey

_WIDE = 2048
"""Columns of a mask that are made at a time."""


CERTAIN = 255
"""What the highest entropy there is, and a probability of 1, count as where they are stored."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Rows of a panel.

    Attributes:
        mask: class numbers, uint8 (h, w).
        outline: probability of the outline of an object, uint8 from 0 to `CERTAIN`; 0 if the networks tell none.
        entropy: of the probabilities, uint8 from 0 to `CERTAIN`.
        sums: what tells of the quality of the mask.
    """

    mask: np.ndarray
    outline: np.ndarray
    entropy: np.ndarray
    sums: SignSums


class Source:
    """What every tile of a slide is made of.

    Args:
        slide: the slide.
        plan: where its tiles lie.
        seen: what a pass over it told.
        channels: those of the network.
    """

    def __init__(self, slide: Slide, plan: SlidePlan, seen: Survey, channels: int) -> None:
        self.slide, self.plan, self.seen, self.channels = slide, plan, seen, channels
        self._cells = [{start: self._cells_under(axis, start) for start in plan.starts[axis]} for axis in (0, 1)]

    def image(self, start: tuple[int, int]) -> np.ndarray:
        """The image of a tile as the network takes it, float32 (*size, channels) in [0, 1]."""
        plan = self.plan
        rows, columns = (plan.mirrored(axis, start[axis]) for axis in (0, 1))
        window = int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1
        (y0, y1), (x0, x1) = plan.read[0].support(*window[:2]), plan.read[1].support(*window[2:])
        values = self.slide.window(plan.level, y0, x0, y1 - y0, x1 - x0)
        bounds = self.seen.bounds
        if len(bounds) == 1:
            scaled = between(values, *bounds[0])
        else:
            scaled = np.concatenate([between(values[..., [k]], *each) for k, each in enumerate(bounds)], axis=-1)
        image = to_channels(scaled, self.channels, str(self.slide.path), self.slide.modalities)
        found = np.clip(resampled(image, *plan.read, window), 0.0, 1.0)
        return found[np.ix_(rows - window[0], columns - window[2])]

    def shows_tissue(self, start: tuple[int, int]) -> bool:
        """Whether any cell under a tile is tissue."""
        return bool(self.seen.tissue[self._cells[0][start[0]], self._cells[1][start[1]]].any())

    def tissue_at(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """Where a window of the full resolution shows tissue, bool: first and end row, first and end column."""
        cells = []
        for axis, (first, end) in enumerate((window[:2], window[2:])):
            place = (np.arange(first, end) + 0.5) * (self.plan.size[axis] / self.plan.full[axis])
            cells.append(np.minimum(place.astype(np.int64), self.plan.size[axis] - 1) // self.seen.cell)
        return self.seen.tissue[np.ix_(*cells)]

    def _cells_under(self, axis: int, start: int) -> slice:
        shown = self.plan.mirrored(axis, start)
        first, end = self.plan.read[axis].support(int(shown.min()), int(shown.max()) + 1)
        return slice(first // self.seen.cell, (end - 1) // self.seen.cell + 1)


class Panel:
    """The columns from left to right of the mask of a slide.

    Args:
        source: of its tiles.
        engine: that segments them.
        seed: of the run.
        left: first column of the mask, on the full resolution.
        right: the column behind the last.
        first: the row of the mask to begin with; what lies above is known.
        batch: tiles at a time.
        watch: told how many tiles were segmented.
        unions: the classes of the background and of each region that the quality is told for, see ``ldseg.base.regions``.
    """

    def __init__(
        self,
        source: Source,
        engine: Engine,
        *,
        seed: int,
        left: int,
        right: int,
        first: int,
        batch: int,
        watch: Callable[[int], None],
        unions: Unions = (),
    ) -> None:
        self.unions = unions
        self.source, self.engine, self.seed, self.batch, self.watch = source, engine, seed, batch, watch
        self.plan = plan = source.plan
        self.left, self.right = left, right
        self.starts = tiles_of(plan, first, plan.full[0], left, right)
        # Columns of the padded grid that its tiles cover.
        columns = self.starts[1]
        self.from_column, self.to_column = columns[0], columns[-1] + plan.tiling.size[1]
        self.blend = plan.tiling.weights()
        self.parts = engine.spec.parts
        self.top = self.starts[0][0]
        shape = 0, self.to_column - self.from_column
        self.totals, self.weight = np.zeros((*shape, self.parts), np.float32), np.zeros((*shape, 1), np.float32)

    def strips(self, bounds: Iterator[tuple[int, int]]) -> Iterator[Strip]:
        """What comes out of rows that follow each other, (top, bottom) each."""
        plan = self.plan
        noise = _Field(self.engine, self.seed, self.source.seen.digest, plan, self.from_column, self.to_column)
        waiting = list(self.starts[0])
        for top, bottom in bounds:
            needed = plan.written[0].support(top, bottom)
            end = needed[1] + plan.before[0]
            while waiting and waiting[0] < end:
                self._row(waiting.pop(0), noise)
            self._forget(needed[0] + plan.before[0])
            yield self._strip(top, bottom)

    def _row(self, row: int, noise: _Field) -> None:
        """Segment a row of tiles and add what comes out."""
        size = self.plan.tiling.size
        missing = row + size[0] - (self.top + len(self.totals))
        if missing > 0:
            width = self.totals.shape[1]
            self.totals = np.concatenate([self.totals, np.zeros((missing, width, self.parts), np.float32)])
            self.weight = np.concatenate([self.weight, np.zeros((missing, width, 1), np.float32)])
        shown = [column for column in self.starts[1] if self.source.shows_tissue((row, column))]
        for first in range(0, len(shown), self.batch):
            columns = shown[first : first + self.batch]
            tiles = [{"image": self.source.image((row, column)), "noise": noise.tile(row, column)} for column in columns]
            if self.engine.whole_batches:
                tiles += tiles[-1:] * (self.batch - len(tiles))
            given = {name: np.stack([tile[name] for tile in tiles]) for name in tiles[0]}
            drawn = self.engine.run(given).probabilities
            check_numbers(drawn, self.source.slide.path)
            for index, column in enumerate(columns):
                at = column - self.from_column
                window = slice(row - self.top, row - self.top + size[0]), slice(at, at + size[1])
                self.totals[window] += self.blend * drawn[index].mean(axis=0)
                self.weight[window] += self.blend
            self.watch(len(columns))

    def _forget(self, row: int) -> None:
        """Let go of the rows of the padded grid above one."""
        if row > self.top:
            self.totals, self.weight = self.totals[row - self.top :].copy(), self.weight[row - self.top :].copy()
            self.top = row

    def _strip(self, top: int, bottom: int) -> Strip:
        plan, outlined = self.plan, self.engine.spec.outline
        found, outline, doubt = np.zeros((3, bottom - top, self.right - self.left), np.uint8)
        sums = SignSums(self.parts - bool(outlined), self.unions)
        y0, y1 = (row + plan.before[0] - self.top for row in plan.written[0].support(top, bottom))
        for left in range(self.left, self.right, _WIDE):
            right = min(left + _WIDE, self.right)
            x0, x1 = (place + plan.before[1] - self.from_column for place in plan.written[1].support(left, right))
            weight = self.weight[y0:y1, x0:x1]
            if not weight.any():
                sums.add_nothing((bottom - top) * (right - left))
                continue
            seen = weight > 0  # what no tile was run for is background
            probabilities = np.divide(
                self.totals[y0:y1, x0:x1], weight, out=np.zeros_like(self.totals[y0:y1, x0:x1]), where=seen
            )
            probabilities[..., 0] += ~seen[..., 0]
            full = resampled(probabilities, *plan.written, (top, bottom, left, right))
            classes, tissue = classes_of(full, outlined), self.source.tissue_at((top, bottom, left, right))
            place = slice(left - self.left, right - self.left)
            found[:, place] = np.argmax(classes, axis=-1) * tissue
            classes = classes * tissue[..., np.newaxis]  # background is certain
            entropy = predictive_entropy(classes)
            doubt[:, place] = np.rint(CERTAIN * entropy)
            sums.add(classes, found[:, place], entropy)
            if outlined:
                outline[:, place] = np.rint(CERTAIN * full[..., -1]) * tissue
        return Strip(mask=found, outline=outline, entropy=doubt, sums=sums)


class _Field:
    """The noise of the tiles of a panel, of which as many rows are held as a tile has."""

    def __init__(self, engine: Engine, seed: int, digest: str, plan: SlidePlan, left: int, right: int) -> None:
        self._strides, size = plan.strides, plan.tiling.size
        grid = plan.tiling.padded[0] // plan.strides[0], plan.tiling.padded[1] // plan.strides[1]
        self._rows = noise_rows(engine, seed, digest, grid)
        self._columns = slice(left // plan.strides[1], right // plan.strides[1])
        self._size = size[0] // plan.strides[0], size[1] // plan.strides[1]
        self._held: list[np.ndarray] = []
        self._next = 0

    def tile(self, row: int, column: int) -> np.ndarray:
        """The noise of a tile, ``Engine.noise_shape``. Rows of tiles come from the top."""
        first, left = row // self._strides[0], column // self._strides[1] - self._columns.start
        while self._next < first + self._size[0]:
            self._held.append(next(self._rows)[..., self._columns, :])
            self._next += 1
        self._held = self._held[first - self._next :]
        return np.stack([held[..., left : left + self._size[1], :] for held in self._held[: self._size[0]]], axis=3)


def tiles_of(plan: SlidePlan, top: int, bottom: int, left: int, right: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where tiles begin that a part of the mask is made of: rows and columns of the padded grid."""
    found = []
    for axis, (first, end) in enumerate(((top, bottom), (left, right))):
        low, high = (place + plan.before[axis] for place in plan.written[axis].support(first, end))
        length = plan.tiling.size[axis]
        found.append(tuple(start for start in plan.starts[axis] if start < high and start + length > low))
    return found[0], found[1]
