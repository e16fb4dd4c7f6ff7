"""Bytes that an update sends between processes that train together: ``python3 benchmarks/bandwidth.py``.

Processes of one machine train together. What its loopback device counts (``/proc/net/dev``) is compared with what the number
of weights makes: each sums a gradient of 4 W bytes over n processes, for which each of them sends 2 (n - 1) / n of it. Where
the system lets it (``unshare -n``), the loopback device is one of their own, on which nobody else talks. Compiling takes
short cuts that change seconds and no bytes, so no seconds are told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZE = (32, 32)
UPDATES = 6
WARM = 3
"""Updates before those that are counted: they hold the compiling and the making of connections."""


class Enough(Exception):
    """What was to be counted is counted."""


def sent() -> int:
    """Bytes that the loopback device has sent."""
    for line in Path("/proc/net/dev").read_text("ascii").splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[8])
    raise SystemExit("this machine has no loopback device")


def train(preset: str, port: int, count: int, index: int, folder: Path) -> None:
    """One process: train on phantoms, and count from one update to another; the first one prints it."""
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    from ldseg import devices
    from ldseg.config import Config
    from ldseg.devices.together import connect
    from ldseg.group import joined
    from ldseg.hosts import Place

    with joined(Place(host="127.0.0.1", port=port, count=count, index=index)) as group:
        devices.choose(False, group)
        connect(group)

        from ldseg.training import fit
        from ldseg.training.prepare import train_config

        counted: list[int] = []
        weights: list[int] = []

        class Counting(fit.Epochs):
            """Counts, with all processes at the same update."""

            def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
                weights.extend(math.prod(weight.shape) for weight in self.model.trainable_variables)

            def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
                if batch not in (WARM - 1, WARM + UPDATES - 1):
                    return
                float((logs or {})["loss"])  # the update is done
                group.gather("before", None)
                counted.append(sent())
                group.gather("after", None)
                if len(counted) == 2:
                    raise Enough

        fit.Epochs = Counting  # type: ignore[misc]
        values = {
            "Data.Root": str(folder), "Data.Dataset": "Set", "Data.Dimensions": "2D", "Data.Size": SIZE, "Data.Patch": SIZE,
            "Data.Classes": ("background", "gland"), "Model.Weights": str(folder / f"weights{count}"),
            "Model.Preset": preset, "Parameters.Training": True, "Parameters.BatchSize": 2 * count, "Parameters.Epoch": 1,
            "Training.SamplesPerCase": 20, "Model.Outline": "False", "Sampler.Sampling_Steps": 1,
        }  # fmt: skip
        with contextlib.suppress(Enough):
            train_config(Config().with_values(values), group=group)
        if group.first:
            print(json.dumps({"weights": sum(weights), "bytes": (counted[1] - counted[0]) / UPDATES}))


def measure(preset: str, counts: list[int]) -> None:
    """Run the processes and print the table."""
    from ldseg.phantoms import write_phantoms

    print("| processes | weights | computed MB an update | measured |\n|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            write_phantoms(Path(folder) / "Set", 8, SIZE, seed=0)
            with socket.create_server(("", 0)) as server:
                port = server.getsockname()[1]
            command = [sys.executable, __file__, "--preset", preset, "--folder", folder, "--port", str(port)]
            processes = [
                subprocess.Popen([*command, "--of", str(count), "--index", str(index)], cwd=ROOT, stdout=subprocess.PIPE)
                for index in range(count)
            ]
            told = [process.communicate()[0].decode() for process in processes]
        found = json.loads(next(line for line in told[0].splitlines() if line.startswith("{")))
        computed = 2 * (count - 1) * 4 * found["weights"]
        cells = [str(count), f"{found['weights']:,}", f"{computed / 1e6:.1f}", f"{found['bytes'] / 1e6:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="lean")
    parser.add_argument("--processes", default="2,3", help="numbers of processes, with commas between them")
    for name in ("folder", "port", "of", "index"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if given.folder:
        train(given.preset, int(given.port), int(given.of), int(given.index), Path(given.folder))
        return
    apart = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if "LDSEG_APART" not in os.environ and shutil.which("unshare"):
        with contextlib.suppress(OSError):
            if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode == 0:
                os.environ["LDSEG_APART"] = "1"
                os.execvp(apart[0], [*apart, sys.executable, *sys.argv])
    measure(given.preset, [int(count) for count in given.processes.split(",")])


if __name__ == "__main__":
    main()
