"""``ldseg plan``."""

from pathlib import Path

import pytest

from ldseg.cli import main
from ldseg.phantoms import write_phantoms


def test_a_plan_says_its_reasons_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_phantoms(tmp_path / "Mine", 4, (64, 96), seed=1)
    before = sorted(tmp_path.rglob("*"))
    line = ["plan", "Mine", "--minutes", "5", "--set", "Data.Labels=instances"]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "4 cases, 4 of them looked at: 64×96" in out
    for name, value in {"Data.Dimensions": "2D", "Data.Size": "64, 96", "Training.Augmentation": "histology"}.items():
        assert any(name in row and f" {value} " in row and "  " in row.strip() for row in out.splitlines()), name
    assert "% of label Dice" in out
    assert "5 minutes" in out
    assert "ldseg train Mine --set Data.Labels=instances --minutes 5 --weights weights/Mine" in out
    assert sorted(tmp_path.rglob("*")) == before


def test_what_cannot_be_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
    write_phantoms(tmp_path / "Mine", 4, (64, 96), seed=1)
    assert main(["plan", str(tmp_path / "Mine")]) == 2
    assert "can be read in two ways" in capsys.readouterr().err
