"""What a training is said to cost before it begins."""

import math

import pytest

from ldseg.training.cost import EACH_UPDATE, STARTING, Machine

TWO = Machine(cores=2, gpu=False)


@pytest.mark.parametrize(("cores", "shared"), [(1, 1), (2, 2), (16, 2)])
def test_an_update_has_a_part_that_no_smaller_grid_saves(cores: int, shared: int) -> None:
    machine = Machine(cores=cores, gpu=False)
    assert machine.update("lean", "YX", 0) == EACH_UPDATE / shared
    large = machine.update("lean", "YX", 2e6) - machine.update("lean", "YX", 1e6)
    assert large == pytest.approx(machine.growing("lean", "YX", 1e6))


def test_what_was_measured() -> None:
    """1,440 updates of 4 at 96x128 in two minutes of two idle cores, docs/results.md; the order of magnitude at 64x64."""
    assert TWO.update("lean", "YX", 4 * 96 * 128) == pytest.approx(120 / 1440, rel=0.15)
    assert 0.05 < TWO.update("lean", "YX", 4 * 64 * 64) < 0.1


def test_updates_of_given_minutes_leave_time_to_compile_and_to_validate() -> None:
    assert TWO.updates(10, 0.5) == (540 - STARTING) / 0.5
    assert TWO.updates(0.1, 0.5) == 0


def test_what_was_not_measured_is_not_told() -> None:
    for machine, preset in ((Machine(cores=2, gpu=True), "lean"), (TWO, "unheard")):
        assert math.isnan(machine.update(preset, "YX", 1e6))
        assert math.isnan(machine.updates(10, machine.update(preset, "YX", 1e6)))
