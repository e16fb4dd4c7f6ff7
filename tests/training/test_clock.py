"""The time of a training, told by a clock that the test turns."""

import math

import numpy as np
import pytest

from ldseg.training.clock import Clock, rate


class Hands:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_compiling_counts_for_no_rate() -> None:
    hands = Hands()
    clock = Clock(now=hands)
    hands.time += 60  # compiles
    clock.updated()
    assert math.isnan(clock.update)
    assert math.isnan(clock.left(10))
    for _ in range(3):
        hands.time += 0.5
        clock.updated()
    assert clock.update == 0.5
    assert clock.left(10) == 5.0
    hands.time += 8
    clock.validated(8)
    clock.updated()  # the update behind a validation has no beginning of its own
    assert clock.update == 0.5
    assert clock.left(10, 2) == 21.0


def test_what_comes_between_epochs_is_part_of_the_time_left_and_of_no_update() -> None:
    hands = Hands()
    clock = Clock(now=hands)
    for validates in (False, True, False):
        for _ in range(3):
            hands.time += 0.5
            clock.updated()
        hands.time += 2  # a checkpoint
        if validates:
            hands.time += 30
            clock.validated(30)
        clock.paused()
    assert (clock.update, clock.pause) == (0.5, 2)
    assert clock.left(10, 1, 4) == 5 + 30 + 8


@pytest.mark.parametrize(("compiled", "first"), [(30, 120), (420, 45)])
def test_after_compiling_the_network_learns_before_it_is_validated(compiled: float, first: float) -> None:
    """However long it took: of ten minutes, the first validation is due after a fifth or after a quarter of what is left."""
    hands = Hands()
    clock = Clock(minutes=10, now=hands)
    hands.time += compiled
    clock.updated()
    assert not clock.overdue and not clock.due
    hands.time += first - 1
    clock.updated()
    assert not clock.overdue
    hands.time += 1
    clock.updated()
    assert clock.overdue


@pytest.mark.parametrize(("update", "validation", "epoch"), [(0.5, 6.0, 40), (0.1, 1.0, 3), (2.0, 20.0, 1000)])
@pytest.mark.parametrize("stops", [(), (0.3,), (0.2, 0.7)])
def test_a_training_of_given_minutes_ends_on_time(
    update: float, validation: float, epoch: int, stops: tuple[float, ...]
) -> None:
    """A training played through: compiled for half a minute, stopped and gone on, in epochs that may be too long."""
    hands, minutes, spent, validations, rates, updates = Hands(), 10.0, 0.0, 0, [], 0
    wall = 0.0
    for stop in (*stops, 2.0):
        clock, began = Clock(minutes=minutes, spent=spent, now=hands), hands.time
        hands.time += 30
        over, done = False, 0
        while not over and clock.elapsed < stop * 60 * minutes:
            rates.append(rate(1.0, clock.progress, updates, 20))
            hands.time += update
            clock.updated()
            done, updates, over = done + 1, updates + 1, clock.over
            if clock.overdue or (done % epoch == 0 and clock.due) or over:
                hands.time += validation
                clock.validated(validation)
                validations += 1
        spent = clock.elapsed
        wall += hands.time - began
    assert wall == pytest.approx(60 * minutes, rel=0.05)
    assert wall <= 60 * minutes + 2 * update
    assert validations * validation < 0.25 * 60 * minutes
    assert validations >= 2
    top = int(np.argmax(rates))
    assert max(rates) > 0.9
    assert rates[-1] < 0.012  # it has fallen
    assert all(later <= earlier + 1e-6 for earlier, later in zip(rates[top:], rates[top + 1 :]) if later > 0.5)


def test_a_training_that_has_had_its_minutes() -> None:
    clock = Clock(minutes=1, spent=60, now=Hands())
    assert clock.over
    assert clock.progress == 1
    assert clock.left() == 0


def test_the_step_size_over_the_time() -> None:
    assert rate(0.1, 0.0, 0, 10) == 0
    assert rate(0.1, 0.0, 5, 10) == pytest.approx(0.05)
    assert rate(0.1, 0.1, 1, 1000) == pytest.approx(0.1 * (0.01 + 0.99 * 0.5 * (1 + math.cos(0.1 * math.pi))))
    assert rate(0.1, 0.5, 500, 10) == pytest.approx(0.1 * 0.505)
    assert rate(0.1, 1.0, 500, 10) == pytest.approx(0.001)
    assert rate(0.1, 0.0, 0, 0) == pytest.approx(0.1)
