"""Runs that are killed, that meet a full disk, or that have a neighbour: nothing is lost, and the next run is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ldseg.base.writing import LOCK
from ldseg.phantoms import write_phantoms
from ldseg.weights import WEIGHTS_FILE

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 3600
"""Seconds after which a run hangs: on a busy machine one of ten seconds takes minutes."""
BEGINS = {"training": 0.4}
"""The share of a run in which libraries are imported and nothing is written, where it is long."""
TIMED = (".json", ".jsonl", ".csv", ".html")
"""Files that tell seconds and dates: their content differs from run to run."""
KINDS = {
    "segmenting": ("Model.Weights=weights/DDTI", "Sampler.Sampling_Steps=1", "Sampler.Samples=2", "Output.Diffusion=1"),
    "robustness": (
        *("Model.Weights=weights/DDTI", "Sampler.Sampling_Steps=1", "Evaluation.Robustness=True"),
        *("Evaluation.Sigmas=0, 0.1, 0.2", "Output.Diffusion=0"),
    ),
    "training": (
        *(
            "Parameters.Training=True",
            "Data.Labels=instances",
            "Data.Size=32, 32",
            "Parameters.Epoch=3",
            "Model.Preset=lean",
        ),
        *("Model.Outline=False", "Training.ValidateEvery=1", "Training.Workers=0", "Training.WarmUp=1"),
        *("Sampler.Sampling_Steps=1", "Parameters.BatchSize=2"),
    ),
}


@dataclass
class Place:
    """A data set, and where runs over it go."""

    folder: Path
    kind: str

    def start(self, out: Path, *more: str, limit: int = 0, temporary: Path | None = None) -> subprocess.Popen[str]:
        """Start a run that writes to a folder; no file of it becomes larger than so many bytes, if any."""
        target = f"Model.Weights={out}" if self.kind == "training" else f"Output.Folder={out}"
        given = (*KINDS[self.kind], f"Data.Root={self.folder}", "Data.Dataset=Set", target, *more)
        program = "scripts/campaign/quick.py" if self.kind == "training" else "LDSeg.py"
        command = [sys.executable, program, *(word for setting in given for word in ("--set", setting))]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "MPLBACKEND": "Agg"}
        if temporary is not None:
            environment["TMPDIR"] = str(temporary)

        def prepare() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="backslashreplace", preexec_fn=prepare if limit else None,
        )  # fmt: skip

    def run(self, out: Path, *more: str, limit: int = 0, temporary: Path | None = None) -> tuple[int, str]:
        """Its status, and what it said."""
        process = self.start(out, *more, limit=limit, temporary=temporary)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said


def state(out: Path) -> dict[str, Any]:
    """What is in the folder of a run: a hash of each file, or the arrays of weights; of what is timed that it is there."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if not path.is_file() or path.name == LOCK or "tensorboard" in name or name.startswith("before-"):
            continue
        if path.name in (WEIGHTS_FILE, "last.npz"):
            found |= {f"{name}/{part}": array for part, array in _arrays(path).items()}
        elif path.suffix in TIMED or path.name in ("curves.png", "calibration.png"):
            found[name] = ""
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _arrays(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: file[name] for name in file.files if name != "meta"}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def differs(found: dict[str, Any], whole: dict[str, Any]) -> str:
    """What of a state is not as it should be; empty where nothing is."""
    for name, value in whole.items():
        if name not in found:
            return f"{name} is missing"
        same = (
            np.allclose(found[name], value, rtol=1e-3, atol=1e-5) if isinstance(value, np.ndarray) else found[name] == value
        )
        if not same:
            return f"{name} is another"
    return ""


def left_over(out: Path) -> str:
    """Temporary files in the folder of a run."""
    names = [path.name for path in out.rglob(".*") if path.name.endswith((".tmp", ".old"))]
    return f"left {', '.join(names)}" if names else ""


@contextlib.contextmanager
def places(kinds: tuple[str, ...]) -> Iterator[dict[str, tuple[Place, dict[str, Any], float]]]:
    """For each kind of run its place, the state that an unbroken run leaves, and its seconds."""
    with tempfile.TemporaryDirectory() as name:
        made = {}
        for kind in kinds:
            folder = Path(name) / kind
            write_phantoms(folder / "Set", 4, (40, 48), seed=1)
            place, began = Place(folder, kind), time.monotonic()
            status, said = place.run(folder / "whole")
            if status:
                raise RuntimeError(f"{kind}: status {status}: {said[-2000:]}")
            made[kind] = place, state(folder / "whole"), time.monotonic() - began
        yield made


def kills(seed: int, count: int, keep: Path, kinds: tuple[str, ...] = tuple(KINDS)) -> Iterator[str]:
    """Runs that are killed with -9 at any moment, up to three times, then left to come to their end."""
    with places(kinds) as made:
        for index in range(count):
            random = np.random.default_rng([seed, index])
            place, whole, seconds = made[kinds[index % len(kinds)]]
            out, moments = place.folder / f"out{index}", []
            for _ in range(int(random.integers(1, 3))):
                process = place.start(out)
                moments.append(seconds * random.uniform(BEGINS.get(place.kind, 0.1), 1.0))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=moments[-1])
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
            status, said = place.run(out)
            wrong = f"status {status}: {said[-300:]!r}" if status else differs(state(out), whole) or left_over(out)
            yield from _kept(wrong, out, keep, f"{place.kind} killed after {', '.join(f'{m:.1f} s' for m in moments)}")


def disks(seed: int, count: int, keep: Path, kinds: tuple[str, ...] = tuple(KINDS)) -> Iterator[str]:
    """Runs in which no file can grow beyond so many bytes, or that have no temporary folder; then one without limit."""
    with places(kinds) as made:
        for index in range(count):
            random = np.random.default_rng([seed, index])
            place, whole, _ = made[kinds[index % len(kinds)]]
            out, largest = place.folder / f"out{index}", 4_000_000 if place.kind == "training" else 60_000
            limit = int(np.exp(random.uniform(np.log(100), np.log(largest))))
            if index % 10 == 9:
                status, said = place.run(out, temporary=Path("/nonexistent"))
                wrong = f"status {status} without a temporary folder: {said[-300:]!r}" if status else ""
            else:
                status, said = place.run(out, limit=limit)
                wrong = f"a traceback: {said[-600:]!r}" if "Traceback" in said or status not in (0, 1, 2) else ""
                if status == 0 and differs(state(out), whole):
                    wrong = "status 0, and something is missing"
                if status and "cannot be written" not in said:
                    wrong = wrong or f"status {status}, without a word of what cannot be written: {said[-300:]!r}"
            wrong = wrong or left_over(out)
            if not wrong:
                status, said = place.run(out)
                wrong = f"the next run: status {status}: {said[-300:]!r}" if status else differs(state(out), whole)
            yield from _kept(wrong, out, keep, f"{place.kind}, files of up to {limit} bytes")


def neighbours(seed: int, count: int, keep: Path, kinds: tuple[str, ...] = tuple(KINDS)) -> Iterator[str]:
    """Two runs with other seeds that begin at one time in one folder: what is there at the end is of one of them."""
    with places(kinds) as made:
        for kind, (place, _, _) in made.items():
            key = "Training.Seed" if kind == "training" else "Sampler.Seed"
            alone = {}
            for number in (1, 2):
                place.run(place.folder / f"alone{number}", f"{key}={number}")
                alone[number] = state(place.folder / f"alone{number}")
            for index in range(max(1, count // len(made))):
                random = np.random.default_rng([seed, index])
                out = place.folder / f"out{index}"
                first = place.start(out, f"{key}=1")
                time.sleep(float(random.uniform(0, 1.5)))
                second = place.start(out, f"{key}=2")
                ends = [(process.communicate(timeout=PATIENCE)[0], process.returncode) for process in (first, second)]
                refused = [said for said, status in ends if status == 2]
                wrong = ""
                if any("another run of LDSeg" not in said for said in refused) or any(
                    status not in (0, 2) for _, status in ends
                ):
                    wrong = f"{[(status, said[-200:]) for said, status in ends]}"
                wrong = wrong or left_over(out)
                if not wrong and all(differs(state(out), alone[number]) for number in alone):
                    wrong = "a mixture of both: " + "; ".join(differs(state(out), alone[number]) for number in alone)
                yield from _kept(wrong, out, keep, f"two of {kind}")


def _kept(wrong: str, out: Path, keep: Path, done: str) -> Iterator[str]:
    if wrong:
        keep.mkdir(parents=True, exist_ok=True)
        if out.exists():
            shutil.copytree(out, keep / f"{out.parent.name}-{out.name}", dirs_exist_ok=True)
        yield f"{keep / f'{out.parent.name}-{out.name}'} ({done}): {wrong}"
    shutil.rmtree(out, ignore_errors=True)
