"""What segments an archive has few cases under way, however many there are and whoever is slow."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldseg.cli import worker
from ldseg.cli.results import Results
from ldseg.cli.task import begin
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.inference.engine import Drawn, Engine
from ldseg.phantoms import write_phantoms

pytest.importorskip("fsspec", reason="object stores need fsspec: pip install 'ldseg[archive]'")

BATCH, CASES = 2, 200


class Instant(Engine):
    """Takes no time, so that whoever writes is slower."""

    kind, parallel = "instant", 2
    wait: Callable[[], object] = staticmethod(lambda: None)

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        self.wait()
        shape = (len(inputs["image"]), self.samples, *self.spec.size, self.spec.parts)
        return Drawn(probabilities=np.broadcast_to(np.float32(1 / self.spec.parts), shape))


@pytest.mark.parametrize(
    ("slow", "most"),
    [("engine", 5 * BATCH), ("writer", 7 * BATCH), ("store", 7 * BATCH + 2 * worker.AT_ONCE)],
)
def test_nothing_piles_up_before_who_is_slow(slow: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more cases are brought here than a few batches, as long as nothing is handed on."""
    write_phantoms(tmp_path / "Set", 1, size=(24, 28), seed=3)
    out = "memory://bucket/test-worker/out" if slow == "store" else str(tmp_path / "out")
    values = {
        "Data.Root": str(tmp_path), "Data.Dataset": "Set", "Model.Weights": "GlaS", "Output.Folder": out,
        "Output.Overlay": False, "Output.Diffusion": 0, "Parameters.BatchSize": BATCH, "Sampler.Sampling_Steps": 1,
    }  # fmt: skip
    task = begin(Config().with_values(values), anywhere=True)
    here = worker.Worker(task.config, "onnx")
    here._predictor = Instant(task.description.spec, steps=1)
    held, beyond, begun = threading.Event(), threading.Event(), [0]
    bring = worker._bring

    def counting(case: Case) -> Any:
        begun[0] += 1
        if begun[0] > most:
            beyond.set()
        return bring(case)

    def waiting(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: (held.wait(), function(*given))[1]

    monkeypatch.setattr(worker, "_bring", counting)
    if slow == "engine":
        monkeypatch.setattr(Instant, "wait", staticmethod(held.wait))
    elif slow == "writer":
        monkeypatch.setattr(Results, "write", waiting(Results.write))
    else:
        monkeypatch.setattr(worker, "send", waiting(worker.send))
    (case,) = task.cases
    cases = [Case(name=f"case{i}", image=case.image, label=None, group="") for i in range(CASES)]
    with ThreadPoolExecutor(1) as pool, contextlib.closing(here.segment(cases)) as results:
        first = pool.submit(next, results)
        before = -1
        while (not begun[0] or before < begun[0]) and not first.done():  # until nothing more is begun
            before = begun[0]
            if beyond.wait(0.4):
                break
        piled = beyond.is_set()
        held.set()
        assert first.result().ok, first.result().message
    assert not piled, f"more than {most} cases are under way"
