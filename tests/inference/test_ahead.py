import threading
import time
from collections.abc import Iterator

import pytest

from ldseg.inference.ahead import ahead


def test_the_same_items_in_their_order() -> None:
    assert list(ahead(range(20))) == list(range(20))
    assert list(ahead([])) == []


def test_no_further_ahead_than_told() -> None:
    made = []

    def items() -> Iterator[int]:
        for index in range(10):
            made.append(index)
            yield index

    found = ahead(items(), 2)
    assert next(found) == 0
    time.sleep(0.3)
    assert made == [0, 1, 2, 3]  # one was taken, two are ready, one waits to be put there
    assert list(found) == list(range(1, 10))


def test_what_goes_wrong_is_raised_where_the_item_is_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="gone"):
        next(found)


def test_who_stops_asking_stops_the_thread() -> None:
    before = threading.active_count()
    found = ahead(iter(int, 1))
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_what_follows_a_large_item_is_not_begun_before_it_is_asked_for() -> None:
    made = []

    def items() -> Iterator[int]:
        for index in range(6):
            made.append(index)
            yield index

    found = ahead(items(), 3, patient=lambda item: item == 2)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.2)
    assert made == [0, 1, 2]
    assert list(found) == [3, 4, 5]
    stuck = ahead(items(), 3, patient=lambda item: True)
    assert next(stuck) == 0
    stuck.close()  # type: ignore[attr-defined]
