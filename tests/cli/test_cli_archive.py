"""A run over an archive in this process: the record is a table, a rerun does what is missing, results may lie in a store."""

import json
import os
import time
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ldseg.cli import archive, cluster, main, worker
from ldseg.cli.parcels import case_of, packed, row_of, unpacked
from ldseg.cli.task import Task
from ldseg.cli.worker import Worker
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.evaluation import CaseResult
from ldseg.evaluation.archive import CaseTable
from ldseg.phantoms import write_phantoms

fsspec = pytest.importorskip("fsspec", reason="object stores need fsspec: pip install 'ldseg[archive]'")
pytest.importorskip("pyarrow", reason="the record of an archive needs pyarrow: pip install 'ldseg[archive]'")

SETTINGS = ("--weights", "GlaS", "--steps", "1", "--formats", "mask,csv")
NAMES = ["Phantom1", "Phantom2", "Phantom3", "bad"]
TIMES = {"seconds", "date", "weights", "problems", "config"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small phantoms and a file that is no image."""
    root = tmp_path_factory.mktemp("data")
    write_phantoms(root / "Set", 3, size=(48, 40), seed=3)
    (root / "Set" / "Image" / "bad.png").write_bytes(b"no image")
    return root / "Set"


@pytest.fixture(scope="module")
def single(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("single") / "out"
    assert main(["segment", str(data), "--out", str(out), *SETTINGS]) == 1
    return out


@pytest.fixture(scope="module")
def store(data: Path) -> str:
    """The data set in an object store."""
    fsspec.filesystem("memory").put(str(data), "/bucket/test-cli/Set", recursive=True)
    return "memory://bucket/test-cli/Set"


def figures(text: str | bytes) -> Any:
    """What metrics.json says of the cases and the set, but for times and the places of files that are no images."""
    found = json.loads(text)
    cases = [{key: value for key, value in case.items() if key not in (*TIMES, "message")} for case in found["cases"]]
    return found["classes"], found["summary"], sorted(cases, key=lambda case: case["name"])


def test_from_store_to_store_as_from_folder_to_folder(store: str, single: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", store, "--out", "memory://bucket/test-cli/out", *SETTINGS]) == 1
    told = capsys.readouterr()
    assert "3 segmented, 1 skipped. Written to memory://bucket/test-cli/out" in told.out
    assert f"problem: bad: {store}/Image/bad.png: not a readable image" in told.out
    assert "ldseg-case" not in told.err
    there = fsspec.filesystem("memory")
    found = {name.removeprefix("/bucket/test-cli/out/") for name in there.find("/bucket/test-cli/out")}
    files = {f"{name}_{kind}" for name in NAMES[:3] for kind in ("segmentation.png", "objects.csv")}
    pictures = {f"Overlay/{name}_overlay.png" for name in NAMES[:3]}
    parts = {f"cases.parquet/part-{number:06}.parquet" for number in range(2)}
    assert found == files | pictures | parts | {"metrics.json", "metrics.csv", "report.html"}
    for name in files | pictures:
        assert there.cat(f"/bucket/test-cli/out/{name}") == (single / name).read_bytes(), name
    assert figures(there.cat("/bucket/test-cli/out/metrics.json")) == figures((single / "metrics.json").read_bytes())
    assert b"data:image" in there.cat("/bucket/test-cli/out/report.html")

    # Figures and report are made again from the table alone.
    there.rm(["/bucket/test-cli/out/metrics.json", "/bucket/test-cli/out/report.html"])
    assert main(["collect", "memory://bucket/test-cli/out"]) == 1
    assert figures(there.cat("/bucket/test-cli/out/metrics.json")) == figures((single / "metrics.json").read_bytes())
    assert there.exists("/bucket/test-cli/out/report.html")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The cases that are segmented, and what ends the run when their time comes."""
    names: list[str] = []
    segment = Worker.segment

    def counting(self: Worker, cases: Sequence[Case]) -> Iterator[CaseResult]:
        for result in segment(self, cases):
            names.append(result.name)
            yield result
            if len(names) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "segment", counting)
    monkeypatch.setattr(archive, "SECONDS", 0.0)
    yield names


def test_a_rerun_does_what_is_missing(data: Path, store: str, single: Path, tmp_path: Path, asked: list[str]) -> None:
    out = str(tmp_path / "out")
    table = tmp_path / "list.csv"
    table.write_text(f"image,label\n{store}/Image/Phantom1.png,{store}/Label/Phantom1_label.png\n", "utf-8")
    given = [*(str(path) for path in sorted((data / "Image").iterdir())[1:]), str(table)]
    settings = ("--out", out, *SETTINGS, "--set", "Output.Report=False")
    assert main(["segment", *given, *settings]) == 130
    first = list(asked)
    assert CaseTable(Path(out)).states() == dict.fromkeys(first[:2], "ok")
    assert main(["segment", *given, *settings]) == 1
    assert sorted(asked) == NAMES  # each once
    assert main(["segment", *given, *settings]) == 1
    assert asked[4:] == ["bad"]  # it may have been put right
    # Nothing to do, and fewer are named: what is new of the settings is told all the same, and no row goes.
    assert main(["segment", str(table), "--out", out, *SETTINGS]) == 1
    assert (Path(out) / "report.html").exists()
    assert main(["segment", str(table), *settings]) == 1
    assert asked[5:] == []
    record = CaseTable(Path(out)).record()
    assert [case.name for case in record.cases] == ["bad", *NAMES[:3]]
    assert {case.name: case.status for case in record.cases} == {**dict.fromkeys(NAMES[:3], "ok"), "bad": "skipped"}
    for name in NAMES[:3]:
        assert (Path(out) / f"{name}_segmentation.png").read_bytes() == (single / f"{name}_segmentation.png").read_bytes()
    assert not (Path(out) / "report.html").exists()


def test_what_is_refused(data: Path, store: str, single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> str:
        assert main(["segment", *arguments]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    place = "memory://bucket/test-cli/refused"
    table = tmp_path / "list.csv"
    table.write_text(f"image\n{store}/Image/bad.png\n", "utf-8")
    assert "none of 1 cases could be segmented, the first: memory" in told(str(table), "--out", place, *SETTINGS)
    assert "Sampler.Seed = 0 and not 1; name another folder" in told(str(table), "--out", place, *SETTINGS, "--seed", "1")
    assert "expected nothing there, or the table of an earlier run, found Image/" in told(store, "--out", store, *SETTINGS)
    assert "holds a run that has no cases.parquet" in told(store, "--out", str(single), *SETTINGS)
    assert "Data.Shard: expected nothing with an object store" in told(store, "--out", place, *SETTINGS, "--shard", "1/2")
    assert "place of kind abfs" in told(store, "--out", "https://host/out", *SETTINGS)
    assert "memory://bucket/test-cli/none: no such file or folder" in told("memory://bucket/test-cli/none", *SETTINGS)
    assert main(["collect", "memory://bucket/test-cli/none"]) == 2
    assert "expected the table of a run over an archive, found none" in capsys.readouterr().err
    assert main(["robustness", "--set", "GPU.Ray=local"]) == 2
    assert "GPU.Ray: expected nothing for Evaluation.Robustness" in capsys.readouterr().err
    assert main(["robustness", str(table), "--weights", "GlaS"]) == 2


def test_ray_is_asked_for_where_it_is_missing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert main(["segment", str(data), "--out", str(tmp_path), *SETTINGS, "--ray", "local"]) == 2
    assert "GPU.Ray: ray is not installed, which --ray needs: pip install 'ldseg[ray]'" in capsys.readouterr().err


def test_rows_of_slides_come_out_one_by_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing waits for the next slide, and the others come out in between."""
    begun: list[str] = []

    def slides(task: Any, engine: Any, cases: Sequence[Case], results: Any) -> Iterator[CaseResult]:
        for case in cases:
            begun.append(case.name)
            results.files[case.name] = {}
            yield CaseResult(name=case.name)

    def whole(run: Any, cases: Iterator[Case], count: int) -> Iterator[CaseResult]:
        runs.append(run)
        for case in cases:
            yield CaseResult(name=case.name)

    def split(task: Any) -> tuple[list[Case], list[Case]]:
        (case,) = task.cases
        return ([], [case]) if case.name.startswith("slide") else ([case], [])

    runs: list[Any] = []
    monkeypatch.setattr(worker, "segment_slides", slides)
    monkeypatch.setattr(worker, "results_of", whole)
    monkeypatch.setattr(worker, "split_cases", split)
    here = Worker.__new__(Worker)
    config = Config().with_values({"Output.Folder": str(tmp_path / "out"), "Parameters.BatchSize": 2})
    opened = types.SimpleNamespace(description=types.SimpleNamespace(preprocessing_for=lambda *given: None))
    here._task = Task(config=config, cases=(), problems=(), opened=opened)  # type: ignore[arg-type]
    here._predictor = None  # type: ignore[assignment]
    names = ["slide1", "slide2", "a", "b", "slide3", "c"]
    told = [
        (result.name, len(begun))
        for result in here.segment([Case(name=n, image=tmp_path / n, label=None, group="") for n in names])
    ]
    assert told == [("slide1", 1), ("slide2", 2), ("a", 2), ("b", 2), ("slide3", 3), ("c", 3)]
    assert runs and not any(run.results.files for run in runs)


def test_a_row_that_cannot_be_sent_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And takes none of its neighbours with it."""

    def sent(cases: Sequence[CaseResult], classes: Sequence[str], folder: Path) -> list[CaseResult]:
        if any(case.ok and case.name == "b" for case in cases):
            raise ValueError("no such\nfigure")
        return list(cases)

    monkeypatch.setattr(cluster, "rows_of", sent)
    actor = cluster.Actor.__new__(cluster.Actor)
    actor._folder, actor._begin = tmp_path, lambda task: 1
    actor._worker = types.SimpleNamespace(  # type: ignore[assignment]
        structures=("x",), segment=lambda cases: iter([CaseResult(name=case.name) for case in cases])
    )
    cases = [row_of(Case(name=name, image=tmp_path / name, label=None, group="")) for name in "abc"]
    found = actor(types.SimpleNamespace(to_pylist=lambda: cases))
    assert [(case.name, case.ok) for case in found] == [("a", True), ("b", False), ("c", True)]
    assert found[1].message == f"{tmp_path / 'b'}: ValueError: no such figure"


def test_a_case_is_a_row_and_back(tmp_path: Path) -> None:
    odd = Path("/data") / b"\xff.png".decode("utf-8", "surrogateescape")
    plain = Case(name="b", image=Path("s3:/bucket/b.png"), label=None, group="b")
    whole = Case(name="a", image=odd, label=odd, group="P", channels=(odd, Path("c")), annotations=(Path("d"),))
    assert [case_of(row_of(case)) for case in (plain, whole)] == [plain, whole]


def test_weights_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDSEG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "w" / "training").mkdir(parents=True)
    (tmp_path / "w" / "a.h5").write_bytes(b"weights")
    (tmp_path / "w" / "training" / "log.csv").write_bytes(b"log")
    (tmp_path / "w" / "fold-2").mkdir()
    (tmp_path / "w" / "fold-2" / "b.h5").write_bytes(b"fold")
    folder = unpacked(packed(tmp_path / "w"))
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["a.h5", "fold-2", "fold-2/b.h5"]
    assert (folder / "a.h5").read_bytes() == b"weights"
    assert unpacked(packed(tmp_path / "w")) == folder


def test_weights_that_travelled_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDSEG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "w").mkdir()
    kept = tmp_path / "cache" / "weights"
    old, new = kept / ".0.0123abcd.tmp", kept / ".0.0123abce.tmp"
    for half in (old, new):
        half.mkdir(parents=True)
    os.utime(old, (time.time() - 1e5,) * 2)
    made = []
    for number in range(10):
        (tmp_path / "w" / "a.h5").write_bytes(b"%d" % number)
        made.append(unpacked(packed(tmp_path / "w")))
        os.utime(made[-1], (number, number))
        if number == 7:
            unpacked(packed(tmp_path / "w"))  # used again, so it stays
    assert set(kept.iterdir()) == {new, *made[2:]}

    monkeypatch.setenv("LDSEG_CACHE", "/dev/null/ldseg")  # that of a user without a home
    folder = unpacked(packed(tmp_path / "w"))
    assert (folder / "a.h5").read_bytes() == b"9"
    assert folder.name.startswith("ldseg-weights-")
