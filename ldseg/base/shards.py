"""A share of the cases of a run, so that several machines, or jobs of a queue, do one run between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")

_TEXT = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})")
_FOLDER = re.compile(r"shard-(\d+)-of-(\d+)")


@dataclass(frozen=True, order=True)
class Shard:
    """One of n shares.

    Attributes:
        index: from 1 to n.
        count: n.
    """

    index: int
    count: int

    @classmethod
    def of_text(cls, text: str) -> Self:
        """What ``i/n`` stands for. Raises ValueError for any other text, and where i is not from 1 to n."""
        found = _TEXT.fullmatch(text)
        if not found or int(found[1]) > int(found[2]):
            raise ValueError(f"expected i/n with i from 1 to n, such as 2/8, got {text!r}")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of_folder(cls, folder: Path) -> Self | None:
        """The share that a folder holds; None if it is no such folder."""
        found = _FOLDER.fullmatch(folder.name)
        return cls(int(found[1]), int(found[2])) if found and folder.is_dir() else None

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def folder(self) -> str:
        """The name of the folder of its results, within that of the whole run."""
        return f"shard-{self.index}-of-{self.count}"

    def of(self, cases: Sequence[T]) -> tuple[T, ...]:
        """Its cases: every n-th, so that large and small ones are shared out whatever their order."""
        return tuple(cases[self.index - 1 :: self.count])


def whole(shares: Sequence[Sequence[T]]) -> list[T]:
    """The cases of all shares 1 to n in the order of the run: the inverse of ``Shard.of``."""
    longest = max(map(len, shares), default=0)
    return [share[row] for row in range(longest) for share in shares if row < len(share)]
