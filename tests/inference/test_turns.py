"""Whoever waits longest has the next turn."""

import contextlib
import threading
import time
from collections.abc import Callable

import pytest

from ldseg.inference.turns import Turns

SECONDS = 20.0
"""After which a test has failed, where it would wait for ever."""


def side_by_side(*works: Callable[[], None]) -> list[threading.Thread]:
    """Threads that are started, and do not keep the tests from their end."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


def ended(threads: list[threading.Thread]) -> bool:
    """Whether all come to their end."""
    for thread in threads:
        thread.join(SECONDS)
    return not any(thread.is_alive() for thread in threads)


def free(turns: Turns) -> bool:
    """Whether a turn can be had."""

    def work() -> None:
        with turns.turn():
            pass

    return ended(side_by_side(work))


def test_as_many_at_a_time_as_there_are_and_no_more() -> None:
    turns, lock, both = Turns(2), threading.Lock(), threading.Barrier(2)
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for index in range(20):
            with turns.turn():
                with lock:
                    inside += 1
                    most = max(most, inside)
                if index == 0:
                    both.wait(SECONDS)  # two are inside, or this is an error
                time.sleep(1e-4)
                with lock:
                    inside -= 1
                    done += 1

    assert ended(side_by_side(*[work] * 4))
    assert (most, done, inside) == (2, 80, 0)


def test_nobody_comes_twice_while_another_waits() -> None:
    turns, order = Turns(1), []
    held, waiting = threading.Event(), threading.Event()

    def first() -> None:
        with turns.turn():
            order.append("first")
            held.set()
            waiting.wait(SECONDS)
        with turns.turn():
            order.append("first again")

    def second() -> None:
        held.wait(SECONDS)
        with turns.turn():
            order.append("second")

    threads, end = side_by_side(first, second), time.monotonic() + SECONDS
    while not turns.waiting and time.monotonic() < end:
        time.sleep(1e-4)
    waiting.set()
    assert ended(threads)
    assert order == ["first", "second", "first again"]


def test_a_turn_is_handed_on_after_an_error() -> None:
    turns = Turns(1)
    for _ in range(2):
        try:
            with turns.turn():
                raise ValueError
        except ValueError:
            pass
    assert free(turns)


@pytest.mark.parametrize("handed", [False, True])
def test_who_is_interrupted_leaves_the_turn_to_others(handed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(1)
    with contextlib.ExitStack() as held:
        held.enter_context(turns.turn())

        def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
            if handed:  # just before
                held.close()
                assert event.is_set()
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(threading.Event, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt), turns.turn():
                raise AssertionError("it had no turn")
        assert turns.waiting == 0
    assert free(turns)
    assert free(turns)
