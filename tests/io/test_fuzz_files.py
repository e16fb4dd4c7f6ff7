"""A small part of the campaign of damaged files, `scripts/fuzz_files.py`, in this process."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz_files.py"
SPEC = importlib.util.spec_from_file_location("fuzz_files", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
campaign = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(campaign)


def test_damaged_files_are_read_or_refused_in_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert list(campaign.faults(300, 7, tmp_path, tmp_path / "keep", campaign.read)) == []
    assert capfd.readouterr() == ("", "")


def test_the_seeds_are_whole(tmp_path: Path) -> None:
    from ldseg.io.scans import read_scan

    for path, axes in campaign.seeds(tmp_path):
        assert read_scan(path, axes).values.size, path.name


def test_a_fault_is_seen(tmp_path: Path) -> None:
    def broken(path: Path, axes: str) -> str:
        return "wrong" if path.suffix == ".png" else ""

    found = list(campaign.faults(60, 7, tmp_path, tmp_path / "keep", broken))
    assert len(found) == len(list((tmp_path / "keep").iterdir())) > 0
