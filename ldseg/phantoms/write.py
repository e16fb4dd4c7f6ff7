"""Phantoms as data sets on disk, images and labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ldseg.io.geometry import Geometry
from ldseg.io.masks import write_pages
from ldseg.io.nifti import write_nifti
from ldseg.io.pictures import write_image, write_mask
from ldseg.phantoms.cine import cine_phantom
from ldseg.phantoms.glands import SIZE as BUNDLED_SIZE
from ldseg.phantoms.glands import gland_phantom
from ldseg.phantoms.volume import volume_phantom

BUNDLED_SEED = 2034
BUNDLED_COUNT = 4
CINE_COUNT = 3
CINE_SIZE = (16, 96, 96)
VOLUME_COUNT = 3
VOLUME_SIZE = (48, 64, 64)
VOLUME_SPACING = (1.5, 1.0, 1.0)
"""Millimetres along z, y and x."""

# of a volume's x, y and z in its file (columns), as in a sagittal series of slices: to the back, to the feet, to the right
_SAGITTAL = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
_TILT = (14.0, -9.0, 6.0)  # of an oblique volume, degrees


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


def write_cine_phantoms(
    folder: Path, count: int, size: tuple[int, int, int] = CINE_SIZE, seed: int = BUNDLED_SEED
) -> list[Path]:
    """Write folder/Image/Ventricle<i>.tif and folder/Label/Ventricle<i>_label.tif for i = 1..count, a page for each frame.

    Phantom i depends on the seed, i and size alone, not on count. Returns the paths of the images. The bundled samples are
    write_cine_phantoms(folder, CINE_COUNT).
    """
    images = []
    folder = Path(folder)
    for i in range(1, count + 1):
        image, label = cine_phantom(np.random.default_rng([seed, i]), size)
        images.append(folder / "Image" / f"Ventricle{i}.tif")
        write_pages(images[-1], image[..., 0])
        write_pages(folder / "Label" / f"Ventricle{i}_label.tif", label)
    return images


def write_volume_phantoms(
    folder: Path,
    count: int,
    size: tuple[int, int, int] = VOLUME_SIZE,
    seed: int = BUNDLED_SEED,
    *,
    spacing: tuple[float, float, float] = VOLUME_SPACING,
) -> list[Path]:
    """Write folder/Image/Knee<i>.nii.gz and folder/Label/Knee<i>_label.nii.gz for i = 1..count.

    spacing: millimetres along z, y and x. The slices are sagittal; those of every second volume lie oblique. Phantom i
    depends on the seed, i and size alone, not on count. Returns the paths of the images. The bundled samples are
    write_volume_phantoms(folder, VOLUME_COUNT).
    """
    images = []
    folder = Path(folder)
    for i in range(1, count + 1):
        image, label = volume_phantom(np.random.default_rng([seed, i]), size)
        turn = Rotation.from_euler("xyz", _TILT if i % 2 == 0 else (0.0, 0.0, 0.0), degrees=True).as_matrix()
        images.append(folder / "Image" / f"Knee{i}.nii.gz")
        _write_volume(images[-1], image, spacing, turn @ _SAGITTAL)
        _write_volume(folder / "Label" / f"Knee{i}_label.nii.gz", label.astype(np.uint8), spacing, turn @ _SAGITTAL)
    return images


def _write_volume(path: Path, pixels: NDArray, spacing: tuple[float, float, float], direction: NDArray[np.float64]) -> None:
    steps = np.array(spacing[::-1])
    # the scanner's origin lies in the middle of the volume
    origin = -direction @ (steps * (np.array(pixels.shape[::-1]) - 1) / 2)
    geometry = replace(
        Geometry.upright(pixels.shape, spacing), origin=tuple(origin.tolist()), direction=tuple(direction.ravel().tolist())
    )
    write_nifti(path, pixels, geometry, None)
