"""Seconds an update, and before the first one: ``python3 benchmarks/training.py``; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZE, BATCH = (256, 256), 4
CONTENDERS: dict[str, dict[str, str]] = {
    "lean": {},
    "lean, bfloat16": {"GPU.Precision": "bfloat16"},
    "lean, no augmentation": {"Training.Augmentation": "none"},
    "ldseg": {"Model.Preset": "ldseg"},
    "ldseg, bfloat16": {"Model.Preset": "ldseg", "GPU.Precision": "bfloat16"},
}


class Enough(Exception):
    """As many updates as were asked for are done."""


@contextlib.contextmanager
def stopwatch(updates: int) -> Iterator[list[tuple[float, float]]]:
    """Clock and processor time at the end of each update of a training, which ends after so many of them."""
    from ldseg.training.progress import Progress

    clock: list[tuple[float, float]] = []

    def tick(*_: Any, **__: Any) -> None:
        clock.append((time.time(), time.process_time()))
        if len(clock) == updates:
            raise Enough

    Progress.on_train_batch_end = tick  # type: ignore[method-assign]
    with contextlib.suppress(Enough):
        yield clock


def contend(overrides: dict[str, str], updates: int, began: float, data: str) -> None:
    """Train on the phantoms in a folder and print what it took as JSON; runs in a process of its own."""
    import resource

    from ldseg import devices
    from ldseg.config import load_config

    with tempfile.TemporaryDirectory() as folder:
        values = {
            "Data.Root": data, "Data.Dataset": "Set", "Data.Size": ", ".join(map(str, SIZE)),
            "Data.Classes": "background, gland", "Model.Weights": f"{folder}/weights", "Parameters.Training": "True",
            "Parameters.BatchSize": str(BATCH), "Training.Augmentation": "histology",
            "Training.ValidateEvery": "100000", **overrides,
        }  # fmt: skip
        config = load_config(None, [f"{name}={value}" for name, value in values.items()])
        devices.choose(False)
        devices.set_precision(config.gpu.precision)
        with stopwatch(updates) as clock:
            _train()(config)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "first": clock[0][0] - began,
                "first_cpu": clock[0][1],
                "updates": [later[0] - earlier[0] for earlier, later in zip(clock[1:], clock[2:], strict=False)],
                "cpu": [later[1] - earlier[1] for earlier, later in zip(clock[1:], clock[2:], strict=False)],
                "peak": used.ru_maxrss / 2**20,
            }
        )
    )


def _phantoms() -> Any:
    """The function that draws phantoms, where it is now or where it was in version 0.1."""
    try:
        from ldseg.phantoms import write_phantoms
    except ImportError:
        from ldseg.data.phantoms import write_phantoms
    return write_phantoms


def _train() -> Any:
    """The function that trains as settings say, by its name of now, or of before there were plans."""
    try:
        from ldseg.training.prepare import train_config as train
    except ImportError:
        from ldseg.training import train
    return train


def main() -> None:
    """Compare the contenders, or be one of the processes that it takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contenders", nargs="*", default=list(CONTENDERS), help=", ".join(CONTENDERS))
    parser.add_argument("--updates", type=int, default=30, help="updates of each [30]")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each [1]")
    parser.add_argument("--root", type=Path, action="append", help="a checkout; several are compared [this one]")
    parser.add_argument("--draw", help=argparse.SUPPRESS)
    parser.add_argument("--contend", nargs=3, metavar=("SETTINGS", "BEGAN", "DATA"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        _phantoms()(Path(options.draw) / "Set", 16, (300, 300), seed=0)
    elif options.contend:
        settings, began, data = options.contend
        contend(json.loads(settings), options.updates, float(began), data)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(options, Path(folder))


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Draw phantoms, which is not counted, then let the contenders take turns and print the table."""
    roots = [root.resolve() for root in options.root or [ROOT]]
    names = [(root, name) for name in options.contenders for root in roots]
    found: dict[tuple[Path, str], list[dict[str, Any]]] = {entry: [] for entry in names}
    for index, root in enumerate(roots):
        _run([sys.executable, __file__, "--draw", str(folder / str(index))], root, "drawing")
    for _ in range(options.rounds):
        for root, name in names:
            data = str(folder / str(roots.index(root)))
            command = [
                sys.executable, __file__, "--updates", str(options.updates),
                "--contend", json.dumps(CONTENDERS[name]), str(time.time()), data,
            ]  # fmt: skip
            found[root, name].append(json.loads(_run(command, root, name).splitlines()[-1]))
    print("| | first update, s | its CPU s | an update, median s | fastest s | its CPU s | peak GB |")
    print("|---|---|---|---|---|---|---|")
    for (root, name), runs in found.items():
        updates = [seconds for run in runs for seconds in run["updates"]]
        cpu = [seconds for run in runs for seconds in run["cpu"]]
        label = name if len(roots) == 1 else f"{name} ({root.name})"
        first, first_cpu = (min(run[key] for run in runs) for key in ("first", "first_cpu"))
        figures = [
            f"{first:.1f}", f"{first_cpu:.1f}", f"{statistics.median(updates):.3f}", f"{min(updates):.3f}",
            f"{statistics.median(cpu):.3f}", f"{max(run['peak'] for run in runs):.2f}",
        ]  # fmt: skip
        print(f"| {label} | {' | '.join(figures)} |")


def _run(command: list[str], root: Path, what: str) -> str:
    run = subprocess.run(command, cwd=root, env=_environment(root), capture_output=True, encoding="utf-8")
    if run.returncode:
        sys.exit(f"{what} in {root}: {run.stderr[-2000:]}")
    return run.stdout


def _environment(root: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}


if __name__ == "__main__":
    main()
