"""What segmenting takes an image beside reading it and the network: processor milliseconds, which other load hardly changes.

    python3 benchmarks/overhead.py                 # 200 pictures of 256 x 256, weights/GlaS, ONNX Runtime
    python3 benchmarks/overhead.py --profile       # and where it goes

The whole of a run, from the settings to its record, less what reading the same files takes and what the engine takes for the
same batches, each alone; what is the same for any number of images is measured with two of them, and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ldseg.cli.segment import run
from ldseg.cli.task import Task, begin
from ldseg.config import Config
from ldseg.data.cases import load_case
from ldseg.inference.tiled import TiledCase

RUNS = {
    "masks": {"Output.Overlay": False, "Output.Diffusion": 0, "Output.Report": False},
    "masks and overlays": {"Output.Diffusion": 0, "Output.Report": False},
    "masks, overlays, report": {"Output.Diffusion": 0},
}


def make(folder: Path, count: int, side: int, labels: bool) -> None:
    """Pictures with the detail of photographs, and labels of round objects."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side]
    for kind in ("Image", "Label")[: 1 + labels]:
        (folder / kind).mkdir(parents=True)
    for index in range(count):
        coarse = Image.fromarray(random.integers(100, 255, (side // 16, side // 16, 3)).astype(np.uint8))
        grown = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = np.clip(grown + random.integers(-6, 7, grown.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "Image" / f"{index}.png")
        if labels:
            disc = (rows - side / 3) ** 2 + (columns - side / 2 + index % 9) ** 2 < (side / 5) ** 2
            Image.fromarray(disc.astype(np.uint8)).save(folder / "Label" / f"{index}.png")


def spent(work: Callable[[], object]) -> float:
    """Processor seconds of a piece of work; what it prints is not shown."""
    before = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        work()
    return time.process_time() - before


def read_all(task: Task) -> None:
    """Read all cases, and nothing more."""
    for case in task.cases:
        load_case(case, task.preprocessing)


def networks(task: Task) -> float:
    """Processor seconds of the engine for all cases, in the batches of a run."""
    engine, size = task.predictor(), int(task.config.parameters.batch_size)
    tiles = []
    for case in task.cases:
        tiled = TiledCase(load_case(case, task.preprocessing), task.preprocessing, engine, seed=0)
        tiles += [tiled.tile(start) for start in tiled.tiling.starts]
    batches = [tiles[start : start + size] for start in range(0, len(tiles), size)]
    stacked = [{name: np.stack([tile[name] for tile in batch]) for name in batch[0]} for batch in batches]
    engine.run(stacked[0], states=False, features=True)
    return spent(lambda: [engine.run(batch, states=False, features=True) for batch in stacked])


def main() -> None:
    """Measure each kind of run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--weights", default="GlaS")
    parser.add_argument("--labels", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in (2, given.count):
            make(folder / str(count), count, given.side, given.labels)

        def config(count: int, **changes: object) -> Config:
            values = {"Data.Root": str(folder), "Data.Dataset": str(count), "Model.Weights": given.weights}
            return Config().with_values({**values, "GPU.Engine": "onnx", "Output.Folder": str(folder / "out"), **changes})

        task = begin(config(given.count))
        each = 1000 / given.count
        reading = each * float(np.median([spent(lambda: read_all(task)) for _ in range(given.rounds)]))
        network = each * float(np.median([networks(task) for _ in range(given.rounds)]))
        print(f"ms an image of the processor: reading {reading:.2f}, the network {network:.2f}; beside them")
        for title, changes in RUNS.items():
            whole = [spent(lambda: run(config(given.count, **changes))) for _ in range(given.rounds)]  # noqa: B023
            empty = [spent(lambda: run(config(2, **changes))) for _ in range(given.rounds)]  # noqa: B023
            total = 1000 * float(np.median(np.subtract(whole, empty))) / (given.count - 2)
            print(f"  {title}: {total - reading - network:.2f} (of {total:.2f} in all)", flush=True)
        if given.profile:
            profile = cProfile.Profile(timer=time.process_time)
            plainly = mock.patch("ldseg.inference.cases.ahead", lambda items, *more, **options: iter(items))
            with plainly, mock.patch.object(ThreadPoolExecutor, "submit", done_at_once):
                profile.enable()  # everything in one thread, one after the other
                spent(lambda: run(config(given.count, **RUNS["masks"])))
                profile.disable()
            for order in ("tottime", "cumtime"):
                pstats.Stats(profile).sort_stats(order).print_stats(60)


def done_at_once(self: ThreadPoolExecutor, work: Callable[..., object], *given: object, **named: object) -> Future[object]:
    """In place of handing work to another thread."""
    done: Future[object] = Future()
    try:
        done.set_result(work(*given, **named))
    except Exception as error:  # told by whoever asks for the result
        done.set_exception(error)
    return done


if __name__ == "__main__":
    main()
