"""Images a second on a GPU, and the memory they take, with random weights: neither depends on their values.

    KERAS_BACKEND=jax python3 benchmarks/gpu.py
    KERAS_BACKEND=jax python3 benchmarks/gpu.py --size 64 --batch 1 2 --seconds 1     # a trial, on any machine

A call is the compiled one of ``ldseg.inference``: all steps of a batch without a return to Python. Images and noise go to
the device with every call, and masks come back, as in a run; reading and resizing files is not in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Time each preset with each batch and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["ldseg", "lean"], help="presets of LDSeg [ldseg lean]")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32], help="images in a call [1 32]")
    parser.add_argument("--size", type=int, default=512, help="their height and width, a multiple of 64 [512]")
    parser.add_argument("--steps", type=int, default=15, help="steps of DDIM [15]")
    parser.add_argument("--seconds", type=float, default=10, help="to repeat each call for, after compiling [10]")
    parser.add_argument("--precision", default="float32", help="float32 or bfloat16 [float32]")
    options = parser.parse_args()

    import keras
    from speed import CHANNELS, build, predictor

    from ldseg import devices

    devices.choose(multiple=False)
    devices.set_precision(options.precision)
    print(f"{devices.machine()}; Keras {keras.version()} on {keras.backend.backend()}, {options.precision}")
    print(f"{options.size} x {options.size}, {options.steps} steps\n")
    print("| preset | batch | first call, s | images a second | s a call, median | peak GB |\n|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for preset in options.presets:
        segmenter = build(preset, (options.size, options.size))
        made = predictor(segmenter, options.steps)
        for batch in options.batch:
            images = rng.random((batch, options.size, options.size, CHANNELS), dtype=np.float32)
            noise = rng.standard_normal((batch, 1, 1, 1, *segmenter.latent_shape), dtype=np.float32)
            devices.forget_peak()
            calls: list[float] = []
            while len(calls) < 3 or sum(calls[1:]) < options.seconds:
                started = time.perf_counter()
                made.run({"image": images, "noise": noise})
                calls.append(time.perf_counter() - started)
            first, *warm = calls
            peak, of = devices.peak_memory()
            rate = batch * len(warm) / sum(warm)
            print(f"| {preset} | {batch} | {first:.1f} | {rate:.1f} | {np.median(warm):.4f} | {peak / 1e9:.2f} ({of}) |")


if __name__ == "__main__":
    main()
