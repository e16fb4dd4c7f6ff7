"""Python's collector rests within, and is as it was afterwards."""

import gc

import pytest

from ldseg.base.pausing import many_objects


def test_the_collector_rests_and_comes_back() -> None:
    with many_objects():
        assert not gc.isenabled()
        with many_objects():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError), many_objects():
        raise ValueError
    assert gc.isenabled()
