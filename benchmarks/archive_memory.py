"""What memory a run on a cluster of Ray takes, of more pictures than it could hold decoded.

    python3 benchmarks/archive_memory.py                        # 150 pictures of 4096 x 4096, 30 GB decoded
    python3 benchmarks/archive_memory.py --counts 20 40 --side 1024

``ldseg segment --ray local`` over pictures that are hard links to one. The peak of each kind of process is looked up in
``/proc`` while it runs: of workers, which hold the networks; of the command, which leads them and writes the table; and of
the object store, by what ``/dev/shm`` holds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def make(folder: Path, count: int, side: int) -> Path:
    """A folder of so many pictures."""
    folder.mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(0, 255, (side // 64, side // 64, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(folder / "picture0.png", compress_level=1)
    for index in range(1, count):
        os.link(folder / "picture0.png", folder / f"picture{index}.png")
    return folder


def memory_of(process: int) -> float:
    """MB of a process, without what it shares."""
    lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def shared() -> float:
    """MB in the shared memory of this machine, where Ray keeps its objects."""
    found = os.statvfs("/dev/shm")
    return (found.f_blocks - found.f_bfree) * found.f_frsize / 2**20


def below(process: int) -> dict[int, str]:
    """The processes that one has begun, and those that these have, with their command lines."""
    parents, told = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            told[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
    found: dict[int, str] = {}
    for number in parents:
        above = number
        while above in parents and above != process:
            above = parents[above]
        if above == process and number != process:
            found[number] = told[number]
    return found


def peaks(command: list[str]) -> tuple[dict[str, float], float]:
    """The most MB of each kind of process while a command runs, and its seconds."""
    most: dict[str, float] = defaultdict(float)
    before, began = shared(), time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            kinds = {run.pid: "command"}
            for number, line in below(run.pid).items():
                if line.startswith("ray::") and "Map" in line:
                    kinds[number] = "worker"
            for number, kind in kinds.items():
                with contextlib.suppress(OSError, StopIteration):  # it has ended
                    most[kind] = max(most[kind], memory_of(number))
            most["object store"] = max(most["object store"], shared() - before)
            time.sleep(0.1)
    if run.returncode:
        sys.exit(f"the run ended with status {run.returncode}")
    return dict(most), time.monotonic() - began


def main() -> None:
    """Measure runs of the numbers of pictures that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", nargs="+", type=int, default=[15, 150])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--weights", default="DDTI")
    given = parser.parse_args()
    print("| pictures | decoded, GB | a worker, MB | the command, MB | object store, MB | s |\n|---|---|---|---|---|---|")
    for count in given.counts:
        with tempfile.TemporaryDirectory() as top:
            data = make(Path(top) / "set", count, given.side)
            command = [
                sys.executable,
                "-m",
                "ldseg",
                "segment",
                str(data),
                "--out",
                f"{top}/out",
            ]
            settings = ["--weights", given.weights, "--steps", "1", "--ray", "local"]
            settings += ["--set", "Output.Overlay=False", "--set", "Output.Report=False"]
            most, seconds = peaks([*command, *settings])
        decoded = count * given.side**2 * 3 * 4 / 1e9
        told = " | ".join(f"{most[kind]:.0f}" for kind in ("worker", "command", "object store"))
        print(f"| {count} | {decoded:.1f} | {told} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
