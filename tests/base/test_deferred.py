"""Fields that are made when they are first asked for."""

from dataclasses import dataclass, replace

import pytest

from ldseg.base.deferred import Deferred


@dataclass(frozen=True, kw_only=True)
class Held:
    name: str
    values: list[int] = Deferred()  # type: ignore[assignment]
    more: list[int] | None = Deferred(None)  # type: ignore[assignment]


def test_what_is_deferred_is_made_once_and_only_when_it_is_asked_for() -> None:
    made: list[int] = []

    def make() -> list[int]:
        made.append(1)
        return [3]

    held = Held(name="a", values=make)  # type: ignore[arg-type]
    assert not made
    assert held.values == [3]
    assert held.values is held.values
    assert made == [1]
    assert held.more is None
    other = replace(held, name="b", more=[4])
    assert (other.values, other.more) == ([3], [4])
    assert Held(name="c", values=[5]).values == [5]


def test_without_a_default_a_deferred_field_is_asked_for() -> None:
    with pytest.raises(TypeError, match="values"):
        Held(name="a")  # type: ignore[call-arg]
