"""Phantoms of glands, painted as two maps of stain concentration.

The law of Beer and Lambert turns them into the colours of haematoxylin and eosin: nuclei darken what lies under them, and
one pair of stain vectors colours the whole picture.
"""

import math

import numpy as np

from ldseg.errors import ConfigError
from ldseg.phantoms.paint import ByteArray, develop, paint_epithelium, paint_stroma
from ldseg.phantoms.tissue import IntArray, Look, make_tissue

SIZE = (522, 775)
"""Height and width of an image of the GlaS contest."""

_SMALLEST = 24


def gland_phantom(
    rng: np.random.Generator, size: tuple[int, int] = SIZE, *, diameter: float | None = None
) -> tuple[ByteArray, IntArray]:
    """Paint one gland phantom.

    size: height and width, each at least 24 pixels. diameter: of a typical gland, pixels; None takes 0.27 of
    the shorter side (up to 0.42 where that is few pixels), so that an image of any size shows several glands.
    Returns the image (H, W, 3) uint8, RGB, and the label (H, W) int32: 0 outside the glands, 1..n the glands
    without gaps, each with its lumen, some touching each other or cut by the border of the image.
    Raises ConfigError for a size or a diameter that is too small.
    """
    height, width = (int(n) for n in size)
    if min(height, width) < _SMALLEST:
        raise ConfigError(f"size of a phantom: expected at least {_SMALLEST} pixels each way, got {tuple(size)}")
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
