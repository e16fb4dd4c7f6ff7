"""Figures and names as text."""

import numpy as np

from ldseg.base.text import FEW, few, interval, natural, plain, some


def test_of_many_values_the_first_are_named() -> None:
    assert few([3, 1, 2]) == "3, 1, 2"
    assert few(range(FEW)) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert few(range(30)) == "0, 1, 2, 3, 4, 5, 6, 7, ... (30 in all)"
    assert few([]) == ""
    assert some(["Case10", "Case2"]) == "Case2, Case10"
    assert sorted(["b", "a10", "a9"], key=natural) == ["a9", "a10", "b"]


def test_an_interval_that_does_not_exist_is_one_dash() -> None:
    assert interval((0.25, 0.5)) == "0.2500 to 0.5000"
    assert interval((1.0, 2.0), 1) == "1.0 to 2.0"
    assert interval((np.nan, np.nan)) == interval((None, None)) == "–"


def test_what_is_plain_has_a_place_in_json() -> None:
    given = {"a": np.float32(0.5), 1: (np.nan, np.arange(2)), "s": {"b", "a"}, "none": None, "flag": np.bool_(True)}
    assert plain(given) == {"a": 0.5, "1": [None, [0, 1]], "s": ["a", "b"], "none": None, "flag": True}
