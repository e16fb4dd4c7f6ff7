import sys

import pytest

from ldseg.base.later import Later


def test_a_library_is_imported_when_something_of_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Later("colorsys")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert "colorsys" not in sys.modules
    assert module.rgb_to_hsv(1, 0, 0) == (0, 1, 1)
    assert "colorsys" in sys.modules


def test_what_is_replaced_in_the_library_is_replaced_here(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Later("colorsys")
    assert module.rgb_to_hsv(1, 0, 0) == (0, 1, 1)
    monkeypatch.setattr("colorsys.rgb_to_hsv", lambda *_: "another")
    assert module.rgb_to_hsv(1, 0, 0) == "another"


def test_a_library_that_is_not_there_is_named_when_it_is_used() -> None:
    module = Later("no_such_library")
    with pytest.raises(ModuleNotFoundError) as raised:
        module.anything()
    assert raised.value.name == "no_such_library"
