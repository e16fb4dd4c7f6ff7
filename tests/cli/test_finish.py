"""What is done with segmented cases side by side."""

import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ldseg.cli import segment
from ldseg.cli.finish import finish
from ldseg.config import Config
from ldseg.errors import UnwrittenError

BATCH, CASES = 3, 12


def run(axes: str, monkeypatch: pytest.MonkeyPatch, finish: Any) -> tuple[Iterator[Any], list[str]]:
    """The results of so many cases, and the names of those that were segmented so far."""
    config = Config().with_values({"Output.Diffusion": 0, "Parameters.BatchSize": BATCH})
    task = SimpleNamespace(
        config=config, preprocessing=SimpleNamespace(axes=axes), description=SimpleNamespace(familiarity=None)
    )
    this: Any = SimpleNamespace(task=task, predictor=None, gather=lambda finished: finished)
    begun: list[str] = []

    def segmented(_: Any, cases: Sequence[str], *__: Any, **___: Any) -> Iterator[Any]:
        for name in cases:
            begun.append(name)
            yield SimpleNamespace(case=SimpleNamespace(image=name), name=name, problem="no mask")

    monkeypatch.setattr(segment, "segment_cases", segmented)
    monkeypatch.setattr(segment, "finish", lambda this, item, trace: finish(item.name))
    monkeypatch.setattr(segment, "cores", lambda: 2)
    cases: Any = [f"{index:02d}" for index in range(CASES)]
    return segment.results_of(this, cases, CASES), begun


def test_a_slow_case_keeps_its_place_and_the_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are finished by several threads: the second is done before the first, and told of after it."""
    second = threading.Event()

    def finish(name: str) -> str:
        if name == "01":
            second.set()
        assert name != "00" or second.wait(60), "one after the other"
        return name

    results, begun = run("YX", monkeypatch, finish)
    found = []
    for count, name in enumerate(results):
        found.append(name)
        assert len(begun) <= min(count + BATCH + 1, CASES)
    assert found == begun == [f"{index:02d}" for index in range(CASES)]


def test_volumes_are_finished_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib, which draws them, is for one alone."""
    second = threading.Event()

    def finish(name: str) -> bool:
        if name == "00":
            return second.wait(0.3)
        second.set()
        return False

    results, _ = run("ZYX", monkeypatch, finish)
    assert not any(results)


def test_what_cannot_be_foreseen_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of one thread is raised where the results are taken, after those of the cases before it."""

    def finish(name: str) -> str:
        if name == "02":
            raise RuntimeError("broken")
        return name

    results, begun = run("YX", monkeypatch, finish)
    assert [next(results), next(results)] == ["00", "01"]
    with pytest.raises(RuntimeError, match="broken"):
        next(results)
    assert len(begun) <= 2 + BATCH + 1


def test_a_format_that_is_missing_is_told_where_what_follows_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a case whose pictures cannot be written, the first fault may be the one to know."""

    def fail(*_: Any) -> None:
        raise UnwrittenError("a_overlay.png: cannot be written: No space left on device")

    results = SimpleNamespace(write=lambda *_: ({"mask": "a.png"}, ["a: not written as geojson: odd"]), unwritten=set())
    config = Config().with_values({"Output.Overlay": True})
    this: Any = SimpleNamespace(
        task=SimpleNamespace(config=config, preprocessing=None),
        results=results,
        pictures=SimpleNamespace(draw_overlay=fail),
    )
    case = SimpleNamespace(name="a", image="a.png")
    item: Any = SimpleNamespace(case=case, problem="", loaded=object(), mask=None, instances=None, seconds=0.0)
    found = finish(this, item, None)
    assert found.result.status == "skipped" and results.unwritten == {"a"}
    assert "No space left on device" in found.result.message and "a: not written as geojson: odd" in found.result.message
