"""Signals that end a training."""

import contextlib
import os
import signal
import threading

import pytest

from ldseg.training.stop import check_stopped, terminated_as_interrupted


def raised(number: int) -> None:
    """A signal, in a place that drops what its handler raises."""
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        threading.Event().wait(5)  # Python runs the handler here


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_not_lost_with_its_exception(number: int) -> None:
    usual = signal.getsignal(signal.SIGTERM)
    given = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    try:
        with terminated_as_interrupted():
            check_stopped()
            with terminated_as_interrupted():  # a fold in a training of several
                raised(number)
            with pytest.raises(KeyboardInterrupt):
                check_stopped()
        check_stopped()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is usual
    finally:
        signal.signal(signal.SIGINT, given)


def test_another_thread_changes_nothing() -> None:
    usual, seen = signal.getsignal(signal.SIGTERM), []

    def train() -> None:
        with terminated_as_interrupted():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [usual]
