"""Regions: named unions of classes, for which figures are given in place of the classes.

The disc of an eye holds the cup, and the whole of a tumour its core; a label map has the rim and the cup, the parts. What
papers call Dice of the disc is that of both together. Regions may be nested, or overlap in part: each is compared by itself.
"""

from collections.abc import Sequence

import numpy as np

Regions = tuple[tuple[str, tuple[int, ...]], ...]
"""A name and the numbers of the classes of each region."""

Unions = tuple[tuple[int, ...], ...]
"""The classes of the background and of each region; nothing where figures are given for the classes themselves."""


def check_regions(regions: Regions, classes: Sequence[str]) -> None:
    """Make sure that regions can be told apart and measured.

    Args:
        regions: what is to be checked.
        classes: names of the classes, background first; nothing where they are not known yet.

    Raises:
        ValueError: they cannot, with what was expected and what came.
    """
    if classes and regions and len(classes) < 3:
        raise ValueError(
            f"expected nothing for two classes ({', '.join(classes)}), which form no unions, got {shown(regions)}"
        )
    names = [name.lower() for name, _ in regions]
    background = classes[0].lower() if classes else "background"
    seen: dict[frozenset[int], str] = {}
    for name, numbers in regions:
        if not numbers:
            raise ValueError(f"{name}: expected classes from 1 on, got none")
        most = len(classes) - 1 if classes else max(1, *numbers)
        if names.count(name.lower()) > 1 or name.lower() == background:
            raise ValueError(
                f"expected different names, none of them that of the background, got {name} in {shown(regions)}"
            )
        if 0 in numbers:
            raise ValueError(f"{name}: expected classes from 1 on, as the background belongs to no region, got 0")
        if wrong := [number for number in numbers if not 0 < number <= most]:
            known = ", ".join(f"{index} {each}" for index, each in enumerate(classes) if index)
            raise ValueError(f"{name}: expected classes from 1 to {most} ({known}), got {', '.join(map(str, wrong))}")
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"{name}: expected each class once, got {'+'.join(map(str, numbers))}")
        if (same := seen.setdefault(frozenset(numbers), name)) != name:
            raise ValueError(f"{name}: expected other classes than those of {same}, got {'+'.join(map(str, numbers))}")


def structures(classes: Sequence[str], regions: Regions) -> tuple[str, ...]:
    """Names of what figures are given for, background first: the classes, or the regions where there are some."""
    return (classes[0], *(name for name, _ in regions)) if regions else tuple(classes)


def unions_of(regions: Regions) -> Unions:
    """The classes of what figures are given for, background first; nothing without regions."""
    return ((0,), *(numbers for _, numbers in regions)) if regions else ()


def of_no_region(classes: Sequence[str], regions: Regions) -> list[str]:
    """The classes but the background that no region holds, by name: no figure tells of them."""
    held = {number for _, numbers in regions for number in numbers}
    return [name for index, name in enumerate(classes) if regions and index and index not in held]


def inside(mask: np.ndarray, union: Sequence[int]) -> np.ndarray:
    """Where a mask of class numbers ``(*S)`` has one of some classes, bool ``(*S)``."""
    return mask == union[0] if len(union) == 1 else np.isin(mask, union)


def shown(regions: Regions) -> str:
    """As they stand in ``cfg.ini``."""
    return ", ".join(f"{name}:{'+'.join(map(str, numbers))}" for name, numbers in regions) or "nothing"
