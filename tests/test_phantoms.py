"""Phantoms: what the picture shows is what the label says, and the bundled ones come from the generator."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ldseg.data.files import read_image, read_label
from ldseg.data.phantoms import BUNDLED_COUNT, BUNDLED_SEED, BUNDLED_SIZE, gland_phantom, write_phantoms
from ldseg.errors import ConfigError

BUNDLED = Path(__file__).parents[1] / "data" / "GlaS"


def phantom(seed, size, **options):
    return gland_phantom(np.random.default_rng(seed), size, **options)


@pytest.mark.parametrize("size", [(24, 24), (64, 64), (96, 64), (160, 240)])
@pytest.mark.parametrize("seed", range(4))
def test_image_and_label(size, seed):
    image, label = phantom(seed, size)
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    assert label.shape == size and label.dtype == np.int32
    # ids without gaps, several glands, and both classes in good measure
    assert np.array_equal(np.unique(label), np.arange(label.max() + 1))
    assert label.max() >= 2
    assert 0.15 < np.mean(label > 0) < 0.9


def test_the_seed_decides():
    first, again, other = (phantom(seed, (48, 64)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert np.mean(first[1] != other[1]) > 0.1


def test_diameter():
    areas = []
    for diameter in (20.0, 50.0):
        _, label = phantom(0, (200, 200), diameter=diameter)
        areas.append(np.median(np.bincount(label.ravel())[1:]))
    assert areas[1] > 3 * areas[0]


def test_colours_are_those_of_h_and_e():
    """Epithelium is blue-violet (haematoxylin takes red away), stroma pink; phantoms differ in colour."""
    means = []
    for seed in range(8):
        image, label = phantom(seed, (128, 128))
        inside = cv2.distanceTransform((label > 0).astype(np.uint8), cv2.DIST_L2, 5)
        ring = (inside > 1) & (inside < 4)
        stroma = cv2.distanceTransform((label == 0).astype(np.uint8), cv2.DIST_L2, 5) > 2
        assert image[ring, 0].mean() < image[stroma, 0].mean() - 15
        pink, violet = image[stroma].mean(axis=0), image[ring].mean(axis=0)
        assert pink.argmin() == violet.argmin() == 1  # little green in either
        assert pink[0] - pink[2] > violet[0] - violet[2] + 15
        means.append(image.mean(axis=(0, 1)))
    assert np.ptp(means, axis=0).max() > 10


def test_some_glands_touch_and_some_are_cut():
    touching = cut = 0
    for seed in range(4):
        _, label = phantom(seed, (128, 160))
        beside = (label[:, 1:] != label[:, :-1]) & (label[:, 1:] > 0) & (label[:, :-1] > 0)
        touching += int(beside.sum())
        cut += len(set(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])) - {0})
    assert touching > 20 and cut > 4


def test_write_phantoms(tmp_path):
    images = write_phantoms(tmp_path / "set", 2, (48, 64), seed=3)
    assert [path.relative_to(tmp_path).as_posix() for path in images] == [
        "set/Image/Phantom1.png",
        "set/Image/Phantom2.png",
    ]
    assert sorted(path.name for path in (tmp_path / "set" / "Label").iterdir()) == [
        "Phantom1_label.png",
        "Phantom2_label.png",
    ]
    image, label = phantom([3, 2], (48, 64))  # the second does not depend on the first
    assert np.array_equal(read_image(images[1]), image)
    assert np.array_equal(read_label(tmp_path / "set" / "Label" / "Phantom2_label.png"), label)
    assert not np.array_equal(read_image(images[0]), image)


@pytest.mark.parametrize("index", range(1, BUNDLED_COUNT + 1))
def test_bundled_phantoms_come_from_the_generator(index):
    image, label = phantom([BUNDLED_SEED, index], BUNDLED_SIZE)
    stored = read_image(BUNDLED / "Image" / f"Phantom{index}.png")
    # other versions of NumPy and OpenCV may round another way
    assert stored.shape == image.shape
    assert np.abs(stored.astype(float) - image).mean() < 0.5
    assert np.mean((read_label(BUNDLED / "Label" / f"Phantom{index}_label.png") > 0) != (label > 0)) < 1e-3


def test_bundled_real_image_is_the_one_of_scikit_image():
    data = pytest.importorskip("skimage.data")
    stored = read_image(BUNDLED / "Image" / "Immunohistochemistry.png")
    assert np.array_equal(stored, data.immunohistochemistry())


@pytest.mark.parametrize(("size", "options"), [((20, 64), {}), ((64, 64), {"diameter": 2.0})])
def test_too_small(size, options):
    with pytest.raises(ConfigError, match="at least"):
        phantom(0, size, **options)
