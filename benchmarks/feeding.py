"""How fast batches for training come: decoded each time, from memory, and from the cache on disk.

    python3 benchmarks/feeding.py                          # 200 pictures of 512 x 512, on a grid of 256 x 256
    python3 benchmarks/feeding.py --side 2000 --count 40   # others

Told are processor milliseconds a sample, which other load hardly changes, of the reading alone and with the random changes
that a training makes (histology); and the bytes that a prepared case takes. Pictures are read from the cache of the system.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import find_cases
from ldseg.data.disk import DiskCache
from ldseg.data.preprocess import Preprocessing


def make(folder: Path, count: int, side: int) -> None:
    """Pictures with the detail of photographs, and their labels."""
    random = np.random.default_rng(0)
    for kind in ("Image", "Label"):
        (folder / kind).mkdir(parents=True)
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 255, (side // 8, side // 8, 3)).astype(np.uint8))
        grown = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = np.clip(grown + random.integers(-6, 7, grown.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "Image" / f"{index}.png")
        Image.fromarray((grown[..., 0] > 127).astype(np.uint8)).save(folder / "Label" / f"{index}.png")


def spent(batches: TrainingBatches, augmentation: str, epochs: int = 1) -> float:
    """Processor milliseconds a sample."""
    batches.augmentation = augmentation
    before = time.process_time()
    for index in range(epochs * len(batches)):
        batches.batch(index)
    return 1000 * (time.process_time() - before) / (epochs * len(batches.cases))


def main() -> None:
    """Measure the four ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--side", type=int, default=512)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "Set", given.count, given.side)
        cases = find_cases(folder / "Set", training=True).cases
        time.sleep(3)  # files that are younger than two seconds are looked at twice
        step = Preprocessing(size=(256, 256), labels="classes")

        def batches(**more: object) -> TrainingBatches:
            options = {"batch_size": 4, "patch": (256, 256), "latent_shape": (32, 32, 4), "timesteps": 1000}
            return TrainingBatches(cases, step, **options, augmentation="none", recycling=0.0, seed=0, **more)  # type: ignore[arg-type]

        def on_disk() -> DiskCache:
            return DiskCache(folder / "cache", 10**11, step.to_dict())

        print("| | ms a sample | with random changes |\n|---|---|---|")
        decoded = batches()
        print(f"| decoded each time | {spent(decoded, 'none'):.2f} | {spent(decoded, 'histology'):.2f} |", flush=True)
        print(
            f"| from disk, the first time, when it is written | {spent(batches(disk=on_disk()), 'none'):.2f} | |", flush=True
        )
        print(f"| by a later training, the first time | {spent(batches(disk=on_disk()), 'none'):.2f} | |", flush=True)
        kept = batches(disk=on_disk())
        spent(kept, "none")
        print(f"| from disk | {spent(kept, 'none', 3):.2f} | {spent(kept, 'histology', 3):.2f} |", flush=True)
        held = batches(cache=10**6)
        spent(held, "none")
        print(f"| from memory | {spent(held, 'none', 3):.2f} | {spent(held, 'histology', 3):.2f} |", flush=True)
        sizes = [file.stat().st_size for file in (folder / "cache").rglob("*.case")]
        print(f"\n{np.mean(sizes) / 1000:.0f} kB on disk a prepared case")


if __name__ == "__main__":
    main()
