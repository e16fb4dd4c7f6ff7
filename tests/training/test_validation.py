"""What a validation may take."""

import logging
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ldseg.training import validation


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, [40, 40]), (1.2, [26, 26]), (60.0, [8, 8])])
def test_a_slow_validation_goes_on_with_fewer_cases(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seconds: float, expected: Sequence[int]
) -> None:
    """Five minutes allow 30 seconds for each; the cases are a sample by chance, the same in all that follow."""
    now, seen = [0.0], []

    def rows_of(cases: Sequence[Any], *_: Any) -> Iterator[dict[str, Any]]:
        for case in cases:
            now[0] += seconds
            yield {"name": case.name}

    def scores(rows: Sequence[dict[str, Any]], *_: Any) -> tuple[Any, ...]:
        seen.append([row["name"] for row in rows])
        return {}, None, None

    monkeypatch.setattr(validation, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(validation, "rows_of", rows_of)
    monkeypatch.setattr(validation, "validation_scores", scores)
    monkeypatch.setattr(validation, "Segmenter", lambda _: None)
    monkeypatch.setattr(validation.Validator, "predictor", None)
    plan: Any = SimpleNamespace(
        minutes=5.0, seed=0, batch_size=4, preprocessing=None, spec=SimpleNamespace(strides=(8, 8)), several_devices=False
    )
    caplog.set_level(logging.INFO)
    names = [f"{index:02d}" for index in range(40)]
    validator = validation.Validator(plan, [SimpleNamespace(name=name) for name in names])  # type: ignore[misc]
    trainer: Any = SimpleNamespace(copy_average=lambda _: None)
    for _ in range(2):
        validator(trainer)
    assert [len(each) for each in seen] == expected
    assert seen[0] == seen[1] and seen[0] != names[: len(seen[0])]
    again = validation.Validator(plan, [SimpleNamespace(name=name) for name in names], reached=expected[0])  # type: ignore[misc]
    again(trainer)
    assert seen[2] == seen[0]  # a training that goes on
    told = [line for line in caplog.messages if "validation is slow" in line]
    assert told == ([f"validation is slow: on {expected[0]} of 40 cases from now on"] if expected[0] < 40 else [])
