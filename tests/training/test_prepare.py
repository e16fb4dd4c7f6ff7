"""From settings and images to a plan, and from a plan to weights."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from ldseg.data.cases import find_cases
from ldseg.errors import LDSegError
from ldseg.training import look, prepare
from ldseg.training.fit import train
from ldseg.training.plan import Plan
from ldseg.training.prepare import plan_of, sample_of, train_config
from ldseg.weights import read_description

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LOSSES = (
    ({}, [3.1731606, 3.1486483, 3.1800609, 3.1219609]),
    (
        {
            "Training_Augmentation": "anatomy", "Training_WarmUp": 3, "Parameters_Epoch": 6, "Training_SamplesPerCase": 2,
        },
        [3.1371624, 3.1124482, 3.1076872, 3.0765996, 3.113214, 3.0906208],
    ),
)  # fmt: skip
"""Of trainings with version 0.2's code before a plan stood between settings and training (commit 478fb71)."""


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.mark.parametrize(("changes", "expected"), LOSSES)
def test_settings_of_before_train_as_before(changes: dict[str, Any], expected: list[float], tmp_path: Path) -> None:
    result = train_config(tiny.settings(tiny.phantoms(tmp_path), tmp_path / "w", **changes))
    np.testing.assert_allclose([row["loss"] for row in result.history], expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"Model_Start": "Colom"}, "Colom: expected a folder"),
        ({"Model_Start": "no/where"}, "no/where/segmenter.weights.h5: no such file"),
        ({"Training_Validation": "nobody_*"}, "names 0 of 6 cases"),
        ({"Training_Folds": 20}, "expected at most as many folds"),
        ({"Model_Weights": "/dev/null"}, "expected a folder that can be written, see .Model. Weights: a file is there"),
    ],
)
def test_what_is_wrong_is_told_before_keras_is_imported(
    changes: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_make_ready", lambda *_: pytest.fail("Keras was imported"))
    with pytest.raises(LDSegError, match=told):
        train_config(tiny.settings(tiny.phantoms(tmp_path), tmp_path / "w", **changes))


def test_a_plan_can_be_written_down_and_trained_without_settings(tmp_path: Path) -> None:
    cases = find_cases(tiny.phantoms(tmp_path) / "Set").cases
    names = [case.name for case in cases]
    split = {
        "version": 1, "training": {name: [name] for name in names[:4]}, "validation": {name: [name] for name in names[4:]},
    }  # fmt: skip
    plan = Plan(
        spec=tiny.spec(), preprocessing=tiny.preprocessing(), patch=tiny.SIZE, augmentation="flips", split=split,
        batch_size=2, epochs=2, validate_every=2, steps=2,
    )  # fmt: skip
    seen: list[int] = []
    result = train(plan, cases, tmp_path / "w", watch=lambda result: seen.append(len(result.history)))
    assert [row["updates"] for row in result.history] == [2, 4]
    assert seen == [2]
    assert read_description(result.folder).spec == plan.spec
    # It goes on with the split of its beginning, not with another.
    other = {**split, "training": {name: [name] for name in names[2:]}, "validation": {name: [name] for name in names[:2]}}
    again = train(dataclasses.replace(plan, epochs=4, split=other), cases, result.folder)
    assert [row["updates"] for row in again.history] == [2, 4, 6, 8]
    assert read_description(result.folder).split == split


def test_the_plan_of_settings_trains_as_they_do(tmp_path: Path) -> None:
    config = tiny.settings(tiny.phantoms(tmp_path), tmp_path / "w")
    prepared = plan_of(config)
    assert prepared.problems == ()
    assert len(prepared.cases) == 6
    assert not (tmp_path / "w").exists()  # planning writes nothing
    result = train(prepared.plan, prepared.cases, tmp_path / "w")
    np.testing.assert_allclose([row["loss"] for row in result.history], LOSSES[0][1], rtol=2e-6)


def test_tiles_at_a_finer_resolution_train_and_segment(tmp_path: Path) -> None:
    """A case on a grid of 64 x 77, seen in parts of 32 x 32, some of them around an object."""
    finer = {"Data_Fit": "aspect", "Data_Zoom": 2, "Training_Focus": 0.5, "Training_SamplesPerCase": "auto"}
    config = tiny.settings(tiny.phantoms(tmp_path), tmp_path / "w", Parameters_Epoch=1, Training_ValidateEvery=1, **finer)
    prepared = plan_of(config)
    assert prepared.plan.samples_per_case == 5
    assert len(prepared.plan.shown[1]) == 6
    result = train(prepared.plan, prepared.cases, tmp_path / "w")
    assert 0 <= result.history[-1]["val_dice"] <= 1
    description = read_description(result.folder)
    assert description.preprocessing.zoom == 2
    chosen = {entry["setting"]: entry["why"] for entry in description.plan["chosen"]}
    assert "5 times as large" in chosen["Training.SamplesPerCase"]


def test_of_very_many_cases_a_sample_is_read_and_the_others_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad case outside of the sample is a line, whether it is trained or validated on."""
    folder = tiny.phantoms(tmp_path, 12)
    monkeypatch.setattr(look, "MOST_CASES", 6)
    config = tiny.settings(folder, tmp_path / "w", Parameters_Epoch=1, Training_ValidateEvery=1, Training_Cache=0)
    cases = find_cases(folder / "Set").cases
    read = {case.name for case in sample_of(cases, config.training.seed)}
    assert len(read) == 6
    split = plan_of(config).plan.split
    parts = [
        [case for case in cases if case.name in {name for names in split[part].values() for name in names}]
        for part in ("training", "validation")
    ]
    assert sum(map(len, parts)) == 12  # all of them
    bad = [next(case for case in part if case.name not in read) for part in parts]
    for case in bad:
        case.image.write_bytes(b"no picture")
    prepared = plan_of(config)
    assert prepared.problems == () and prepared.plan.sampled and prepared.plan.split == split
    result = train_config(config)
    assert len(result.problems) == 2
    for case in bad:
        assert sum(str(case.image) in line for line in result.problems) == 1
        assert sum(case.name in line for line in caplog.messages if "left out" in line) == 1
    assert result.history[-1]["val_dice"] >= 0
