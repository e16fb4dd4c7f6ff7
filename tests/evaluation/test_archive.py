"""The record of a run as a table of Parquet, and back."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.evaluation import CaseResult, class_scores, object_sums, record_run, write_metrics
from ldseg.evaluation.amounts import Amounts
from ldseg.evaluation.archive import CaseTable, cases_of_rows, rows_of
from ldseg.evaluation.compare import read_run
from ldseg.outputs import Outputs

parquet = pytest.importorskip("pyarrow.parquet", reason="the table needs pyarrow: pip install 'ldseg[archive]'")
fsspec = pytest.importorskip("fsspec", reason="object stores need fsspec: pip install 'ldseg[archive]'")

CLASSES = ("background", "gland, 'healthy'", "tumour")
FACTS = {"config": {"Data": {"Cases": ["*"]}, "Sampler": {"Seed": 3}}, "seconds": 1.5, "problems": ["a line"]}


def several(folder: Path) -> list[CaseResult]:
    """Every kind of row: scored, with objects, without a label, skipped; figures that do not exist; names of any kind."""
    rng = np.random.default_rng(0)
    mask, label = rng.integers(0, 3, (2, 12, 12))
    sums = object_sums(mask, label)
    nothing = object_sums(np.zeros((4, 4), int), np.zeros((4, 4), int))
    return [
        CaseResult(name="é 10", mask=folder / "é 10_segmentation.png", seconds=0.25,
                   scores=class_scores(mask, label, 3, tolerance=2.0)),
        CaseResult(name="b2", mask=folder / "b2.png", sums=sums, objects=sums.scores, unit="mm", entropy=0.1, unfamiliar=2.0,
                   warnings=("one", "two"), scores=class_scores(mask * 0, label * 0, 3, tolerance=2.0),
                   message="b2: not written as csv"),
        CaseResult(name="b10", mask=Path("/else/where.png"), sums=nothing, objects=nothing.scores, predicted_dice=0.5),
        CaseResult(name="plain", mask=folder / "p.png", amounts=Amounts(counts=(3, 0), sizes=(1.5, 0.0), unit="mm²")),
        CaseResult(name="bad", status="skipped", message="bad: no image", seconds=0.1),
    ]  # fmt: skip


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # NaN is NaN


@pytest.mark.parametrize("folder", [None, Path("memory:/bucket/test-archive/out")])
def test_what_goes_in_comes_out(tmp_path: Path, folder: Path | None) -> None:
    folder = folder or tmp_path / "out"
    table = CaseTable(folder)
    assert not table.exists
    with pytest.raises(DataError, match="expected the table of a run"):
        table.record()
    cases = several(folder)
    table.append((), CLASSES, FACTS)
    table.append(cases[3:], CLASSES, FACTS)
    table.append(cases[:3], CLASSES, {**FACTS, "seconds": 9.0})

    again = CaseTable(folder)
    assert again.states() == {case.name: case.status for case in cases}
    record = again.record()
    assert [case.name for case in record.cases] == ["b2", "b10", "bad", "plain", "é 10"]
    assert record.facts["seconds"] == 9.0
    # The same as by way of metrics.json, of a folder of its own.
    plainly = tmp_path / "json"
    write_metrics(
        plainly, record_run([case for row in record.cases for case in cases if case.name == row.name], CLASSES, FACTS)
    )
    expected = read_run(plainly)
    there = {"é 10": "é 10_segmentation.png", "b2": "b2.png", "plain": "p.png"}
    for found, wanted in zip(record.cases, expected.cases, strict=True):
        assert str(found.mask) == there.get(found.name, str(wanted.mask))
        assert same({**vars(found), "mask": None}, {**vars(wanted), "mask": None})
    assert same(record.summary, expected.summary)


def test_every_field_of_a_case_has_a_column(tmp_path: Path) -> None:
    rows = rows_of(several(tmp_path), CLASSES, tmp_path)
    assert rows.column_names == list(several(tmp_path)[0].to_dict(CLASSES, tmp_path))
    (found,) = cases_of_rows(rows.slice(2, 1), CLASSES)
    assert math.isnan(found.objects["object_f1"])
    assert not found.scores


def test_rows_that_are_done_again_are_taken_out(tmp_path: Path) -> None:
    table, cases = CaseTable(tmp_path), several(tmp_path)
    for part in ((), cases[:2], cases[2:3], cases[3:]):
        table.append(part, CLASSES, FACTS)
    table.forget({"b10", "bad"})
    assert sorted(table.states()) == ["b2", "plain", "é 10"]
    assert table.facts() == (CLASSES, FACTS)
    table.append([cases[4]], CLASSES, FACTS)
    assert len(CaseTable(tmp_path).record().cases) == 4
    assert len(parquet.read_table(Outputs(tmp_path).cases_table)) == 4  # as others read it
    CaseTable(tmp_path).append([cases[4]], CLASSES, FACTS)
    with pytest.raises(DataError, match="each case once, found several times: bad"):
        CaseTable(tmp_path).record()


def test_what_is_no_table_of_ours(tmp_path: Path) -> None:
    table = CaseTable(tmp_path)
    table.append(several(tmp_path), CLASSES, FACTS)
    part = table.path / "part-000000.parquet"
    parquet.write_table(parquet.read_table(part).replace_schema_metadata({}), part)
    with pytest.raises(DataError, match=r"part-000000.parquet: expected the cases of a run of LDSeg in format 1"):
        table.record()
    part.write_bytes(b"PAR1 no table")
    with pytest.raises(DataError, match="not a table of Parquet"):
        table.states()
