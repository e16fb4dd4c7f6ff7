"""Pictures of 512 x 512 with one object of about 2 % of each, which a ring inside tells from four others of its size.

    python3 benchmarks/small_objects.py FOLDER COUNT SEED

writes COUNT of them to FOLDER/Image, and their labels to FOLDER/Label: docs/results.md says what trainings make of them.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

LENGTH = 512


def ellipse(centre: tuple[int, int], axes: tuple[int, int], turn: float, width: int = -1) -> np.ndarray:
    """An ellipse, filled or as a line of some width, uint8 (H, W) of 0 and 1."""
    drawn = np.zeros((LENGTH, LENGTH), np.uint8)
    cv2.ellipse(drawn, centre, axes, turn, 0, 360, 1, width)
    return drawn


def picture(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its label, uint8 (H, W)."""
    ground = cv2.GaussianBlur(rng.normal(0, 1, (LENGTH, LENGTH)).astype(np.float32), (0, 0), 12)
    image, label = 110 + 25 * ground / ground.std(), np.zeros((LENGTH, LENGTH), np.uint8)
    places = rng.permutation([(y, x) for y in (85, 256, 427) for x in (85, 256, 427)])
    for index, (y, x) in enumerate(places[:5]):
        turn, y, x = float(rng.uniform(0, 180)), y + rng.integers(-25, 26), x + rng.integers(-25, 26)
        axes = (int(rng.integers(36, 47)), int(rng.integers(36, 47)))
        shape = ellipse((int(x), int(y)), axes, turn)
        image = np.where(shape, image + 35, image)
        if index == 0:
            label = shape
            ring = ellipse((int(x), int(y)), (axes[0] // 2, axes[1] // 2), turn, 3)
            image = np.where(ring, image - 60, image)
    image = image + rng.normal(0, 6, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), label


def main() -> None:
    """Write the pictures and their labels."""
    folder, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = np.random.default_rng(seed)
    for part in ("Image", "Label"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image, label = picture(rng)
        cv2.imwrite(str(folder / "Image" / f"P{index}.png"), image)
        cv2.imwrite(str(folder / "Label" / f"P{index}_label.png"), label)


if __name__ == "__main__":
    main()
