"""How far work is, where somebody looks and where nobody does."""

import logging
from types import SimpleNamespace

import pytest

from ldseg.base import bars
from ldseg.base.bars import along, is_screen


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [0.0]
    monkeypatch.setattr(bars, "time", SimpleNamespace(monotonic=lambda: time[0]))
    return time


def slow(now: list[float], count: int, seconds: float) -> list[int]:
    found = []
    for item in along(range(count), count, "checking"):
        now[0] += seconds
        found.append(item)
    return found


def test_no_terminal_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_screen()
    for stream in (None, SimpleNamespace(fileno=lambda: -1)):
        monkeypatch.setattr("sys.stderr", stream)
        assert not is_screen()


@pytest.mark.parametrize("width", [0, 80])
def test_a_terminal_without_a_width_shows_nothing_that_is_written_over(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", SimpleNamespace(fileno=lambda: 2))
    monkeypatch.setattr(bars.os, "get_terminal_size", lambda _: SimpleNamespace(columns=width))
    assert is_screen() == (width > 0)


def test_a_log_has_a_line_now_and_then(
    now: list[float], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    assert slow(now, 10, 11.0) == list(range(10))
    assert caplog.messages == [f"checking: case {count} of 10" for count in (3, 6, 9)]
    assert slow(now, 10, 0.1) == list(range(10))
    assert len(caplog.messages) == 3
    assert capsys.readouterr().err == ""


def test_a_screen_has_a_bar_that_goes_with_the_work(
    now: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars, "is_screen", lambda: True)
    assert slow(now, 10, 0.01) == list(range(10))
    assert capsys.readouterr().err == ""
    assert slow(now, 4, 2.0) == list(range(4))
    shown = capsys.readouterr().err
    assert "checking:  25%" in shown
    assert shown.endswith("\r")
