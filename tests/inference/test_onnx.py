"""ONNX Runtime is used, and nothing is told of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ldseg.inference.cores import cores

ROOT = Path(__file__).parents[2]


def test_no_usage_data_is_collected(tmp_path: Path) -> None:
    hidden = "ORT_DISABLE_TELEMETRY"
    environment = {name: value for name, value in os.environ.items() if name != hidden}
    environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    code = "import os; from ldseg.inference.onnx import version; print(version(), os.environ['ORT_DISABLE_TELEMETRY'])"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("ONNX Runtime ")
    assert run.stdout.split()[-1] == "1"
    assert list(tmp_path.iterdir()) == []  # where it collects, it keeps the number of its session here


def test_a_cluster_says_how_many_threads_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    there = cores()
    for text, count in {"1": 1, "100000": there, "0": there, "": there, "2,1": there}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert cores() == count
