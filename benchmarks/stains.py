"""Copies of a data set in other colours, to see what weights make of a stain that they never saw.

    python3 benchmarks/stains.py FROM TO

``FROM`` has ``Image/`` and, if any, ``Label/`` of 8-bit pictures. ``TO`` gets a data set for each of KINDS, labels and
``patients.csv`` copied, images as PNG. What is drawn at random depends on the seed and the name of the image alone. The
changes share no code with those of the training.
"""

from __future__ import annotations

import argparse
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

# Optical densities of haematoxylin, eosin and DAB (Ruifrok & Johnston 2001).
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS /= np.linalg.norm(STAINS, axis=1, keepdims=True)
DARKEST = 1.0 / 255.0


def gray(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The luma of ITU-R BT.601 in all three channels."""
    return np.repeat((image @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=-1)


def hue(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The hue of HSV turned by 60 to 300 degrees."""
    tones = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    tones[..., 0] = (tones[..., 0] + rng.uniform(60.0, 300.0)) % 360.0
    return cv2.cvtColor(tones, cv2.COLOR_HSV2RGB)


def channels(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The channels in one of the five other orders."""
    orders = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    return image[..., orders[int(rng.integers(len(orders)))]]


def eosin(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Twice the eosin, in the manner of colour deconvolution."""
    amounts = -np.log(np.maximum(image, DARKEST)) @ np.linalg.inv(STAINS)
    amounts[..., 1] += np.maximum(amounts[..., 1], 0.0)  # the bluest pixels have less than none
    return np.exp(-amounts @ STAINS)


def faded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Between a quarter and a half of the optical density."""
    return np.maximum(image, DARKEST) ** rng.uniform(0.25, 0.5)


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "gray": gray, "hue": hue, "channels": channels, "eosin": eosin, "faded": faded,
}  # fmt: skip


def stained(image: np.ndarray, kind: str, name: str, seed: int) -> np.ndarray:
    """An RGB image uint8 (H, W, 3) in other colours, the same way."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), zlib.crc32(name.encode())])
    changed = KINDS[kind](image.astype(np.float64) / 255.0, rng)
    return np.rint(255.0 * np.clip(changed, 0.0, 1.0)).astype(np.uint8)


def main() -> None:
    """Write the copies and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="FROM", help="folder of a data set")
    parser.add_argument("goal", type=Path, metavar="TO", help="folder for the copies")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn at random [0]")
    options = parser.parse_args()
    pictures = sorted(path for path in (options.source / "Image").iterdir() if path.is_file())
    for kind in KINDS:
        (options.goal / kind / "Image").mkdir(parents=True, exist_ok=True)
        for path in pictures:
            read = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if read is None:
                raise SystemExit(f"{path}: expected a picture")
            image = stained(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), kind, path.stem, options.seed)
            copy = options.goal / kind / "Image" / f"{path.stem}.png"
            if not cv2.imwrite(str(copy), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
                raise SystemExit(f"{options.goal}: cannot be written")
        if (options.source / "Label").is_dir():
            shutil.copytree(options.source / "Label", options.goal / kind / "Label", dirs_exist_ok=True)
        if (options.source / "patients.csv").is_file():
            shutil.copy(options.source / "patients.csv", options.goal / kind)
        print(f"{len(pictures)} images: {options.goal / kind}")


if __name__ == "__main__":
    main()
