"""Large arrays that are made when they are first asked for."""

from __future__ import annotations

from typing import Any

_NONE = object()


class Deferred:
    """A field of a dataclass that may be given as a function without arguments, which makes its value when that is read.

    Args:
        default: of the field; without it there is none.
    """

    def __init__(self, default: Any = _NONE) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            if self._default is _NONE:
                raise AttributeError(self._name)
            return self._default
        value = instance.__dict__[self._name]
        if callable(value):
            value = instance.__dict__[self._name] = value()
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value
