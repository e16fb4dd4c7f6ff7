"""What segmenting many images takes: seconds, bytes and core-hours, by the number of images and of workers, and what binds.

    python3 benchmarks/cost.py                         # the tables of docs/scale.md
    python3 benchmarks/cost.py --figure docs/scale.png # and the figure
    python3 benchmarks/cost.py --measure               # the constants of this machine; shards of one and of two processes
    python3 benchmarks/cost.py --disk 150 --network 125 --cpu 0.3 --price 0.05   # another place

A worker is one process on one core: ``ldseg segment --shard i/n``. It begins, finds all cases (as every shard does), then
reads, segments and writes its own, images in bundles. Workers share one disk, and the network to it, which serve one bundle
after the other. Then ``ldseg collect`` joins the shards on one machine, the head node. Bundles vary in time as images did
where it was measured; the seed says how.
"""

from __future__ import annotations

import argparse
import heapq
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

IMAGES, WORKERS = (10**3, 10**4, 10**5, 10**6, 10**7), (1, 2, 4, 8, 16, 32, 64)
BUNDLES = 100
"""Of a worker: images are simulated that many at a time, so that 10^7 of them take no longer than 10^3."""


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What the model is made of. Seconds are of one core.

    Attributes:
        cpu: seconds to read, segment and write an image (``--measure``).
        spread: standard deviation of that from image to image, as a share.
        start: seconds before the first image, once a worker.
        find: seconds to find a case (``benchmarks/scale.py``).
        join: seconds to join, sum up and write down a case on the head node (the same: read, metrics, write, collect).
        held: bytes of memory that a case takes there.
        read: bytes of an image.
        written: bytes of its mask and of its lines in the records.
        disk: MB/s of the disk that all share.
        network: MB/s of the way to it.
        price: of a core-hour.
    """

    cpu: float = 0.065
    spread: float = 0.3
    start: float = 0.94
    find: float = 56e-6
    join: float = 480e-6
    held: float = 17_900
    read: float = 460_000
    written: float = 7_500
    disk: float = 319.0
    network: float = 1250.0
    price: float = 0.04


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What so many images take.

    Attributes:
        seconds: until the record is written.
        segmenting: of these, until the last worker is done.
        core_hours: that are paid: workers until the last is done, then the head node.
        bytes: that are read and written.
        binds: what one would have to have more of to be quicker.
    """

    seconds: float
    segmenting: float
    core_hours: float
    bytes: float
    binds: str


def simulate(images: int, workers: int, constants: Constants, seed: int = 0) -> Cost:
    """Run the workers bundle by bundle: whoever is ready first is served first by the disk and the network."""
    random, given = np.random.default_rng(seed), constants
    per_worker = images / workers
    bundles = min(BUNDLES, max(1, round(per_worker)))
    size = per_worker / bundles  # images of a bundle
    served = size * (given.read + given.written) / 1e6  # MB
    times = given.cpu * size * np.maximum(0.1, random.normal(1, given.spread / np.sqrt(size), (workers, bundles)))
    begin = given.start + given.find * images
    ready = [(begin, worker, 0) for worker in range(workers)]
    free = {"disk": 0.0, "network": 0.0}
    busy = {"disk": served * workers * bundles / given.disk, "network": served * workers * bundles / given.network}
    end = begin
    while ready:
        now, worker, bundle = heapq.heappop(ready)
        for name, rate in (("disk", given.disk), ("network", given.network)):
            now = free[name] = max(now, free[name]) + served / rate
        now += times[worker, bundle]
        end = max(end, now)
        if bundle + 1 < bundles:
            heapq.heappush(ready, (now, worker, bundle + 1))
    join = given.join * images
    shares = {"cores": float(times.sum()) / workers, **busy, "head node": begin + join}
    return Cost(
        seconds=end + join,
        segmenting=end,
        core_hours=(workers * end + join) / 3600,
        bytes=images * (given.read + given.written),
        binds=max(shares, key=lambda name: shares[name]),
    )


def spoken(seconds: float) -> str:
    """A time to read."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def tables(constants: Constants) -> None:
    """Print the tables of the document."""
    found = {(n, w): simulate(n, w, constants) for n in IMAGES for w in WORKERS}
    heads = "".join(f" {w} |" for w in WORKERS)
    print(f"Until the record is written, by images and workers; in brackets what binds, if not the cores:\n\n| |{heads}")
    print("|---|" + "---|" * len(WORKERS))
    for n in IMAGES:
        cells = [f"{spoken(cost.seconds)}{'' if cost.binds == 'cores' else f' ({cost.binds})'}" for cost in
                 (found[n, w] for w in WORKERS)]  # fmt: skip
        print(f"| {n:,} | {' | '.join(cells)} |")
    print(f"\nCore-hours, and money at {constants.price} a core-hour:\n\n| |{heads}\n|---|" + "---|" * len(WORKERS))
    for n in IMAGES:
        hours = [found[n, w].core_hours for w in WORKERS]
        print(f"| {n:,} | {' | '.join(f'{hour:,.2f} ({hour * constants.price:,.2f})' for hour in hours)} |")
    print("\n| images | read | written | memory of the head node |\n|---|---|---|---|")
    for n in IMAGES:
        sizes = n * constants.read, n * constants.written, n * constants.held
        print(f"| {n:,} | {' | '.join(f'{size / 1e9:,.2f} GB' for size in sizes)} |")
    each = (constants.read + constants.written) / 1e6
    print(f"\nThe disk binds from {constants.disk * constants.cpu / each:,.0f} workers on, the network from"
          f" {constants.network * constants.cpu / each:,.0f}; the head node, which works alone, from"
          f" {constants.cpu / (constants.find + constants.join):,.0f} on.")  # fmt: skip


def figure(path: Path, constants: Constants) -> None:
    """Draw seconds and core-hours over workers, a line for each number of images."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawing, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for n in IMAGES:
        costs = [simulate(n, w, constants) for w in WORKERS]
        (line,) = left.plot(WORKERS, [cost.seconds / 3600 for cost in costs], marker="o", label=f"{n:,} images")
        ideal = [costs[0].seconds / w / 3600 for w in WORKERS]
        left.plot(WORKERS, ideal, color=line.get_color(), linestyle=":", linewidth=1)
        right.plot(WORKERS, [cost.core_hours for cost in costs], marker="o", color=line.get_color())
    for axes, title in ((left, "Hours until the record is written"), (right, "Core-hours")):
        axes.set(xscale="log", yscale="log", xlabel="workers, a core each", title=title)
        axes.set_xticks(WORKERS, [str(w) for w in WORKERS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    drawing.legend(loc="outside right upper", fontsize="small")
    drawing.savefig(path, dpi=80)


def shard(data: Path, out: Path, index: int, count: int, core: int) -> subprocess.Popen[bytes]:
    """One worker on one core."""
    command = [sys.executable, str(ROOT / "LDSeg.py"), "segment", str(data), "--weights", "GlaS", "--out", str(out),
               "--shard", f"{index}/{count}", "--set", "Output.Overlay=False", "--set", "Output.Report=False",
               "--set", "Output.Diffusion=0"]  # fmt: skip
    pin = lambda: os.sched_setaffinity(0, {core})  # noqa: E731
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=pin)


def spent(work: list[subprocess.Popen[bytes]]) -> float:
    """Processor seconds of processes, once they have ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if any(process.wait() for process in work):
        raise SystemExit("a worker failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(count: int) -> None:
    """Print the constants of this machine, and how long shards of one and of two processes took."""
    from overhead import make

    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for images in (4, count):
            make(folder / str(images), images, 512, labels=False)
        base = spent([shard(folder / "4", folder / "few", 1, 1, cores[0])])
        for processes in (1, 2):
            out, began = folder / f"out{processes}", time.perf_counter()
            started = [shard(folder / str(count), out, i + 1, processes, cores[i % len(cores)]) for i in range(processes)]
            cpu, clock = spent(started), time.perf_counter() - began
            collect = subprocess.Popen(
                [sys.executable, str(ROOT / "LDSeg.py"), "collect", str(out)], stdout=subprocess.DEVNULL
            )
            join = spent([collect])
            print(f"{count} images, {processes} processes: {clock:.1f} s, processor {cpu:.2f} s, collect {join:.2f} s")
            if processes == 1:
                each = (cpu - base) / (count - 4)
                read = np.mean([path.stat().st_size for path in (folder / str(count) / "Image").iterdir()])
                written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / count
                print(f"cpu {each:.4f}, start {base - 4 * each:.2f}, read {read:.0f}, written {written:.0f}")
        text = (out / "metrics.csv").read_text(encoding="utf-8")
        seconds = np.array([float(found) for found in re.findall(r"png,(\d+\.\d+),", text)])
        print(
            f"seconds of an image as its record has them: {seconds.mean():.3f}, spread {seconds.std() / seconds.mean():.2f}"
        )


def main() -> None:
    """Tables, figure or constants."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--figure", type=Path)
    for field in fields(Constants):
        parser.add_argument(f"--{field.name}", type=float, default=field.default)
    given = vars(parser.parse_args())
    constants = replace(Constants(), **{field.name: given[field.name] for field in fields(Constants)})
    if given["measure"]:
        measure(given["count"])
        return
    tables(constants)
    if given["figure"]:
        figure(given["figure"], constants)


if __name__ == "__main__":
    main()
