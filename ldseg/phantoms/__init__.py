"""Phantoms: labelled synthetic images, in the plane (glands), in time (ventricles) and in space (knees).

They stand in for data that may not be redistributed: small ones to train on in tests, large ones as bundled samples.
"""

from ldseg.phantoms.cine import CINE_CLASSES, cine_phantom
from ldseg.phantoms.glands import gland_phantom
from ldseg.phantoms.volume import VOLUME_CLASSES, volume_phantom
from ldseg.phantoms.write import (
    BUNDLED_COUNT,
    BUNDLED_SEED,
    BUNDLED_SIZE,
    CINE_COUNT,
    CINE_SIZE,
    VOLUME_COUNT,
    VOLUME_SIZE,
    VOLUME_SPACING,
    write_cine_phantoms,
    write_phantoms,
    write_volume_phantoms,
)

__all__ = [
    "BUNDLED_COUNT",
    "BUNDLED_SEED",
    "BUNDLED_SIZE",
    "CINE_CLASSES",
    "CINE_COUNT",
    "CINE_SIZE",
    "VOLUME_CLASSES",
    "VOLUME_COUNT",
    "VOLUME_SIZE",
    "VOLUME_SPACING",
    "cine_phantom",
    "gland_phantom",
    "volume_phantom",
    "write_cine_phantoms",
    "write_phantoms",
    "write_volume_phantoms",
]
