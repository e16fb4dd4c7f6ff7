"""Weights that LDSeg was published with: whole processes, from their start to the masks of five images on disk.

Run it as ``python3 benchmarks/published.py path/to/savedModels``. *naive* is a program that does as the published code does:
all images in one array, a Keras ``predict`` for the encoder, for each step and for the decoder, with the networks of the
published files (``naive`` of ``speed.py``). The other is ``ldseg segment``, masks alone. Both read the same images and
sample 15 steps.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from startup import PLAIN, ROOT, run

sys.path.insert(0, str(ROOT))
IMAGES = sorted((ROOT / "data" / "GlaS" / "Image").glob("*.png"))[:5]


def naive_process(folder: Path, out: Path) -> None:
    """The naive way, in this process."""
    import numpy as np
    from speed import naive

    from ldseg.data.cases import Case, load_case
    from ldseg.description import read_description
    from ldseg.io.pictures import write_mask
    from ldseg.published import find_weights
    from ldseg.weights import load_segmenter

    place = find_weights(folder)
    segmenter, _ = load_segmenter(place)
    step = read_description(place).preprocessing
    cases = [Case(name=path.stem, image=path, label=None, group=path.stem) for path in IMAGES]
    images = np.stack([step.image_to_grid(load_case(case, step).image) for case in cases])
    noise = np.random.default_rng(0).standard_normal((len(images), *segmenter.latent_shape), dtype=np.float32)
    for case, mask in zip(cases, naive(segmenter, 15)(images, noise).argmax(-1).astype(np.uint8), strict=True):
        write_mask(out / f"{case.name}.png", mask)


def main() -> None:
    """Run both in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the published files, or one of them")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs [3]")
    parser.add_argument("--naive", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.naive:
        naive_process(options.folder, options.naive)
        return
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        settings = [part for value in PLAIN for part in ("--set", value)]
        ours = [sys.executable, "-m", "ldseg", "segment", *map(str, IMAGES), "--weights", str(options.folder)]
        contenders = {
            "naive": [sys.executable, __file__, str(options.folder), "--naive", str(out / "naive")],
            "ldseg segment": [*ours, "--out", str(out / "ours"), *settings],
        }
        run(contenders["ldseg segment"], ROOT)  # converts them, once
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, command in contenders.items():
                found[name].append(run(command, ROOT))
    print("| | median s | × naive | CPU s | peak GB |\n|---|---|---|---|---|")
    reference = median(wall for wall, _, _ in found["naive"])
    for name, runs in found.items():
        wall, seconds, peak = (median(column) for column in zip(*runs, strict=True))
        print(f"| {name} | {wall:.2f} | {reference / wall:.2f} | {seconds:.2f} | {peak:.2f} |")
    print(f"\n{os.cpu_count()} cores, load of the last minute {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
