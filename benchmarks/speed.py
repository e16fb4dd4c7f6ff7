"""Time and memory of segmenting a few images on the CPU: the naive way, and the presets ldseg and lean.

Run it as ``python3 benchmarks/speed.py`` from the repository; ``benchmarks/README.md`` says what is timed. The weights are
random: neither time nor memory depends on their values.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CONTENDERS = {
    "naive": "preset ldseg, a predict call per step, attention unchunked, BatchNorm and GroupNorm as in Keras",
    "ldseg": "preset ldseg, compiled predictor",
    "bfloat16": "the same with [GPU] Precision = bfloat16",
    "ldseg-onnx": "preset ldseg, ONNX Runtime, which is what a processor takes",
    "ldseg-openvino": "preset ldseg, OpenVINO",
    "ldseg-openvino-bfloat16": "the same with [GPU] Precision = bfloat16",
    "lean-onnx": "preset lean, ONNX Runtime",
    "lean-openvino": "preset lean, OpenVINO",
    "lean-openvino-bfloat16": "the same with [GPU] Precision = bfloat16",
    "lean": "preset lean, compiled predictor, on the whole 512 x 512 grid",
    "shipped": "preset lean as weights/GlaS of 0.1 shipped it: resized to 256 x 384, and its probabilities back",
}
GRID = (256, 384)
"""The grid of weights/GlaS of 0.1."""
CHANNELS, CLASSES, FEW = 3, 2, 20
Segment = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Images ``(N, *S, 3)`` in [0, 1] and noise ``(N, *L, c)`` to probabilities ``(N, *S, 2)``."""


def peak_gb() -> float:
    """Peak resident memory of this process so far, in 10^9 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def build(preset: str, size: tuple[int, ...]) -> Any:
    """A segmenter with random weights, the same in every process."""
    import keras

    from ldseg.diffusion import Schedule
    from ldseg.models import PRESETS
    from ldseg.segmenter import Segmenter, SegmenterSpec

    keras.utils.set_random_seed(0)
    return Segmenter(
        SegmenterSpec(
            preset=preset,
            size=size,
            axes="YX",
            channels=CHANNELS,
            classes=CLASSES,
            prediction=PRESETS[preset].prediction,
            schedule=Schedule(),
        )
    )


def naive(segmenter: Any, steps: int) -> Segment:
    """What the published system does: all images in one array, a ``predict`` for the encoder, each step and the decoder."""
    from ldseg.diffusion import step_grid
    from ldseg.layers import ConvNorm, GroupNormalization, SelfAttention

    # The layer as Keras has it.
    GroupNormalization.call = lambda layer, x, training=False: super(GroupNormalization, layer).call(x)
    ConvNorm.call = lambda layer, x, training=False: layer.norm(layer.conv(x), training=False)
    for layer in segmenter.image_encoder.layers:
        if isinstance(layer, SelfAttention):
            layer.scores = None
    schedule = segmenter.spec.schedule

    def segment(images: np.ndarray, x: np.ndarray) -> np.ndarray:
        condition = segmenter.image_encoder.predict(images, verbose=0)
        for now, after in pairwise(step_grid(schedule.timesteps, steps)):
            eps = segmenter.denoiser.predict([x, condition, np.full(len(x), now, np.int32)], verbose=0)
            x0 = (x - np.float32(schedule.noise_rate[now]) * eps) / np.float32(schedule.signal_rate[now])
            axes = tuple(range(1, x0.ndim))
            x0 = x0 - x0.mean(axes, keepdims=True)
            x0 = x0 / np.sqrt(np.square(x0).mean(axes, keepdims=True) + np.float32(1e-6))
            x = np.float32(schedule.signal_rate[after]) * x0 + np.float32(schedule.noise_rate[after]) * eps
        logits = segmenter.label_decoder.predict(x, verbose=0)
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    return segment


def predictor(segmenter: Any, steps: int) -> Any:
    """The predictor that ``LDSeg.py`` runs."""
    from ldseg.inference.predictor import Predictor

    made = Predictor(segmenter, steps=steps)
    made.compile()
    return made


def compiled(segmenter: Any, steps: int) -> Segment:
    """The predictor, all images in one batch."""
    made = predictor(segmenter, steps)

    def segment(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
        # One member and one copy, as nothing is mirrored, and no noise but the state to start from.
        return np.asarray(made.predict_on_batch({"image": images, "noise": noise[:, None, None, None]}))[:, 0]

    return segment


def light(segmenter: Any, steps: int, runtime: str = "onnx", precision: str = "float32") -> Segment:
    """The engine of ONNX Runtime, or of OpenVINO, on the same networks."""
    from ldseg.description import WEIGHTS_FILE
    from ldseg.export.networks import structure_of
    from ldseg.inference.onnx import OnnxEngine, OnnxRuntime, is_light
    from ldseg.inference.openvino import OpenVinoEngine, OpenVinoRuntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS_FILE
        segmenter.save_weights(path)
        graphs = structure_of(segmenter.spec).completed(path)
    made: Any
    if runtime == "onnx":
        made = OnnxEngine(segmenter.spec, OnnxRuntime(graphs, light=is_light(segmenter.spec)), steps=steps)
    else:
        made = OpenVinoEngine(segmenter.spec, OpenVinoRuntime(graphs, precision), steps=steps)

    def segment(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return made.run({"image": images, "noise": noise[:, None, None, None]}).probabilities[:, 0]

    return segment


def resized(segment: Segment, size: int) -> Segment:
    """Images resized to the grid of the network, and its probabilities back, as ``LDSeg.py`` does it."""
    from ldseg.data.preprocess import Preprocessing

    step = Preprocessing(size=GRID, channels=CHANNELS)

    def whole(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
        found = segment(np.stack([step.image_to_grid(image) for image in images]), noise)
        return np.stack([step.probabilities_to_case(each, (size, size)) for each in found])

    return whole


def contend(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Segment once to warm up, then time the repetitions. The labels go to the file ``options.masks``."""
    if name == "bfloat16":
        from ldseg.devices import set_precision

        set_precision("bfloat16")
    preset = "lean" if name.startswith(("lean", "shipped")) else "ldseg"
    segmenter = build(preset, GRID if name == "shipped" else (options.size, options.size))
    # What stands behind the preset's name.
    ways = {
        "naive": naive,
        "onnx": light,
        "openvino": partial(light, runtime="openvino"),
        "openvino-bfloat16": partial(light, runtime="openvino", precision="bfloat16"),
    }
    segment = ways.get(name.removeprefix(f"{preset}-"), compiled)(segmenter, options.steps)
    if name == "shipped":
        segment = resized(segment, options.size)
    rng = np.random.default_rng(0)
    images = rng.random((options.images, options.size, options.size, CHANNELS), dtype=np.float32)
    noise = rng.standard_normal((options.images, *segmenter.latent_shape), dtype=np.float32)
    np.save(options.masks, segment(images, noise).argmax(-1))
    seconds, cpu = [], []
    for _ in range(options.repetitions):
        started, before = time.perf_counter(), time.process_time()
        segment(images, noise)
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - before)
    return {"seconds": seconds, "cpu": cpu, "peak": peak_gb()}


def grow(options: argparse.Namespace) -> dict[str, Any]:
    """Segment many cases from disk with the preset ldseg: the peak so far after a few of them and after all."""
    from ldseg.data.cases import Case
    from ldseg.data.preprocess import Preprocessing
    from ldseg.inference import segment_cases
    from ldseg.io.pictures import write_image

    rng = np.random.default_rng(0)
    size = (options.size, options.size)
    peaks: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:

        def cases() -> Iterator[Case]:
            for index in range(options.memory):
                path = Path(folder) / f"case{index}.png"
                write_image(path, rng.integers(0, 256, (*size, CHANNELS), dtype=np.uint8))
                yield Case(name=path.stem, image=path, label=None, group=path.stem)

        made = predictor(build("ldseg", size), options.steps)
        preprocessing = Preprocessing(size=size, channels=CHANNELS)
        batches = segment_cases(made, cases(), preprocessing, batch_size=options.batch, seed=0)
        for count, item in enumerate(batches, start=1):
            if item.problem:
                raise SystemExit(item.problem)
            item.case.image.unlink()
            if count in (FEW, options.memory):
                peaks[count] = peak_gb()
    return {"peaks": peaks}


def worker(name: str, options: argparse.Namespace, masks: str = "") -> dict[str, Any]:
    """Run one contender in a process of its own, on the CPU."""
    command = [sys.executable, __file__, "--worker", name, "--masks", masks]
    for key in ("images", "size", "steps", "repetitions", "memory", "batch"):
        command += [f"--{key}", str(getattr(options, key))]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: the process ended with status {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def compare(options: argparse.Namespace) -> None:
    """Time the contenders in turn, round after round, and print the table."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only}
    with tempfile.TemporaryDirectory() as folder:
        masks = {name: str(Path(folder) / f"{name}.npy") for name in CONTENDERS}
        for turn in range(options.rounds):
            for name, done in runs.items():
                done.append(worker(name, options, masks[name]))
                spent = ", ".join(f"{value:.2f}" for value in done[-1]["seconds"])
                print(f"round {turn + 1}, {name}: {spent} s", file=sys.stderr, flush=True)
        same = [name for name in runs if name == "bfloat16" or name.startswith("ldseg")]
        agreement = {name: np.mean(np.load(masks["naive"]) == np.load(masks[name])) for name in same}
    print(f"{options.images} images of {options.size} x {options.size}, {options.steps} steps, warm")
    print(f"medians of {options.rounds} x {options.repetitions} repetitions, and the fastest\n")
    found = {
        name: [
            median(value for run in done for value in run["seconds"]),
            min(value for run in done for value in run["seconds"]),
            median(value for run in done for value in run["cpu"]),
        ]
        for name, done in runs.items()
    }
    titles = ("median s", "x naive", "fastest s", "x naive", "CPU s", "x naive", "peak GB")
    print(f"{'':22}" + "".join(f"{title:>10}" for title in titles))
    for name, done in runs.items():
        figures = [figure for own, naive in zip(found[name], found["naive"], strict=True) for figure in (own, naive / own)]
        figures.append(max(run["peak"] for run in done))
        print(f"{name:22}" + "".join(f"{figure:10.2f}" for figure in figures) + f"   {CONTENDERS[name]}")
    for name, share in agreement.items():
        print(f"labels of {name} that equal those of naive: {share:.4%}")


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="contenders, naive among them"
    )
    parser.add_argument("--images", type=int, default=5, metavar="N", help="images to segment, in one batch [5]")
    parser.add_argument("--size", type=int, default=512, help="their height and width, a multiple of 64 [512]")
    parser.add_argument("--steps", type=int, default=15, help="steps of DDIM [15]")
    parser.add_argument("--rounds", type=int, default=3, help="processes per contender, in turn [3]")
    parser.add_argument("--repetitions", type=int, default=3, help="warm repetitions in each process [3]")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="instead: peak memory over N cases, ldseg")
    parser.add_argument("--batch", type=int, default=4, help="with --memory, cases in a batch [4]")
    parser.add_argument("--worker", choices=[*CONTENDERS, "grow"], help=argparse.SUPPRESS)
    parser.add_argument("--masks", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Compare the contenders, or watch the memory, or be one of the processes that do."""
    options = arguments()
    if options.worker:
        print(json.dumps(grow(options) if options.worker == "grow" else contend(options.worker, options)))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; random weights")
    if not options.memory:
        compare(options)
        return
    for count, peak in worker("grow", options)["peaks"].items():
        print(f"preset ldseg, batch {options.batch}: peak {peak:.3f} GB after {count} cases")


if __name__ == "__main__":
    main()
