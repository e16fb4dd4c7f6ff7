"""Overlap metrics against values counted by hand, the summary over cases, and the files."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.evaluation.metrics import CaseResult, confusion, dice, iou, summarise, write_metrics

NAMES = ("background", "gland")


def test_hand_counted_case() -> None:
    true = np.array([[0, 0, 1], [1, 1, 1]])
    pred = np.array([[0, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(confusion(pred, true, 2), [[1, 1], [2, 2]])
    np.testing.assert_allclose(dice(pred, true, 2), [2 * 1 / (3 + 2), 2 * 2 / (3 + 4)])
    np.testing.assert_allclose(iou(pred, true, 2), [1 / 4, 2 / 5])


@pytest.mark.parametrize("shape", [(40,), (7, 9), (4, 5, 6), (2, 3, 4, 5)])
def test_any_rank_agrees_with_sets(shape: tuple[int, ...], classes: int = 4) -> None:
    rng = np.random.default_rng(1)
    pred, true = rng.integers(0, classes, shape), rng.integers(0, classes, shape)
    d, j = dice(pred, true, classes), iou(pred, true, classes)
    assert d.shape == j.shape == (classes,) and d.dtype == j.dtype == np.float64
    for k in range(classes):
        p, t = set(np.flatnonzero(pred == k)), set(np.flatnonzero(true == k))
        assert d[k] == pytest.approx(2 * len(p & t) / (len(p) + len(t)))
        assert j[k] == pytest.approx(len(p & t) / len(p | t))
    np.testing.assert_allclose(d, 2 * j / (1 + j))


def test_absent_in_both_is_nan_and_absent_in_one_is_zero() -> None:
    pred, true = np.zeros((4, 4), np.uint8), np.full((4, 4), 2, np.int32)
    np.testing.assert_array_equal(dice(pred, true, 4), [0, np.nan, 0, np.nan])
    np.testing.assert_array_equal(iou(pred, true, 4), [0, np.nan, 0, np.nan])
    assert np.isnan(dice(np.zeros((0, 3), int), np.zeros((0, 3), int), 2)).all()


def test_bool_and_small_integers_do_not_overflow() -> None:
    mask = np.ones((300, 300), dtype=bool)
    np.testing.assert_array_equal(dice(mask, mask.astype(np.uint8), 2), [np.nan, 1.0])
    high = np.full((3, 3), 200, np.uint8)
    assert dice(high, high, 201)[200] == 1.0


@pytest.mark.parametrize(
    ("pred", "true", "words"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"\(2, 3\) and \(3, 2\)"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "prediction.*float64"),
        (
            np.zeros((2, 2), int),
            np.array([[0, 255], [7, 0]]),
            r"label: expected class indices 0\.\.1, got 7, 255",
        ),
        (np.full((2, 2), -1), np.zeros((2, 2), int), "got -1"),
    ],
)
def test_bad_arrays_are_named(pred: np.ndarray, true: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        dice(pred, true, 2)


def _results(folder: Path) -> list[CaseResult]:
    return [
        CaseResult(name="a", mask=folder / "a.png", dice=(0.9, 0.8), iou=(0.8, 0.7), seconds=0.5),
        CaseResult(
            name="b", mask=Path("/elsewhere/b.png"), dice=(np.nan, 0.6), iou=(np.nan, 0.4), seconds=1.0
        ),
        CaseResult(name="c", mask=folder / "c.png", seconds=2.0),
        CaseResult(name="d, é", status="skipped", message="truncated file"),
    ]


def test_summary(tmp_path: Path) -> None:
    summary = summarise(_results(tmp_path), NAMES)
    assert (summary["segmented"], summary["skipped"], summary["scored"]) == (3, 1, 2)
    gland = summary["dice"]["classes"]["gland"]
    assert gland["mean"] == pytest.approx(0.7) and gland["median"] == pytest.approx(0.7) and gland["n"] == 2
    assert gland["std"] == pytest.approx(np.sqrt(2 * 0.1**2))  # ddof = 1
    assert summary["dice"]["foreground"] == gland
    background = summary["iou"]["classes"]["background"]
    assert background["n"] == 1 and background["mean"] == 0.8 and np.isnan(background["std"])


def test_foreground_of_a_case_is_the_mean_of_the_classes_it_has() -> None:
    rows = [
        CaseResult(name="a", dice=(1.0, 0.5, 0.7), iou=(1.0, 0.5, 0.7)),
        CaseResult(name="b", dice=(1.0, np.nan, 0.2), iou=(1.0, np.nan, 0.2)),
        CaseResult(name="c", dice=(1.0, np.nan, np.nan), iou=(1.0, np.nan, np.nan)),
    ]
    foreground = summarise(rows, ("void", "x", "y"))["dice"]["foreground"]
    assert foreground["n"] == 2 and foreground["mean"] == pytest.approx((0.6 + 0.2) / 2)


def test_summary_of_nothing_is_nan() -> None:
    summary = summarise([], NAMES)
    assert summary["segmented"] == 0
    assert summary["dice"]["foreground"]["n"] == 0 and np.isnan(summary["dice"]["foreground"]["mean"])


def test_wrong_number_of_values_names_the_case() -> None:
    with pytest.raises(DataError, match="case a: expected 3 values"):
        summarise([CaseResult(name="a", dice=(1.0, 0.5))], ("x", "y", "z"))


def test_unknown_status() -> None:
    with pytest.raises(ValueError, match="'fine'"):
        CaseResult(name="a", status="fine")


def test_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    run = {
        "seed": np.int64(3),
        "weights": Path("weights/GlaS"),
        "rate": np.nan,
        "size": (2, 3),
        "ab": np.ones(2),
    }
    written = write_metrics(folder, _results(folder), NAMES, run)
    assert written == (folder / "metrics.json", folder / "metrics.csv")
    assert sorted(p.name for p in folder.iterdir()) == [
        "metrics.csv",
        "metrics.json",
    ]  # nothing temporary left

    text = written[0].read_text(encoding="utf-8")
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["run"] == {
        "seed": 3,
        "weights": "weights/GlaS",
        "rate": None,
        "size": [2, 3],
        "ab": [1.0, 1.0],
    }
    assert document["summary"]["dice"]["classes"]["gland"]["mean"] == pytest.approx(0.7)
    assert document["summary"]["dice"]["classes"]["background"]["std"] is None
    a, b, c, d = document["cases"]
    assert a["mask"] == "a.png" and b["mask"] == "/elsewhere/b.png"
    assert b["dice"] == {"background": None, "gland": 0.6} and c["dice"] is None
    assert d["status"] == "skipped" and d["message"] == "truncated file" and d["seconds"] is None

    with written[1].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["case"] for r in rows] == ["a", "b", "c", "d, é"]
    assert float(rows[0]["dice_gland"]) == 0.8 and float(rows[1]["iou_foreground"]) == 0.4
    assert rows[1]["dice_background"] == "" and rows[2]["dice_gland"] == "" and rows[3]["seconds"] == ""


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_metrics(tmp_path, [], NAMES, {"first": True})
    before = (tmp_path / "metrics.json").read_text()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(DataError, match=r"metrics\.json.*Permission denied"):
        write_metrics(tmp_path, [], NAMES, {"first": False})
    assert (tmp_path / "metrics.json").read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.csv", "metrics.json"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="out"):
        write_metrics(tmp_path / "out", [], NAMES, {})


def test_no_keras_is_imported() -> None:
    code = "import sys, ldseg.evaluation.metrics as m; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
