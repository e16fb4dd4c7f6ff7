"""The plan of a training, told from one process to others: plain values that make the same objects again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from ldseg.data.cases import Case
from ldseg.data.preprocess import Preprocessing
from ldseg.description import read_description
from ldseg.diffusion import Schedule
from ldseg.models import Preset
from ldseg.spec import SegmenterSpec
from ldseg.training.choices import Reason
from ldseg.training.plan import Plan
from ldseg.training.start import Start

KNOWN = {kind.__name__: kind for kind in (Case, Plan, Preprocessing, Reason, Schedule, SegmenterSpec)}
"""Classes whose objects are told field by field."""

_KIND, _GIVEN = "@", "of"


def told(value: Any) -> Any:
    """A plan, cases, or a part of them, as JSON can hold it; of an own preset the name alone.

    Raises:
        TypeError: for an object of another class.
    """
    kind = type(value).__name__
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return {_KIND: kind, _GIVEN: [told(entry) for entry in value]}
    if isinstance(value, dict):
        return {_KIND: "dict", _GIVEN: [[told(key), told(entry)] for key, entry in value.items()]}
    if isinstance(value, Path):
        return {_KIND: "Path", _GIVEN: str(value)}
    if isinstance(value, Start):
        return {_KIND: "Start", _GIVEN: str(value.folder)}
    if kind not in KNOWN:
        raise TypeError(f"{kind} cannot be told to another process")
    own = {entry.name: getattr(value, entry.name) for entry in fields(value) if entry.init}
    if isinstance(value, SegmenterSpec):
        own["own"] = None
    return {_KIND: kind, _GIVEN: {name: told(entry) for name, entry in own.items()}}


def heard(value: Any, preset: Preset | None = None) -> Any:
    """What ``told`` was given.

    Args:
        value: what it has made.
        preset: the own preset of the training, where it has one.

    Raises:
        WeightsError: the weights to start from are not here.
    """
    if not isinstance(value, dict):
        return value
    given = value[_GIVEN]
    makers: dict[str, Callable[[], Any]] = {
        "list": lambda: [heard(entry, preset) for entry in given],
        "tuple": lambda: tuple(heard(entry, preset) for entry in given),
        "dict": lambda: {heard(key, preset): heard(entry, preset) for key, entry in given},
        "Path": lambda: Path(given),
        "Start": lambda: Start(folder=Path(given), description=read_description(Path(given), preset)),
    }
    if value[_KIND] in makers:
        return makers[value[_KIND]]()
    own = {name: heard(entry, preset) for name, entry in given.items()}
    if value[_KIND] == SegmenterSpec.__name__:
        own["own"] = preset
    return KNOWN[value[_KIND]](**own)
