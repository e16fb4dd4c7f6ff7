"""Libraries that few runs need: imported when something of them is first asked for, so that a run begins sooner."""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """Stands for a module until something of it is asked for; then for what that holds.

    What checks types is told of the module itself, under ``TYPE_CHECKING``.

    Args:
        name: of the module, with dots.

    Raises:
        ModuleNotFoundError: when something is asked for, if there is no such module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, what: str) -> Any:
        if what.startswith("__"):  # asked by what looks at objects of any kind
            raise AttributeError(what)
        return getattr(importlib.import_module(self._name), what)
