"""Windows of a resampled picture, from windows of the picture: what `ldseg.data.preprocess` does to a whole one.

Area average along an axis that shrinks, linear along one that grows, edges in place. Each position is made of the same
numbers in the same order whatever window it lies in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class Axis:
    """One axis, from a length to another.

    Attributes:
        source: its length.
        target: the length that it is brought to.
    """

    source: int
    target: int

    def support(self, first: int, end: int) -> tuple[int, int]:
        """The positions of the source, from and to, that positions of the target from first to end are made of."""
        if self.source == self.target:
            return first, end
        if self.target < self.source:
            scale = self.source / self.target
            return int(np.floor(first * scale + 1e-9)), min(self.source, int(np.ceil(end * scale - 1e-9)))
        low, high = self._places(np.array([first, end - 1]))[0]
        return int(low), min(self.source, int(high) + 2)

    def weights(self, first: int, end: int) -> tuple[sparse.csr_array, int, int]:
        """The matrix float32 (end - first, n) from the n positions of `support` to those of the target, and their ends."""
        from scipy import sparse  # a quarter of a second, which nothing but slides needs

        start, stop = self.support(first, end)
        if self.target < self.source:
            scale = self.source / self.target
            edges = np.arange(first, end + 1) * scale
            columns = np.arange(start, stop)
            most = int(np.ceil(scale)) + 1
            # Each row has its pixels from the one that its lower edge lies in.
            index = np.floor(edges[:-1] + 1e-9).astype(np.int64)[:, np.newaxis] + np.arange(most)
            share = np.minimum(index + 1, edges[1:, np.newaxis]) - np.maximum(index, edges[:-1, np.newaxis])
            share = np.where(index < stop, np.maximum(share, 0), 0) / scale
            rows = np.repeat(np.arange(end - first), most)
            shape = (end - first, len(columns))
            entries = share.ravel().astype(np.float32), (rows, np.minimum(index, stop - 1).ravel() - start)
            return sparse.csr_array(sparse.coo_array(entries, shape=shape)), start, stop
        low, part = self._places(np.arange(first, end))
        high = np.minimum(low + 1, self.source - 1)
        rows = np.tile(np.arange(end - first), 2)
        values = np.concatenate([1 - part, part]).astype(np.float32)
        entries = values, (rows, np.concatenate([low, high]).astype(np.int64) - start)
        return sparse.csr_array(sparse.coo_array(entries, shape=(end - first, stop - start))), start, stop

    def _places(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where positions of a longer target lie on the source: the position before, and how far on to the next, 0 to 1."""
        place = np.clip((positions + 0.5) * (self.source / self.target) - 0.5, 0, self.source - 1)
        low = np.floor(place)
        return low.astype(np.int64), place - low

    def apply(self, values: np.ndarray, first: int, end: int, axis: int) -> np.ndarray:
        """Values whose axis holds the positions of `support`, brought to those of the target from first to end."""
        if self.source == self.target:
            return values
        matrix, _, _ = self.weights(first, end)
        moved = np.moveaxis(values, axis, 0)
        flat = np.ascontiguousarray(moved, np.float32).reshape(moved.shape[0], -1)
        return np.moveaxis((matrix @ flat).reshape(end - first, *moved.shape[1:]), 0, axis)


def resampled(values: np.ndarray, rows: Axis, columns: Axis, window: tuple[int, int, int, int]) -> np.ndarray:
    """A window of a resampled picture.

    Args:
        values: (h, w, c), the part of the source that the supports of the window are.
        rows: the axis along y.
        columns: the axis along x.
        window: first and end row, first and end column, on the target.

    Returns:
        float32 (end - first row, end - first column, c).
    """
    top, bottom, left, right = window
    found = columns.apply(rows.apply(values, top, bottom, 0), left, right, 1)
    return np.ascontiguousarray(found, np.float32)
