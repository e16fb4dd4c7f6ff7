"""Whoever waits longest has the next turn."""

import threading
import time

from ldseg.inference.turns import Turns


def test_as_many_at_a_time_as_there_are_and_no_more() -> None:
    turns, lock = Turns(2), threading.Lock()
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(20):
            with turns.turn():
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(1e-4)
                with lock:
                    inside -= 1
                    done += 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done, inside) == (2, 100, 0)


def test_nobody_comes_twice_while_another_waits() -> None:
    turns, order = Turns(1), []
    held, waiting = threading.Event(), threading.Event()

    def first() -> None:
        with turns.turn():
            order.append("first")
            held.set()
            waiting.wait(10)
        with turns.turn():
            order.append("first again")

    def second() -> None:
        held.wait(10)
        with turns.turn():
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    while not turns.waiting:
        time.sleep(1e-4)
    waiting.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "second", "first again"]


def test_a_turn_is_handed_on_after_an_error() -> None:
    turns = Turns(1)
    for _ in range(2):
        try:
            with turns.turn():
                raise ValueError
        except ValueError:
            pass
    with turns.turn():
        assert turns.waiting == 0
