"""Plans and cases, told from one process to another."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny

from ldseg.data.cases import Case
from ldseg.models import PRESETS
from ldseg.training.choices import Reason
from ldseg.training.plan import Plan
from ldseg.training.told import heard, told


def a_plan(**changes: object) -> Plan:
    values: dict[str, object] = {
        "spec": tiny.spec(), "preprocessing": tiny.preprocessing(label_map=((255, 1),)), "patch": (32, 32),
        "augmentation": "flips", "split": {"training": {"g": ["a", "ü"]}, "validation": {}}, "shown": {1: ("a",)},
        "reasons": (Reason(name="Data.Size", value=(32, 32), why="so"), Reason(why="known")), "microns": None,
    }  # fmt: skip
    return Plan(**{**values, **changes})  # type: ignore[arg-type]


def test_a_plan_comes_as_it_was() -> None:
    plan = a_plan()
    again = heard(json.loads(json.dumps(told(plan))))
    assert again == plan
    np.testing.assert_array_equal(again.spec.schedule.alpha_bar, plan.spec.schedule.alpha_bar)
    cases = (Case(name="a", image=Path("/x/a.png"), label=None, group="g", channels=(Path("b"),)),)
    assert heard(json.loads(json.dumps(told(cases)))) == cases


def test_an_own_preset_is_that_of_each_process() -> None:
    own = PRESETS["lean"]
    plan = a_plan(spec=tiny.spec(preset=own))
    assert heard(json.loads(json.dumps(told(plan))), own).spec.own is own


def test_nothing_else_is_told() -> None:
    with pytest.raises(TypeError, match="object cannot be told"):
        told([object()])
