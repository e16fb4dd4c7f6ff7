import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldseg.cli import main
from ldseg.io.pictures import write_image
from ldseg.phantoms import write_phantoms

TIMES = {"seconds", "date"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small phantoms and a file that is no image."""
    root = tmp_path_factory.mktemp("data")
    write_phantoms(root / "Set", 5, size=(48, 40), seed=3)
    (root / "Set" / "Image" / "bad.png").write_bytes(b"no image")
    return root / "Set"


def segment(data: Path, out: Path, *more: str) -> int:
    settings = ("--weights", "GlaS", "--steps", "1", "--formats", "mask,csv", "--set", "Output.Report=False")
    return main(["segment", str(data), "--out", str(out), *settings, *more])


def figures(out: Path) -> Any:
    found = json.loads((out / "metrics.json").read_text("utf-8"))
    cases = [{key: value for key, value in case.items() if key not in TIMES} for case in found["cases"]]
    return found["summary"], cases


@pytest.fixture(scope="module")
def single(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("single") / "out"
    assert segment(data, out) == 1
    return out


@pytest.mark.parametrize("count", [2, 6])
def test_shards_give_what_one_run_gives(data: Path, single: Path, count: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for index in reversed(range(1, count + 1)):
        assert segment(data, out, "--shard", f"{index}/{count}") in (0, 1)
        if index > 1:
            assert main(["collect", str(out)]) == 2
    for _ in range(2):  # once more changes nothing
        assert main(["collect", str(out)]) == 1
        assert figures(out) == figures(single)
        masks = sorted(path.name for path in single.glob("*_segmentation.png"))
        assert len(masks) == 5
        for name in [*masks, "objects.csv", "classes.csv"]:
            assert (out / name).read_bytes() == (single / name).read_bytes()
        assert sorted(path.name for path in (single / "Overlay").iterdir()) == sorted(
            path.name for path in (out / "Overlay").iterdir()
        )


def test_what_shards_say_of_their_weights_is_said_once_of_all(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for index, doubts in enumerate((["noise"], [], ["noise", "one class"]), 1):
        segment(data, out, "--shard", f"{index}/3")
        path = out / f"shard-{index}-of-3" / "metrics.json"
        record = json.loads(path.read_text("utf-8"))
        record["run"]["doubts"] = doubts
        path.write_text(json.dumps(record), "utf-8")
    assert main(["collect", str(out)]) == 1
    assert json.loads((out / "metrics.json").read_text("utf-8"))["run"]["doubts"] == ["noise", "one class"]


def test_what_is_not_one_run(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told() -> str:
        assert main(["collect", str(out)]) == 2
        return capsys.readouterr().err

    out = tmp_path / "out"
    out.mkdir()
    assert "expected folders of shards, such as shard-1-of-2, found none" in told()
    segment(data, out, "--shard", "1/2")
    assert "missing 2/2; run them with --shard" in told()
    segment(data, out, "--shard", "2/2", "--seed", "1")
    assert "Sampler.Seed is 1 and not 0; run the shard again" in told()
    segment(data, out, "--shard", "2/2")
    mask = out / "shard-2-of-2" / "Phantom3_segmentation.png"
    write_image(out / mask.name, np.zeros((4, 4), np.uint8))
    assert f"{mask.name}: no run of LDSeg wrote it" in told()
    (out / mask.name).unlink()
    mask.unlink()
    assert "is missing; run the shard again" in told()
    (out / "shard-1-of-3").mkdir()
    assert "found those of 2 and of 3" in told()
    (out / "cases.parquet").mkdir()
    (out / "cases.parquet" / "part-000000.parquet").touch()
    assert "expected cases.parquet of one run or the folders of its shards, found both (shard-1-of-2" in told()


def test_more_shards_than_cases(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(data, tmp_path / "out", "--shard", "7/7") == 2
    assert "Data.Shard: expected at most 6 shares of as many cases, got 7/7" in capsys.readouterr().err


def test_a_run_and_its_shards_leave_the_cases_of_others_whole(data: Path, tmp_path: Path) -> None:
    """What an earlier run wrote of other cases goes to a folder of its own; a shard does not touch those of another."""
    out = tmp_path / "out"
    assert segment(data, out, "--set", "Data.Cases=Phantom1,Phantom2") == 0
    assert segment(data, out, "--set", "Data.Cases=Phantom2,Phantom3,Phantom4", "--shard", "1/2") == 0
    assert segment(data, out, "--set", "Data.Cases=Phantom2,Phantom3,Phantom4", "--shard", "2/2") == 0
    assert (out / "Phantom1_segmentation.png").exists()  # until the shards are joined
    assert main(["collect", str(out)]) == 0
    found = sorted(path.name for path in out.glob("*_segmentation.png"))
    assert found == [f"Phantom{index}_segmentation.png" for index in (2, 3, 4)]
    assert (out / "Earlier" / "Phantom1_segmentation.png").exists()
    assert (out / "Earlier" / "Overlay" / "Phantom1_overlay.png").exists()
    assert segment(data, out, "--set", "Data.Cases=Phantom1") == 0
    assert [path.name for path in out.glob("*_segmentation.png")] == ["Phantom1_segmentation.png"]
    assert len(list((out / "Earlier").glob("*_segmentation.png"))) == 4  # and nothing is lost
