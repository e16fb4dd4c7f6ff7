import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.evaluation.metrics import CLASS_METRICS, OBJECT_METRICS
from ldseg.evaluation.objects import ObjectSums, pooled
from ldseg.evaluation.record import CaseResult, foreground
from ldseg.evaluation.report import mean_foreground, record_run, summarise, write_metrics

NAMES = ("background", "gland")


def _results(folder: Path) -> list[CaseResult]:
    return [
        CaseResult(
            name="a",
            mask=folder / "a.png",
            scores={"dice": (0.9, 0.8), "iou": (0.8, 0.7), "hd95": (np.nan, 3.0)},
            objects={"object_f1": 0.5, "object_hausdorff": np.nan},
            seconds=0.5,
        ),
        CaseResult(
            name="b",
            mask=Path("/elsewhere/b.png"),
            scores={"dice": (np.nan, 0.6), "iou": (np.nan, 0.4), "hd95": (np.nan, 5.0)},
            seconds=1.0,
        ),
        CaseResult(name="c", mask=folder / "c.png", seconds=2.0),
        CaseResult(name="d, é", status="skipped", message="truncated file"),
    ]


def test_summary(tmp_path: Path) -> None:
    summary = summarise(_results(tmp_path), NAMES)
    assert (summary.segmented, summary.skipped, summary.scored) == (3, 1, 2)
    gland = summary.classes["dice"]["gland"]
    assert gland.mean == pytest.approx(0.7) and gland.median == pytest.approx(0.7) and gland.n == 2
    assert gland.std == pytest.approx(np.sqrt(2 * 0.1**2))  # ddof = 1
    assert summary.foreground["dice"] == gland
    background = summary.classes["iou"]["background"]
    assert background.n == 1 and background.mean == 0.8 and np.isnan(background.std)
    assert np.isnan(background.interval).all()
    assert summary.objects["object_f1"].mean == 0.5 and summary.objects["object_hausdorff"].n == 0
    assert summary.unit == "pixels"


def test_foreground_of_a_case_is_the_mean_of_the_classes_it_has() -> None:
    rows = [
        CaseResult(name="a", scores={"dice": (1.0, 0.5, 0.7)}),
        CaseResult(name="b", scores={"dice": (1.0, np.nan, 0.2)}),
        CaseResult(name="c", scores={"dice": (1.0, np.nan, np.nan)}),
    ]
    assert [foreground(row.scores["dice"]) for row in rows] == pytest.approx([0.6, 0.2, np.nan], nan_ok=True)
    figures = summarise(rows, ("void", "x", "y")).foreground["dice"]
    assert figures.n == 2 and figures.mean == pytest.approx((0.6 + 0.2) / 2)
    assert np.isnan(foreground(None))


def test_one_mean_for_validation_and_report() -> None:
    """Where classes are absent, a mean over cases differs from one over all pairs of case and class."""
    rows = [(1.0, 0.5, 0.7), (1.0, np.nan, 0.2), (1.0, np.nan, np.nan)]
    summary = summarise([CaseResult(name=str(k), scores={"dice": row}) for k, row in enumerate(rows)], ("void", "x", "y"))
    assert mean_foreground(rows) == summary.foreground["dice"].mean == pytest.approx(0.4)
    assert mean_foreground(rows) != pytest.approx(np.nanmean([row[1:] for row in rows]))
    assert np.isnan(mean_foreground(rows[2:])) and np.isnan(mean_foreground([]))
    assert mean_foreground(np.array(rows)) == mean_foreground(rows)


def test_summary_of_nothing_is_nan() -> None:
    summary = summarise([], NAMES)
    assert summary.segmented == 0
    assert summary.foreground["dice"].n == 0 and np.isnan(summary.foreground["dice"].mean)
    assert summary.objects == summary.foreground["dice"].worst == {}
    assert set(CLASS_METRICS) == set(summary.foreground)


@pytest.mark.parametrize(("metric", "order"), [("dice", "bdacf"), ("hd95", "gefca")])
def test_the_worst_are_named(metric: str, order: str) -> None:
    """Of an overlap the smallest, of a distance the largest; at most five, equal ones in the order of the cases."""
    values = dict(zip("abcdefg", (0.3, 0.1, 0.4, 0.2, 0.6, 0.5, 0.7)))
    rows = [CaseResult(name=name, scores={metric: (np.nan, value)}) for name, value in values.items()]
    rows.append(CaseResult(name="none", scores={metric: (np.nan, np.nan)}))
    worst = summarise(rows, NAMES).foreground[metric].worst
    assert worst == {name: values[name] for name in order} and "".join(worst) == order


def test_mm_and_pixels_have_no_common_figure() -> None:
    scores = {"dice": (1.0, 0.5), "hd95": (np.nan, 3.0)}
    rows = [CaseResult(name=unit, scores=scores, unit=unit) for unit in ("mm", "pixels")]
    summary = summarise(rows, NAMES)
    assert summary.unit == "mm, pixels"
    assert summary.foreground["dice"].n == 2 and summary.foreground["hd95"].n == 0
    assert summarise(rows[:1], NAMES).foreground["hd95"].mean == 3


SUMS = [
    ObjectSums(hits=1, predicted=1, true=1, predicted_area=10, true_area=10, predicted_dice=9, true_dice=9),
    ObjectSums(hits=1, predicted=1, true=3, predicted_area=30, true_area=90, predicted_dice=15, true_dice=15,
               predicted_distance=60, true_distance=180),
]  # fmt: skip


def test_objects_are_pooled_beside_their_means() -> None:
    rows = [CaseResult(name=str(k), scores={}, objects=each.scores, sums=each) for k, each in enumerate(SUMS)]
    summary = summarise([*rows, CaseResult(name="none")], NAMES)
    assert summary.objects["object_f1"].mean == pytest.approx((1 + 0.5) / 2)
    found = summary.pooled
    assert found["object_f1"].value == pytest.approx(4 / 6)
    assert found["object_dice"].value == pytest.approx((24 / 40 + 24 / 100) / 2)
    assert found["object_hausdorff"].value == pytest.approx((60 / 40 + 180 / 100) / 2)
    assert tuple(each.value for each in found.values()) == pooled(SUMS)
    assert np.isnan(found["object_f1"].interval).all() and found["object_f1"].n == 2
    # Whole images are drawn: with three of each, the share of the one lies between none and all.
    low, high = summarise(rows * 3, NAMES).pooled["object_f1"].interval
    assert 0.5 <= low < 4 / 6 < high <= 1.0
    assert summarise([CaseResult(name="a")], NAMES).pooled == {}


def test_areas_of_mm_and_pixels_do_not_weigh_against_each_other() -> None:
    scores = {"dice": (1.0, 0.5)}
    rows = [CaseResult(name=u, scores=scores, unit=u, sums=each) for u, each in zip(("mm", "pixels"), SUMS)]
    found = summarise(rows, NAMES).pooled
    assert found["object_f1"].value == pytest.approx(4 / 6)
    assert np.isnan(found["object_dice"].value) and np.isnan(found["object_hausdorff"].value)


def test_sums_are_in_the_file(tmp_path: Path) -> None:
    path, _ = write_metrics(tmp_path, record_run([CaseResult(name="a", scores={}, sums=SUMS[1])], NAMES, {}))
    document = json.loads(path.read_text("utf-8"))
    assert ObjectSums(**document["cases"][0]["object_sums"]) == SUMS[1]
    assert document["summary"]["objects_pooled"]["object_f1"]["value"] == pytest.approx(0.5)


def test_wrong_number_of_values_names_the_case() -> None:
    with pytest.raises(DataError, match="case a: expected 3 values"):
        summarise([CaseResult(name="a", scores={"dice": (1.0, 0.5)})], ("x", "y", "z"))


def test_unknown_status() -> None:
    with pytest.raises(ValueError, match="'fine'"):
        CaseResult(name="a", status="fine")


def test_unknown_metrics() -> None:
    with pytest.raises(ValueError, match="case a: expected dice, iou, .*, got jaccard"):
        CaseResult(name="a", scores={"jaccard": (1.0, 1.0)})
    with pytest.raises(ValueError, match=f"expected {', '.join(OBJECT_METRICS)}, got dice"):
        CaseResult(name="a", objects={"dice": 1.0})


def test_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    run = {
        "seed": np.int64(3),
        "weights": Path("weights/GlaS"),
        "rate": np.nan,
        "size": (2, 3),
        "ab": np.ones(2),
    }
    written = write_metrics(folder, record_run(_results(folder), NAMES, run))
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
    assert a["objects"] == {"object_f1": 0.5, "object_hausdorff": None} and b["objects"] is None
    assert (a["unit"], c["unit"], a["hd95"], a["assd"]) == ("pixels", None, {"background": None, "gland": 3.0}, None)
    assert d["status"] == "skipped" and d["message"] == "truncated file" and d["seconds"] is None

    with written[1].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["case"] for r in rows] == ["a", "b", "c", "d, é"]
    assert float(rows[0]["dice_gland"]) == 0.8 and float(rows[1]["iou_foreground"]) == 0.4
    assert float(rows[1]["hd95_gland"]) == 5 and "hd95_background" not in rows[1]
    assert (rows[0]["object_f1"], rows[0]["object_hausdorff"], rows[1]["object_f1"]) == ("0.500000", "", "")
    assert "object_dice" not in rows[0] and rows[0]["unit"] == "pixels" and rows[2]["unit"] == ""
    assert rows[1]["dice_background"] == "" and rows[2]["dice_gland"] == "" and rows[3]["seconds"] == ""


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_metrics(tmp_path, record_run([], NAMES, {"first": True}))
    before = (tmp_path / "metrics.json").read_text("utf-8")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(DataError, match=r"metrics\.json.*Permission denied"):
        write_metrics(tmp_path, record_run([], NAMES, {"first": False}))
    assert (tmp_path / "metrics.json").read_text("utf-8") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.csv", "metrics.json"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="out"):
        write_metrics(tmp_path / "out", record_run([], NAMES, {}))
