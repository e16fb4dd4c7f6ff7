"""Gland phantoms: labelled synthetic images in the colours of haematoxylin and eosin (H&E).

They stand in for data that may not be redistributed: small ones to train on in tests, large ones as bundled
samples. A phantom is painted as two maps of stain concentration, which the law of Beer and Lambert turns
into colours: nuclei darken what lies under them, and one pair of stain vectors colours the whole picture.
"""

import math
from pathlib import Path

import numpy as np

from ldseg.data.files import write_image, write_mask
from ldseg.data.phantom_paint import ByteArray, develop, paint_epithelium, paint_stroma
from ldseg.data.phantom_tissue import IntArray, Look, make_tissue
from ldseg.errors import ConfigError

BUNDLED_SEED = 2034
BUNDLED_COUNT = 4
BUNDLED_SIZE = (522, 775)

_SMALLEST = 24


def gland_phantom(
    rng: np.random.Generator, size: tuple[int, int] = BUNDLED_SIZE, *, diameter: float | None = None
) -> tuple[ByteArray, IntArray]:
    """Paint one phantom.

    size: height and width, each at least 24 pixels. diameter: of a typical gland, pixels; None takes 0.27 of
    the shorter side (up to 0.42 where that is few pixels), so that an image of any size shows several glands.
    Returns the image (H, W, 3) uint8, RGB, and the label (H, W) int32: 0 outside the glands, 1..n the glands
    without gaps, each with its lumen, some touching each other or cut by the border of the image.
    Raises ConfigError for a size or a diameter that is too small.
    """
    height, width = (int(n) for n in size)
    if min(height, width) < _SMALLEST:
        raise ConfigError(
            f"size of a phantom: expected at least {_SMALLEST} pixels each way, got {tuple(size)}"
        )
    if diameter is None:
        short = min(height, width)
        diameter = max(0.27 * short, min(0.42 * short, 40.0))
    if diameter < 4.0:
        raise ConfigError(f"diameter of a phantom's glands: expected at least 4 pixels, got {diameter}")
    look = Look.draw(rng)
    # what is cut by the border has to look cut: the tissue goes on outside
    margin = math.ceil(0.35 * diameter)
    tissue = make_tissue(rng, (height + 2 * margin, width + 2 * margin), margin, diameter, look)
    haematoxylin, eosin = paint_stroma(rng, tissue, look)
    paint_epithelium(rng, tissue, look, haematoxylin, eosin)
    inner = np.s_[margin : margin + height, margin : margin + width]
    image = develop(rng, haematoxylin[inner], eosin[inner], look, tissue.unit)
    _, label = np.unique(np.append(0, tissue.label[inner]), return_inverse=True)
    return image, label[1:].reshape(height, width).astype(np.int32)


def write_phantoms(
    folder: Path,
    count: int,
    size: tuple[int, int] = BUNDLED_SIZE,
    seed: int = BUNDLED_SEED,
    *,
    diameter: float | None = None,
) -> list[Path]:
    """Write folder/Image/Phantom<i>.png and folder/Label/Phantom<i>_label.png for i = 1..count.

    The labels hold instance ids. Phantom i depends on the seed, i, size and diameter alone, not on count.
    Returns the paths of the images. The bundled samples are
    write_phantoms(folder, BUNDLED_COUNT, BUNDLED_SIZE, BUNDLED_SEED).
    """
    images = []
    folder = Path(folder)
    for i in range(1, count + 1):
        image, label = gland_phantom(np.random.default_rng([seed, i]), size, diameter=diameter)
        images.append(folder / "Image" / f"Phantom{i}.png")
        write_image(images[-1], image)
        write_mask(folder / "Label" / f"Phantom{i}_label.png", label)
    return images
