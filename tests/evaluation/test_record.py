"""The record of a run: to JSON's own types and back."""

import json
from pathlib import Path

import numpy as np
import pytest

from ldseg.base.text import json_text
from ldseg.evaluation import CaseResult, ObjectSums, RunRecord, record_run
from ldseg.evaluation.compare import read_run
from ldseg.evaluation.report import write_metrics

NAMES = ("background", "gland", "stroma")
SUMS = ObjectSums(hits=1, predicted=1, true=2, predicted_area=20, true_area=40, predicted_dice=16, true_dice=16)


def a_record(folder: Path) -> RunRecord:
    scores = {"dice": (0.9, 0.5, np.nan), "hd95": (np.nan, 3.5, np.nan)}
    cases = [
        CaseResult(
            name="a", mask=folder / "a.png", scores=scores, objects=SUMS.scores, sums=SUMS, seconds=1.5, entropy=0.25
        ),
        CaseResult(name="b", mask=Path("/elsewhere/b.png"), seconds=0.5, unit="mm"),
        CaseResult(name="c", status="skipped", message="damaged"),
    ]
    return record_run(cases, NAMES, {"seconds": np.float32(2.0), "weights": Path("w"), "config": {"Data": {"Size": (1, 2)}}})


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    record = a_record(tmp_path)
    path, _ = write_metrics(tmp_path, record)
    found = read_run(tmp_path)
    assert json_text(found.to_dict(tmp_path)) == path.read_text("utf-8")
    assert found.facts == record.facts == {"seconds": 2.0, "weights": "w", "config": {"Data": {"Size": [1, 2]}}}
    assert [case.name for case in found.segmented] == ["a", "b"]
    assert found.cases[0].mask == Path("a.png") and found.cases[1].mask == Path("/elsewhere/b.png")
    assert found.cases[0].sums == SUMS
    assert found.cases[0].foreground("dice") == 0.5 and np.isnan(found.cases[2].foreground("dice"))
    np.testing.assert_equal(found.summary.foreground["hd95"].mean, 3.5)
    np.testing.assert_equal(found.summary.classes["dice"]["stroma"].std, np.nan)


def test_the_keys_of_the_file_stay(tmp_path: Path) -> None:
    """Files are read by earlier and later versions, and by people's own programs."""
    found = json.loads(json_text(a_record(tmp_path).to_dict(tmp_path)))
    assert list(found) == ["format", "classes", "run", "summary", "cases"]
    metrics = ["dice", "iou", "precision", "recall", "hd95", "assd", "surface_dice"]
    summary = ["segmented", "skipped", "scored", "unit", "bootstrap", *metrics, "objects", "objects_pooled"]
    assert list(found["summary"]) == summary
    assert list(found["summary"]["dice"]) == ["classes", "foreground"]
    assert list(found["summary"]["dice"]["foreground"]) == ["mean", "std", "interval", "median", "n", "worst"]
    assert list(found["summary"]["objects_pooled"]["object_f1"]) == ["value", "interval", "n"]
    first = [
        "name",
        "status",
        "message",
        "mask",
        "seconds",
        "unit",
        "entropy",
        "predicted_dice",
        "unfamiliar",
        "warnings",
        "amounts",
        *metrics,
        "objects",
        "object_sums",
    ]
    assert list(found["cases"][0]) == first
    assert found["cases"][0]["dice"] == {"background": 0.9, "gland": 0.5, "stroma": None}


@pytest.mark.parametrize("missing", ["summary", "cases", "run"])
def test_what_is_no_record_is_refused(missing: str, tmp_path: Path) -> None:
    values = a_record(tmp_path).to_dict(tmp_path)
    del values[missing]
    with pytest.raises(KeyError, match=missing):
        RunRecord.from_dict(values)
