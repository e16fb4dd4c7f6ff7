"""``ldseg plan``."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ldseg.cli import main
from ldseg.cli.parser import parse
from ldseg.cli.plan import _command
from ldseg.config import load_config
from ldseg.phantoms import write_phantoms, write_volume_phantoms


def test_a_plan_says_its_reasons_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_phantoms(tmp_path / "Mine", 4, (64, 96), seed=1)
    before = sorted(tmp_path.rglob("*"))
    line = ["plan", "Mine", "--minutes", "5", "--labels", "instances"]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "4 cases, 4 of them looked at: 64×96" in out
    for name, value in {"Data.Dimensions": "2D", "Data.Size": "64, 96", "Training.Augmentation": "histology"}.items():
        assert any(name in row and f" {value} " in row and "  " in row.strip() for row in out.splitlines()), name
    assert "% of label Dice" in out
    assert "5 minutes" in out
    assert "ldseg train Mine --labels instances --minutes 5 --weights weights/Mine" in out
    assert sorted(tmp_path.rglob("*")) == before


def test_what_cannot_be_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
    write_phantoms(tmp_path / "Mine", 4, (64, 96), seed=1)
    assert main(["plan", str(tmp_path / "Mine")]) == 2
    assert "can be read in two ways" in capsys.readouterr().err


def test_the_line_that_trains_means_what_was_planned() -> None:
    """Names, colours, unions and rates are written as a command line takes them."""
    asked = {
        "Data.Classes": "background, left part, right",
        "Data.LabelMap": "#ff0000:1, #00ff00:2, #000000:ignore",
        "Data.Regions": "whole: 1+2, right: 2",
        "Training.Seed": "3",
        "Model.Start": "Colon",
        "Parameters.LearningRate": "0.000123456789",
    }
    planned = load_config(None, [f"{name}={value}" for name, value in asked.items()])
    line = _command(planned)
    assert "--classes 'background, left part, right' --set 'Data.LabelMap=#ff0000:1, #00ff00:2, #000000:ignore'" in line
    words = shlex.split(line)[1:]
    assert parse(["plan", *words[1:]]).overrides == parse(words).overrides  # the same line plans
    again = load_config(None, parse(words).overrides)
    assert {name: again.value(name) for name in asked} == {name: planned.value(name) for name in asked}


def test_looking_at_data_takes_neither_keras_nor_scipy(tmp_path: Path) -> None:
    """Nothing but what ``pip install ldseg`` brings."""
    write_phantoms(tmp_path / "Glands", 4, (48, 64), seed=3)
    write_volume_phantoms(tmp_path / "Knees", 2, (16, 32, 32))
    code = (
        "import sys\n"
        "for name in ('keras', 'tensorflow', 'jax', 'torch', 'scipy', 'skimage', 'matplotlib'): sys.modules[name] = None\n"
        "from ldseg.cli import main\n"
        "for name, classes in {'Glands': 'background,gland', 'Knees': 'background,bone,cartilage'}.items():\n"
        "    for command in ('validate', 'plan'): assert main([command, name, '--classes', classes]) == 0, (command, name)\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("4 cases") and run.stdout.count("0 problems in all") == 2
