"""A disk that is full at any moment of a run: an error line, not status 0, nothing lost, and the next run is whole."""

import hashlib
from pathlib import Path

import faulty
import numpy as np
import pytest

from ldseg.base.writing import LOCK
from ldseg.cli import main
from ldseg.phantoms import write_phantoms

ROOT = Path(__file__).parents[2]
SEGMENT = ("Output.Diffusion=1", "Sampler.Samples=2")
WHOLE_SET = ("calibration.png", "gaussian.png")
"""Pictures of all cases together, which are others where one is left out."""
ROBUSTNESS = ("Evaluation.Robustness=True", "Evaluation.Sigmas=0, 0.2", "Output.Diffusion=0")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_phantoms(tmp_path / "Set", 2, (24, 30), seed=1)
    return tmp_path / "Set"


def run(data: Path, out: Path, *changes: str) -> int:
    given = (
        f"Data.Root={data.parent}",
        f"Data.Dataset={data.name}",
        f"Model.Weights={ROOT / 'weights' / 'DDTI'}",
        f"Output.Folder={out}",
        "Sampler.Sampling_Steps=1",
        *changes,
    )
    return main(["--config", str(ROOT / "cfg.ini"), *(w for setting in given for w in ("--set", setting))])


def state(out: Path) -> dict[str, str]:
    """What is in a folder; of reports and journals, which tell seconds and dates, only that they are there."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name != LOCK:
            timed = path.suffix in (".json", ".jsonl", ".csv", ".html") or path.name in WHOLE_SET
            found[str(path.relative_to(out))] = "" if timed else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def moments(count: int, take: int, seed: int) -> list[int]:
    return sorted(int(moment) for moment in np.random.default_rng(seed).choice(count, min(take, count), replace=False))


@pytest.mark.parametrize(("kind", "take"), [(SEGMENT, 3), (ROBUSTNESS, 2)], ids=["segmenting", "robustness"])
def test_at_moments_drawn_from_a_seed(
    kind: tuple[str, ...], take: int, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with faulty.full_disk() as disk:
        assert run(data, tmp_path / "whole", *kind) == 0
    whole = state(tmp_path / "whole")
    for moment in moments(len(disk.calls), take, seed=len(kind)):
        out, lasting = tmp_path / f"at{moment}", moment % 2 == 0
        run(data, out, *kind, "Sampler.Seed=5")  # an earlier run, whose files are kept where they are not replaced
        earlier = state(out)
        capsys.readouterr()
        with faulty.full_disk(moment, lasting=lasting) as broken:
            status = run(data, out, *kind)
        printed = capsys.readouterr()
        assert broken.failed, moment
        assert status in (1, 2), (moment, broken.calls[moment])
        assert "No space left on device" in printed.out + printed.err
        assert "Traceback" not in printed.err
        assert faulty.left_over(out) == []
        for name, content in state(out).items():
            assert content in ("", earlier.get(name), whole.get(name)), (name, broken.calls[moment])
        assert run(data, out, *kind) == 0
        assert state(out) | whole == state(out), broken.calls[moment]
