"""Which images are named as unlike those that weights learned from: as they are, and changed in ways that should be named.

    python3 benchmarks/alarm.py GlaS FOLDER_ABOVE/GlaS "testA_*"
    python3 benchmarks/alarm.py DDTI FOLDER_ABOVE/DDTI "3[0-9][0-9]_*" --count 60

Nothing is segmented: what is measured of an image needs its encoder alone.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ldseg
from ldseg.config import SamplerConfig
from ldseg.data.cases import LoadedCase, find_cases, load_case
from ldseg.evaluation.familiarity import mean_signature, signature_of, unfamiliar
from ldseg.inference.familiar import tiles_of

SIDE = 600

Change = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]
"""From an image ``(H, W, c)`` in [0, 1] and eight others to one of the same size."""


def sized(image: np.ndarray, like: np.ndarray, part: int = 1) -> np.ndarray:
    """An image as large as another one, or as a part of it."""
    height, width = (length // part for length in like.shape[:2])
    way = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=way).reshape(
        height, width, image.shape[-1]
    )


def third(image: np.ndarray, _: Sequence[np.ndarray]) -> np.ndarray:
    """The middle ninth of an image, as large as the whole."""
    height, width = (length // 3 for length in image.shape[:2])
    return sized(image[height : 2 * height, width : 2 * width], image)


def mirrored(image: np.ndarray, _: Sequence[np.ndarray]) -> np.ndarray:
    """An image of a third of the size, among its mirror images."""
    small = sized(image, image, 3)
    around = [(length, whole - 2 * length) for length, whole in zip(small.shape[:2], image.shape[:2], strict=True)]
    return np.pad(small, [*around, (0, 0)], mode="symmetric")


def nine(image: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Nine images in one."""
    parts = [sized(each, image, 3) for each in (*others[:4], image, *others[4:])]
    return np.concatenate([np.concatenate(parts[row : row + 3], axis=1) for row in (0, 3, 6)])


def fundus(image: np.ndarray, _: Sequence[np.ndarray]) -> np.ndarray:
    """A drawing of the back of an eye."""
    drawn = np.zeros((SIDE, SIDE, 3), np.uint8)
    middle, colours = (SIDE // 2, SIDE // 2), ((190, 80, 40), (250, 220, 150), (110, 20, 15))
    cv2.circle(drawn, middle, int(0.47 * SIDE), colours[0], -1)
    cv2.circle(drawn, (int(0.7 * SIDE), SIDE // 2), int(0.08 * SIDE), colours[1], -1)
    for angle in range(0, 360, 45):
        end = (int(0.7 * SIDE + 0.5 * SIDE * np.cos(angle)), int(SIDE / 2 + 0.5 * SIDE * np.sin(angle)))
        cv2.line(drawn, (int(0.7 * SIDE), SIDE // 2), end, colours[2], 4)
    return as_channels(cv2.GaussianBlur(drawn, (0, 0), 1.5), image)


def logo(image: np.ndarray, _: Sequence[np.ndarray]) -> np.ndarray:
    """A blue disc with letters, on white."""
    drawn = np.full((SIDE, SIDE, 3), 255, np.uint8)
    cv2.circle(drawn, (SIDE // 2, SIDE // 2), SIDE // 3, (20, 60, 160), -1)
    cv2.putText(drawn, "LOGO", (SIDE // 4, SIDE // 2 + 20), cv2.FONT_HERSHEY_DUPLEX, 3, (255, 255, 255), 8)
    return as_channels(drawn, image)


def as_channels(drawn: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A drawing with as many channels as an image."""
    values = drawn.astype(np.float32) / 255
    return values if image.shape[-1] == 3 else np.repeat(values.mean(axis=-1, keepdims=True), image.shape[-1], axis=-1)


CHANGES: dict[str, Change] = {
    "as they are": lambda image, _: image,
    "a drawn fundus": fundus,
    "a logo": logo,
    "12 bits read as 16": lambda image, _: image / 16,
    "a third of the image, as large": third,
    "a third of the size, mirrored around": mirrored,
    "nine images in one": nine,
}


def main() -> None:
    """Print the share of images that are named, by how they were changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("data", type=Path)
    parser.add_argument("cases", help="a pattern of names")
    parser.add_argument("--count", type=int, default=0, help="so many of them [all]")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    model = ldseg.load(given.weights)
    engine, described = model.engine(SamplerConfig(sampling_steps=1, samples=1)), model.description
    step, spec = described.preprocessing, described.spec
    cases = [replace(case, label=None) for case in find_cases(given.data, [given.cases], axes=spec.axes).cases]
    chosen = np.random.default_rng(0).permutation(len(cases))[: given.count or None]
    loaded = [load_case(cases[index], step) for index in chosen]

    def told(case: LoadedCase, image: np.ndarray) -> bool:
        tiles = tiles_of(image, case.spacing, spec, step)
        found = mean_signature([signature_of(engine.encode(tile[np.newaxis])[0], tile) for tile in tiles])
        return bool(unfamiliar(found, described.familiarity)[1])

    print(f"| {given.weights}, {len(loaded)} of {given.cases} | named |\n|---|---|")
    for name, change in CHANGES.items():
        shown = loaded[:1] if change in (fundus, logo) else loaded
        others = [[loaded[(index + k) % len(loaded)].image for k in range(1, 9)] for index in range(len(shown))]
        named = [told(case, change(case.image, more)) for case, more in zip(shown, others, strict=True)]
        print(f"| {name} | {sum(named)} of {len(named)} |", flush=True)


if __name__ == "__main__":
    main()
