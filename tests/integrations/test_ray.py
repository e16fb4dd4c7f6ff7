"""A run on a cluster of Ray with two nodes, here: a worker is killed, a node is lost, a case kills its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ldseg.cli import cluster as of_ldseg
from ldseg.cli import main
from ldseg.cli.task import begin
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.evaluation import CaseResult
from ldseg.evaluation.archive import CaseTable
from ldseg.phantoms import write_phantoms

ray = pytest.importorskip("ray", reason="the cluster needs Ray: pip install 'ldseg[ray]'")
pytest.importorskip("ray.data", reason="the cluster needs Ray: pip install 'ldseg[ray]'")

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
CASES = 500
OUTSIDE = 10001
"""The port for commands from outside; those of the workers lie above it."""

NODE = {"object_store_memory": 100 << 20, "num_cpus": 1}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes with a processor each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        nodes = Cluster(initialize_head=True, head_node_args={**NODE, "ray_client_server_port": OUTSIDE})
        nodes.add_node(**NODE)
        yield nodes
        nodes.shutdown()


@pytest.fixture(scope="module")
def address(nodes: Any) -> str:
    """Where it is."""
    return str(nodes.address)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks for images of 32 x 32 pixels, with numbers of chance."""
    import tiny

    from ldseg.description import Description
    from ldseg.export.networks import save_structure
    from ldseg.segmenter import Segmenter
    from ldseg.weights import save_weights

    folder, spec = tmp_path_factory.mktemp("weights"), tiny.spec()
    training = tiny.settings(Path("data"), folder).to_dict()
    described = Description(spec=spec, preprocessing=tiny.preprocessing(), training=training)
    save_weights(folder, tiny.varied(Segmenter(spec)), described)
    save_structure(folder, spec)
    return folder


def settings(weights: Path) -> list[str]:
    return [
        *("--weights", str(weights), "--steps", "1"),
        *("--set", "GPU.Engine=onnx", "--set", "Output.Overlay=False", "--set", "Output.Report=False"),
    ]


HELD = """
import os, sys, time
from pathlib import Path
from ldseg.cli import cluster, main

gate, out, enough = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

class Held(cluster.Actor):
    def __call__(self, rows):
        assert os.environ["MALLOC_ARENA_MAX"]  # so that it does not grow from task to task
        (gate / str(os.getpid())).touch()
        while not (gate / "open").exists() and len(list(out.glob("*_segmentation.png"))) >= enough:
            time.sleep(0.1)
        return super().__call__(rows)

cluster.Actor = Held
sys.exit(main(sys.argv[4:]))
"""
"""A run whose workers hold on before their next task when enough is segmented, until the gate is open."""


class Begun:
    """A run that has segmented a quarter of its cases, and whose workers have all begun something.

    Attributes:
        command: what ``ldseg`` was told.
        workers: the processes of the cluster that hold networks.
    """

    def __init__(self, tmp_path: Path, address: str, weights: Path, cases: int, workers: int) -> None:
        out, self._gate, enough = tmp_path / "out", tmp_path / "gate", cases // 4
        self._gate.mkdir()
        self.command = ["segment", str(tmp_path / "Set"), "--out", str(out), *settings(weights), "--ray", address]
        given = ["-c", HELD, str(self._gate), str(out), str(enough), *self.command]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._run = subprocess.Popen([sys.executable, *given], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        ended, self.workers = time.monotonic() + 600, list[int]()
        while len(list(out.glob("*_segmentation.png"))) < enough or len(self.workers) < workers:
            assert self._run.poll() is None, self._run.stderr and self._run.stderr.read()
            assert time.monotonic() < ended, "nothing is segmented"
            time.sleep(0.1)
            self.workers = [int(path.name) for path in self._gate.iterdir()]
        assert len(self.workers) == workers

    def end(self, status: int) -> None:
        """Let the workers go on, to an end with this status."""
        (self._gate / "open").touch()
        _, told = self._run.communicate(timeout=600)
        assert self._run.returncode == status, told.decode()


def same_as_single(tmp_path: Path, weights: Path, status: int) -> list[str]:
    """The masks of a run, which are those of a single process, to the byte."""
    out, single = tmp_path / "out", tmp_path / "single"
    assert main(["segment", str(tmp_path / "Set"), "--out", str(single), *settings(weights)]) == status
    masks = sorted(path.name for path in single.glob("*_segmentation.png"))
    assert sorted(path.name for path in out.glob("*_segmentation.png")) == masks
    assert [name for name in masks if (out / name).read_bytes() != (single / name).read_bytes()] == []
    return masks


def test_a_worker_is_killed_and_every_case_is_there_once(address: str, weights: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "Set", CASES, size=(24, 28), seed=3)
    (tmp_path / "Set" / "Image" / "Phantom7.png").write_bytes(b"no image")
    out = tmp_path / "out"
    begun = Begun(tmp_path, address, weights, CASES, workers=2)
    os.kill(begun.workers[0], signal.SIGKILL)
    begun.end(status=1)

    record = CaseTable(out).record()  # which refuses a case that is there twice
    assert [case.name for case in record.cases] == [f"Phantom{number}" for number in range(1, CASES + 1)]
    assert [case.name for case in record.cases if not case.ok] == ["Phantom7"]
    masks = same_as_single(tmp_path, weights, 1)
    assert len(masks) == CASES - 1
    assert len({(out / name).read_bytes() for name in masks}) > CASES // 10  # masks that differ from case to case

    # Nothing is missing, so nothing is begun but what was no image.
    started = {path: path.stat().st_mtime_ns for path in out.glob("*_segmentation.png")}
    (tmp_path / "Set" / "Image" / "Phantom7.png").write_bytes((tmp_path / "Set" / "Image" / "Phantom8.png").read_bytes())
    assert main(begun.command) == 0
    assert {path: path.stat().st_mtime_ns for path in started} == started
    assert len(CaseTable(out).record().segmented) == CASES


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is looked up in /proc")
def test_tasks_take_little_memory_of_the_command(address: str) -> None:
    def held() -> float:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    cases = [Case(name=f"c{i}", image=Path(f"/images/c{i}.png"), label=None, group=f"c{i}") for i in range(4000)]
    ray.init(address=address, log_to_driver=False)
    try:
        of_ldseg._tasks(ray, cases[:40], range(0, 40, 4))  # what is made once
        before = held()
        tasks = of_ldseg._tasks(ray, cases, range(0, len(cases), 4))
        assert (held() - before) / 1000 < 16, "kB a task"
        assert tasks.num_blocks() == 1000
        assert [row["name"] for row in tasks.take(6)] == [f"c{i}" for i in range(6)]
    finally:
        ray.shutdown()


def test_a_node_is_lost_and_every_case_is_there_once(nodes: Any, weights: Path, tmp_path: Path) -> None:
    cases = 120
    write_phantoms(tmp_path / "Set", cases, size=(24, 28), seed=3)
    third = nodes.add_node(**NODE)
    begun = Begun(tmp_path, nodes.address, weights, cases, workers=3)
    nodes.remove_node(third, allow_graceful=False)
    begun.end(status=0)
    record = CaseTable(tmp_path / "out").record()  # which refuses a case that is there twice
    assert [case.name for case in record.segmented] == [f"Phantom{number}" for number in range(1, cases + 1)]
    assert len(same_as_single(tmp_path, weights, 0)) == cases


def test_from_outside_of_the_cluster(address: str, weights: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "Set", 5, size=(24, 28), seed=3)
    given = ["segment", str(tmp_path / "Set"), *settings(weights)]
    command = ["-m", "ldseg", *given, "--out", str(tmp_path / "out"), "--ray", f"ray://127.0.0.1:{OUTSIDE}"]
    run = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    )
    assert run.returncode == 0, run.stderr.decode()
    assert len(same_as_single(tmp_path, weights, 0)) == 5
    assert len(CaseTable(tmp_path / "out").record().segmented) == 5


class Deadly(of_ldseg.Actor):
    """A worker that one of the cases kills."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        segment = self._worker.segment

        def until_killed(cases: Sequence[Case]) -> Generator[CaseResult]:
            if any(case.name == "Phantom3" for case in cases):
                os._exit(1)
            yield from segment(cases)

        self._worker.segment = until_killed  # type: ignore[method-assign]


def test_a_case_that_kills_its_worker_is_a_row(
    address: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(of_ldseg, "Actor", Deadly)
    monkeypatch.setattr(of_ldseg, "TRIES", 1)
    write_phantoms(tmp_path / "Set", 4, size=(24, 28), seed=3)
    values = {
        "Data.Root": str(tmp_path), "Data.Dataset": "Set", "Model.Weights": str(weights), "GPU.Ray": address,
        "GPU.Engine": "onnx", "Output.Folder": str(tmp_path / "out"), "Output.Overlay": False, "Sampler.Sampling_Steps": 1,
    }  # fmt: skip
    task = begin(Config().with_values(values))
    found = list(of_ldseg.Cluster(task.config, "onnx").segment(task.cases))
    assert sorted(case.name for case in found) == [f"Phantom{number}" for number in range(1, 5)]
    (bad,) = [case for case in found if not case.ok]
    assert bad.name == "Phantom3"
    assert "the process that segmented it ended every time" in bad.message
