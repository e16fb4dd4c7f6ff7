"""A small part of the campaign of faults, `python scripts/campaign`, in this process."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from campaign import files, hostile

from ldseg.io.scans import read_scan
from ldseg.phantoms import write_phantoms


def test_damaged_files_are_read_or_refused_in_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert list(files.faults(300, 7, tmp_path, tmp_path / "keep", files.read)) == []
    assert capfd.readouterr() == ("", "")


def test_the_seeds_are_whole(tmp_path: Path) -> None:
    for path, axes in files.seeds(tmp_path):
        assert read_scan(path, axes).values.size, path.name


def test_a_fault_is_seen(tmp_path: Path) -> None:
    def broken(path: Path, axes: str) -> str:
        return "wrong" if path.suffix == ".png" else ""

    found = list(files.faults(60, 7, tmp_path, tmp_path / "keep", broken))
    assert len(found) == len(list((tmp_path / "keep").iterdir())) > 0


def test_hostile_weights_are_used_or_refused_in_a_line(tmp_path: Path) -> None:
    for index in range(24):
        random = np.random.default_rng([1, index])
        done = hostile.weights(random, tmp_path / str(index))
        assert hostile.command("weights", str(tmp_path / str(index))) == "", done


def test_hostile_names_and_records_end_in_a_line(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "Set", 1, (24, 30), seed=1)
    segment = hostile.arguments(tmp_path / "Set", hostile.WEIGHTS)
    assert hostile.command(*segment) == ""
    path = tmp_path / "out" / "metrics.json"
    good = json.loads(path.read_text("utf-8"))
    for index in range(6):
        values, done = hostile.changed(good, np.random.default_rng([2, index]))
        path.write_text(json.dumps(values), "utf-8")
        compared = hostile.arguments(tmp_path / "Set", hostile.WEIGHTS, f"Output.Compare={path.parent}")
        assert hostile.command(*compared, "--set", f"Output.Folder={tmp_path / 'other'}") == "", done
