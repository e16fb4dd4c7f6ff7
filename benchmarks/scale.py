"""What grows with the number of cases: finding, checking, splitting, metrics, records, report and table.

Each part runs in a process of its own at each number of cases. Cases are hard links to a few tiny pictures; the figures of
cases are drawn from a seed. Told are processor seconds, which other load hardly changes, and the peak of memory.

    python3 benchmarks/scale.py                        # all parts, 100 to 100,000 cases
    python3 benchmarks/scale.py --parts find split     # some of them
    python3 benchmarks/scale.py --cases 100 1000 --folder /tmp/scale
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ldseg.config import Config
from ldseg.data.cases import Case, find_cases
from ldseg.data.splits import split_by_group, split_manifest
from ldseg.evaluation import CaseResult, RunRecord, bootstrap, record_run, write_metrics
from ldseg.evaluation.metrics import CLASS_METRICS, OBJECT_METRICS
from ldseg.evaluation.objects import ObjectSums

SIDE = 16
"""Pixels of a side of a picture."""

LINKS = 10_000
"""Hard links to one picture, at most: file systems have a bound."""

CLASSES = ("background", "gland")


def make_cases(folder: Path, count: int, side: int = SIDE) -> Path:
    """A data set of so many cases, four of each patient."""
    there = folder / f"cases{count}of{side}"
    if there.is_dir():
        return there
    random = np.random.default_rng(0)
    for kind in ("Image", "Label"):
        (there / kind).mkdir(parents=True)
    for index in range(count):
        for kind in ("Image", "Label"):
            path, first = there / kind / f"case{index}.png", there / kind / f"case{index - index % LINKS}.png"
            if path == first:
                made = random.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)
                grown = Image.fromarray(made).resize((side, side), Image.Resampling.BICUBIC)
                (grown if kind == "Image" else grown.convert("L").point(lambda value: value > 127)).save(path)
            else:
                os.link(first, path)
    rows = "".join(f"case{index},patient{index // 4}\n" for index in range(count))
    (there / "patients.csv").write_text(f"name,patient\n{rows}", encoding="utf-8")
    return there


def made_results(count: int, folder: Path) -> list[CaseResult]:
    """Rows as a run has them, with the scores of classes and of objects."""
    random = np.random.default_rng(0)
    found = []
    for index in range(count):
        values = random.random(len(CLASS_METRICS) + len(OBJECT_METRICS) + 3)
        scores = {metric: (1.0, float(values[place])) for place, metric in enumerate(CLASS_METRICS)}
        objects = dict(zip(OBJECT_METRICS, values[len(CLASS_METRICS) :].tolist(), strict=False))
        sums = ObjectSums(
            **{name: float(place + index % 7 + 1) for place, name in enumerate(ObjectSums.__dataclass_fields__)}
        )
        name = f"case{index}"
        found.append(
            CaseResult(
                name=name,
                mask=folder / f"{name}_segmentation.png",
                scores=scores,
                objects=objects,
                sums=sums,
                entropy=float(values[-1]),
                predicted_dice=float(values[-2]),
                seconds=float(values[-3]),
            )  # fmt: skip
        )
    return found


def made_record(count: int, folder: Path, results: list[CaseResult] | None = None) -> RunRecord:
    """The record of a run with such rows."""
    settled = Config().with_values({"Sampler.Samples": 1, "Sampler.Sampling_Steps": 5})
    facts = {"config": settled.to_dict(), "weights": str(folder), "weights_sha256": "0", "problems": [], "seconds": 1.0}
    return record_run(results or made_results(count, folder), CLASSES, facts)


def spread(cases: int) -> tuple[Case, ...]:
    """Cases without files, of patients with one to seven each."""
    sizes = np.random.default_rng(0).integers(1, 8, cases)
    groups = np.repeat(np.arange(cases), sizes)[:cases]
    return tuple(
        Case(name=f"case{i}", image=Path(f"case{i}.png"), label=None, group=f"p{group}") for i, group in enumerate(groups)
    )


def find(count: int, folder: Path) -> Callable[[], object]:
    """The cases of a data set."""
    data = make_cases(folder, count)
    return lambda: find_cases(data, training=True)


def check(count: int, folder: Path) -> Callable[[], object]:
    """``ldseg validate``, with its table."""
    from ldseg.cli.validate import run

    data = make_cases(folder, count)
    config = Config().with_values({"Data.Root": str(data.parent), "Data.Dataset": data.name, "Data.Dimensions": "2D"})
    return lambda: run(config)


def split(count: int, folder: Path) -> Callable[[], object]:
    """Training and validation by whole patients, and the manifest."""
    cases = spread(count)
    return lambda: split_manifest(*split_by_group(cases, 0.1, 0), fraction=0.1, seed=0)


def metrics(count: int, folder: Path) -> Callable[[], object]:
    """What sums up a run: means, bootstrap intervals, the worst, scores pooled over objects."""
    results = made_results(count, folder)
    return lambda: made_record(count, folder, results)


def quick_record(count: int, folder: Path) -> RunRecord:
    """The record of a run whose intervals are of a few draws, for parts that do not measure these."""
    before, bootstrap.RESAMPLES = bootstrap.RESAMPLES, 20
    try:
        return made_record(count, folder)
    finally:
        bootstrap.RESAMPLES = before


def write(count: int, folder: Path) -> Callable[[], object]:
    """metrics.json and metrics.csv."""
    record = quick_record(count, folder)
    return lambda: write_metrics(folder / f"run{count}", record)


def read(count: int, folder: Path) -> Callable[[], object]:
    """A record read again."""
    from ldseg.evaluation.compare import read_run

    write(count, folder)()
    return lambda: read_run(folder / f"run{count}")


def report(count: int, folder: Path) -> Callable[[], object]:
    """report.html, an overlay for each case."""
    from ldseg.viz.report.page import write_report

    record = quick_record(count, folder)
    place = folder / f"report{count}"
    (place / "Overlay").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(count):
        path = place / "Overlay" / f"case{index}_overlay.png"
        first = place / "Overlay" / f"case{index - index % LINKS}_overlay.png"
        if path.exists():
            continue
        if path == first:
            coarse = Image.fromarray(random.integers(0, 255, (12, 16, 3)).astype(np.uint8))
            coarse.resize((320, 240), Image.Resampling.BICUBIC).save(path)
        else:
            os.link(first, path)
    return lambda: write_report(place, record)


def table(count: int, folder: Path) -> Callable[[], object]:
    """What a run prints."""
    from ldseg.cli.segment import _table

    record = quick_record(count, folder)
    return lambda: print(_table(record, (), ("object_f1",)))


def collect(count: int, folder: Path) -> Callable[[], object]:
    """Two shards, joined."""
    from ldseg.cli.collect import run

    place = folder / f"shards{count}-{os.getpid()}"
    results = made_results(count, place)
    for index in (1, 2):
        shard = place / f"shard-{index}-of-2"
        shard.mkdir(parents=True)
        own = results[index - 1 :: 2]
        for result in own:
            (shard / f"{result.name}_segmentation.png").touch()
        facts = {"config": Config().with_values({"Output.Report": False}).to_dict(), "weights": "w", "weights_sha256": "0"}
        moved = [CaseResult(name=each.name, mask=shard / f"{each.name}_segmentation.png") for each in own]
        write_metrics(shard, record_run(moved, CLASSES, facts))
    return lambda: run([place])


def first(count: int, folder: Path) -> Callable[[], object]:
    """A training up to its first update: images of 256 x 256, the preset lean, batch 4."""
    from ldseg.training.prepare import train_config
    from ldseg.training.progress import Progress

    class Done(Exception):
        """There was an update."""

    def stop(*_: object, **__: object) -> None:
        raise Done

    data = make_cases(folder, count, 256)
    values = {
        "Data.Root": str(data.parent), "Data.Dataset": data.name, "Data.Size": (256, 256), "Parameters.BatchSize": 4,
        "Model.Weights": str(folder / f"weights{count}-{os.getpid()}"), "Data.Labels": "classes",
        "Parameters.Training": True,
    }  # fmt: skip

    def run() -> None:
        Progress.on_train_batch_end = stop  # type: ignore[method-assign]
        with contextlib.suppress(Done):
            train_config(Config().with_values(values))

    return run


PARTS = (first, find, check, split, metrics, write, read, report, table, collect)


def measure(part: str, count: int, folder: Path) -> None:
    """In a process of its own: processor seconds, seconds, and the peak of memory in MB."""
    work = next(each for each in PARTS if each.__name__ == part)(count, folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        cpu, clock = time.process_time(), time.perf_counter()
        work()
        told = time.process_time() - cpu, time.perf_counter() - clock
    print("measured", *told, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(part: str, count: int, folder: Path) -> tuple[float, float, float]:
    """What `measure` prints in a process of its own."""
    command = [sys.executable, __file__, "--one", part, str(count), "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("measured"))
    cpu, clock, memory = map(float, line.split()[1:])
    return cpu, clock, memory


def main() -> None:
    """Measure what the command line names."""
    names = [part.__name__ for part in PARTS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=names, default=names)
    parser.add_argument("--cases", nargs="+", type=int, default=[100, 10_000, 100_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--one", nargs=2)
    given = parser.parse_args()
    if given.one:
        measure(given.one[0], int(given.one[1]), given.folder)
        return
    with tempfile.TemporaryDirectory() as own:
        folder = given.folder or Path(own)
        print("| part | cases | CPU s | µs a case | s | MB |\n|---|---|---|---|---|---|")
        for part in given.parts:
            for count in given.cases:
                cpu, clock, memory = measured(part, count, folder)
                print(f"| {part} | {count} | {cpu:.2f} | {1e6 * cpu / count:.0f} | {clock:.2f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
