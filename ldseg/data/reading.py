"""Whether the numbers in the labels of a set can be read in two ways. Then neither is taken: the user says which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ldseg.data.labels import listed
from ldseg.errors import DataError

BACKGROUNDS = ("background", "back", "backgr", "bg", "none", "nothing", "other", "others", "rest", "outside", "unlabelled")
"""What a first class is called that stands for everything else."""

SHOWN = 4
"""Names that are made up for classes, before the rest is left out."""


def check_reading(
    numbers: Iterable[int], classes: Sequence[str], labels: str, label_map: Iterable[object], source: str
) -> None:
    """Make sure that the numbers of all labels of a set together have one meaning.

    Args:
        numbers: those that occur, in any of the labels.
        classes: the names that the settings give; nothing where they give none.
        labels: the rule of ``[Data] Labels``; any but ``auto`` says what the numbers are.
        label_map: ``[Data] LabelMap``, which says it as well.
        source: the folder, for the message.

    Raises:
        DataError: they can be read in two ways; it shows the numbers, both readings, and the line to write for each.
    """
    found = sorted(set(numbers))
    if labels != "auto" or any(True for _ in label_map) or not found or found[0] < 0:
        return
    readings = _without_names(found) if not classes else _with_names(found, tuple(classes))
    if readings:
        told = "; or ".join(f"{meaning}: write [Data] {line}" for meaning, line in readings)
        named = f" for Data.Classes = {', '.join(classes)}" if classes else ""
        raise DataError(
            f"{source}: the labels hold the numbers {listed(found)}, which can be read in two ways{named}: {told}"
        )


def _without_names(found: list[int]) -> list[tuple[str, str]]:
    foreground = [value for value in found if value]
    if len(foreground) < 2 and (not foreground or foreground[0] in (1, 255)):
        return []
    if len(foreground) == 1:
        return [("one class", "Labels = binary"), _as_classes(found)]
    return [_as_classes(found), ("numbered objects of one class", "Labels = instances")]


def _as_classes(found: list[int]) -> tuple[str, str]:
    """Every number a class of its own."""
    foreground = [value for value in found if value]
    names = [f"NAME{index}" for index in range(1, len(foreground) + 1)]
    if len(names) > SHOWN:
        names = [*names[:2], "...", names[-1]]
    line = f"Classes = {', '.join(['background', *names])}"
    if foreground == list(range(1, len(foreground) + 1)):
        return f"{len(foreground) + 1} classes", line
    pairs = [f"{value}:{index}" for index, value in enumerate([0, *foreground])]
    if len(pairs) > SHOWN:
        pairs = [*pairs[:3], "...", pairs[-1]]
    return f"{len(foreground) + 1} classes", f"{line} and LabelMap = {', '.join(pairs)}"


def _with_names(found: list[int], classes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Names of which the first may be that of an object, as one number more than names occurs."""
    if found[-1] != len(classes) or classes[0].strip().lower() in BACKGROUNDS:
        return []
    forgotten = ("the background has no name yet", f"Classes = {', '.join(['background', *classes])}")
    if len(classes) == 2:
        return [forgotten, (f"numbered objects of {classes[1]} on {classes[0]}", "Labels = instances")]
    return [forgotten, (f"0 is {classes[0]}, and {found[-1]} one more class", f"Classes = {', '.join([*classes, 'NAME'])}")]
