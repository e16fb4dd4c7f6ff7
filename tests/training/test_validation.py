"""What a validation may take."""

import logging
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ldseg.group import Group
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
    told: list[tuple[int, int]] = []
    for _ in range(2):
        validator(trainer, lambda *given: told.append(given))
    assert [len(each) for each in seen] == expected
    assert told == [(done, of) for of, last in zip((40, expected[0]), expected, strict=True) for done in range(last + 1)]
    assert seen[0] == seen[1] and seen[0] != names[: len(seen[0])]
    again = validation.Validator(plan, [SimpleNamespace(name=name) for name in names], reached=expected[0])  # type: ignore[misc]
    again(trainer)
    assert seen[2] == seen[0]  # a training that goes on
    warned = [line for line in caplog.messages if "validation is slow" in line]
    assert warned == ([f"validation is slow: on {expected[0]} of 40 cases from now on"] if expected[0] < 40 else [])


def test_what_validates_is_compiled_once_and_before(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(validation, "Segmenter", lambda _: None)
    monkeypatch.setattr(validation.Validator, "predictor", SimpleNamespace(warm_up=calls.append))
    plan: Any = SimpleNamespace(minutes=5.0, seed=0, batch_size=4, spec=None, several_devices=False)
    validator = validation.Validator(plan, [])
    for _ in range(2):
        validator.warm_up()
    assert calls == [4]


def test_processes_of_other_speed_go_on_with_the_first_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many they are tells which, also to a training that goes on."""

    class Two(Group):
        count = 2

        def gather(self, what: str, value: Any) -> list[Any]:
            return [value, [*value[:9], *[{}] * (len(value) - 9)]]

    monkeypatch.setattr(validation, "rows_of", lambda cases, *_: iter([{"name": case.name} for case in cases]))
    monkeypatch.setattr(validation, "validation_scores", lambda *_: ({}, None, None))
    monkeypatch.setattr(validation, "Segmenter", lambda _: None)
    monkeypatch.setattr(validation.Validator, "predictor", None)
    spec = SimpleNamespace(strides=(8, 8))
    plan: Any = SimpleNamespace(minutes=5.0, seed=0, batch_size=4, preprocessing=None, spec=spec, several_devices=False)
    cases: Any = [SimpleNamespace(name=f"{index:02d}") for index in range(40)]
    validator = validation.Validator(plan, cases, Two())
    trainer: Any = SimpleNamespace(copy_average=lambda _: None)
    before = list(validator.cases)
    validator(trainer)
    assert validator.cases == before[:19]
    assert validation.Validator(plan, cases, reached=19).cases == validator.cases
    assert len(validation.Validator(plan, cases, reached=0).cases) == validation.FEWEST
