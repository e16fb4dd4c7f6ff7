"""Phantoms: what the picture shows is what the label says, and the bundled ones come from the generator."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from scipy import ndimage

from ldseg.errors import ConfigError
from ldseg.io.pictures import read_image, read_label
from ldseg.phantoms import (
    BUNDLED_COUNT,
    BUNDLED_SEED,
    BUNDLED_SIZE,
    CINE_COUNT,
    CINE_SIZE,
    VOLUME_COUNT,
    VOLUME_SIZE,
    VOLUME_SPACING,
    cine_phantom,
    gland_phantom,
    volume_phantom,
    write_cine_phantoms,
    write_phantoms,
    write_volume_phantoms,
)

DATA = Path(__file__).parents[2] / "data"
BUNDLED = DATA / "GlaS"


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


# Cine


def cine(seed, size=(16, 96, 96)):
    return cine_phantom(np.random.default_rng(seed), size)


@pytest.mark.parametrize(("seed", "size"), [*((s, (16, 96, 96)) for s in range(4)), (4, (3, 48, 64)), (5, (1, 128, 96))])
def test_cine_image_and_label(seed, size):
    image, label = cine(seed, size)
    assert image.shape == (*size, 1) and image.dtype == np.uint8
    assert label.shape == size and label.dtype == np.int32
    for frame in label:
        assert np.array_equal(np.unique(frame), [0, 1, 2])
        assert 0.02 < np.mean(frame == 1) < 0.3 and 0.02 < np.mean(frame == 2) < 0.3
    outside = ndimage.maximum_filter(image[..., 0].max(axis=0), 7) == 0  # nothing near: not just a dark spot
    assert outside[0, 0] and outside[0, -1] and outside[-1, 0] and outside[-1, -1]  # the corners about the sector
    assert not label[:, outside].any()


@pytest.mark.parametrize("seed", range(6))
def test_myocardium_surrounds_the_cavity_but_at_the_valve(seed):
    _, label = cine(seed)
    for frame in label[::5]:
        pieces, found = ndimage.label(frame == 1)
        assert found == 1
        ring = ndimage.binary_dilation(frame == 1) & (frame != 1)
        muscle = frame[ring] == 2
        assert 0.6 < muscle.mean() < 0.97
        assert ndimage.label(frame == 2)[1] == 1
        # what is open lies below: the valve
        rows = np.nonzero(ring)[0]
        assert rows[~muscle].mean() > np.nonzero(frame == 1)[0].mean()


@pytest.mark.parametrize("seed", range(6))
def test_the_cavity_grows_and_shrinks_smoothly(seed):
    _, label = cine(seed, (32, 96, 96))
    area = (label == 1).sum(axis=(1, 2)).astype(float)
    span = np.ptp(area)
    assert span > 0.12 * area.max()
    assert np.abs(np.diff(area)).max() < 0.35 * span
    turns = np.diff(np.sign(np.diff(ndimage.gaussian_filter1d(area, 1.5))))
    assert 1 <= np.count_nonzero(turns) <= 8
    # the muscle keeps its mass while the cavity empties
    muscle = (label == 2).sum(axis=(1, 2))
    assert np.ptp(muscle) < 0.25 * muscle.max()


def test_cine_contrast_and_variety():
    shares, middles = [], []
    for seed in range(8):
        image, label = cine(seed, (2, 96, 96))
        cavity, muscle = image[label == 1].mean(), image[label == 2].mean()
        assert muscle > cavity + 25
        assert image[label == 1].std() > 5  # speckle, not paint
        shares.append(np.mean(label == 1))
        middles.append(np.argwhere(label[0] == 1).mean(axis=0))
    assert max(shares) > 1.5 * min(shares)
    assert np.ptp(middles, axis=0).max() > 8


def test_speckle_moves_with_the_tissue():
    """Neighbouring frames are alike, more than frames half a beat apart."""
    image, label = cine(1, (32, 96, 96))
    shown = image[..., 0].astype(float)
    inside = (label == 2).all(axis=0)
    near = np.corrcoef(shown[3][inside], shown[4][inside])[0, 1]
    far = [np.corrcoef(shown[3][inside], shown[k][inside])[0, 1] for k in range(10, 20)]
    assert near > 0.4 and near > min(far) + 0.1


# Volume


def volume(seed, size=(48, 64, 64)):
    return volume_phantom(np.random.default_rng(seed), size)


@pytest.mark.parametrize(("seed", "size"), [*((s, (48, 64, 64)) for s in range(4)), (4, (24, 40, 32)), (5, (32, 32, 48))])
def test_volume_image_and_label(seed, size):
    image, label = volume(seed, size)
    assert image.shape == size and image.dtype == np.uint16
    assert label.shape == size and label.dtype == np.int32
    assert np.array_equal(np.unique(label), [0, 1, 2])
    assert 0.05 < np.mean(label == 1) < 0.4
    assert 0.004 < np.mean(label == 2) < 0.08


@pytest.mark.parametrize("seed", range(6))
def test_cartilage_lies_between_two_bones_and_on_them(seed):
    _, label = volume(seed)
    pieces, _ = ndimage.label(label == 1)
    sizes = np.bincount(pieces.ravel())[1:]
    femur, tibia = (pieces == 1 + k for k in np.argsort(sizes)[:-3:-1])
    assert sizes.max() < 0.9 * sizes.sum()
    if np.nonzero(femur)[1].mean() > np.nonzero(tibia)[1].mean():
        femur, tibia = tibia, femur
    cartilage = label == 2
    rows = [np.nonzero(part)[1].mean() for part in (femur, cartilage, tibia)]
    assert rows[0] + 8 < rows[1] < rows[2] - 8
    # most columns through it meet the femur above or the tibia below
    above = np.cumsum(femur, axis=1) > 0
    below = np.cumsum(tibia[:, ::-1], axis=1)[:, ::-1] > 0
    assert (above | below)[cartilage].mean() > 0.7
    assert (above & below)[cartilage].mean() > 0.3
    # every piece of it is a layer on bone, and both bones have one
    near_bone = ndimage.binary_dilation(label == 1)
    layers, count = ndimage.label(cartilage)
    assert all(near_bone[layers == k].any() for k in range(1, count + 1))
    for bone in (femur, tibia):
        assert np.count_nonzero(ndimage.binary_dilation(bone) & cartilage) > 150
    assert ndimage.distance_transform_edt(label != 1)[cartilage].max() < 6  # thin


def test_volume_contrast_and_variety():
    shares, middles = [], []
    for seed in range(8):
        image, label = volume(seed, (24, 48, 48))
        inside = ndimage.binary_erosion(label == 1)
        assert image[label == 2].mean() > 1.3 * image[inside].mean()
        shares.append(np.mean(label == 1))
        middles.append(np.argwhere(label == 2).mean(axis=0) / label.shape)
    assert max(shares) > 1.4 * min(shares)
    assert np.ptp(middles, axis=0).max() > 0.08


# Both


@pytest.mark.parametrize("paint", [cine, volume])
def test_the_seed_decides_in_time_and_space(paint):
    first, again, other = (paint(seed, (16, 40, 48)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert np.mean(first[1] != other[1]) > 0.02


@pytest.mark.parametrize(("paint", "size"), [(cine, (0, 64, 64)), (cine, (4, 64, 20)), (volume, (8, 64, 64))])
def test_too_small_in_time_and_space(paint, size):
    with pytest.raises(ConfigError, match="or more each way"):
        paint(0, size)


def test_write_cine_phantoms(tmp_path):
    images = write_cine_phantoms(tmp_path, 2, (5, 40, 48), seed=3)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == [
        *("Image/Ventricle1.tif", "Image/Ventricle2.tif"),
        *("Label/Ventricle1_label.tif", "Label/Ventricle2_label.tif"),
    ]
    image, label = cine([3, 2], (5, 40, 48))  # the second does not depend on the first
    with tifffile.TiffFile(images[1]) as stored:
        assert len(stored.pages) == 5
        assert np.array_equal(stored.asarray(), image[..., 0])
    assert np.array_equal(tifffile.imread(tmp_path / "Label" / "Ventricle2_label.tif"), label)


def test_write_volume_phantoms(tmp_path):
    images = write_volume_phantoms(tmp_path, 2, (16, 24, 20), seed=3, spacing=(3.0, 1.0, 1.5))
    assert [p.relative_to(tmp_path).as_posix() for p in images] == ["Image/Knee1.nii.gz", "Image/Knee2.nii.gz"]
    image, label = volume([3, 2], (16, 24, 20))
    stored = sitk.ReadImage(images[1]), sitk.ReadImage(tmp_path / "Label" / "Knee2_label.nii.gz")
    assert np.array_equal(sitk.GetArrayFromImage(stored[0]), image)
    assert np.array_equal(sitk.GetArrayFromImage(stored[1]), label)
    for field in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(stored[0], field)() == getattr(stored[1], field)()
    np.testing.assert_allclose(stored[0].GetSpacing(), (1.5, 1.0, 3.0))
    # the first lies along the axes of the scanner, the second does not; both are sagittal and right-handed
    for volume_, largest in ((sitk.ReadImage(images[0]), 1.0), (stored[0], 0.99)):
        direction = np.reshape(volume_.GetDirection(), (3, 3))
        assert np.linalg.det(direction) == pytest.approx(1.0)
        assert np.array_equal(np.abs(direction).argmax(axis=0), [1, 2, 0])
        assert np.abs(direction).max(axis=0).min() <= largest + 1e-5
    assert np.abs(direction).max(axis=0).max() < 0.999


def test_bundled_cines_come_from_the_generator():
    for i in range(1, CINE_COUNT + 1):
        image, label = cine([BUNDLED_SEED, i], CINE_SIZE)
        stored = tifffile.imread(DATA / "Cine" / "Image" / f"Ventricle{i}.tif")
        # other versions of NumPy and SciPy may round another way
        assert stored.shape == CINE_SIZE and stored.dtype == np.uint8
        assert np.abs(stored.astype(float) - image[..., 0]).mean() < 0.5
        assert np.mean(tifffile.imread(DATA / "Cine" / "Label" / f"Ventricle{i}_label.tif") != label) < 1e-3


def test_bundled_volumes_come_from_the_generator():
    for i in range(1, VOLUME_COUNT + 1):
        image, label = volume([BUNDLED_SEED, i], VOLUME_SIZE)
        stored = sitk.ReadImage(DATA / "Volume" / "Image" / f"Knee{i}.nii.gz")
        np.testing.assert_allclose(stored.GetSpacing(), VOLUME_SPACING[::-1])
        assert np.abs(sitk.GetArrayFromImage(stored).astype(float) - image).mean() < 0.5
        stored = sitk.ReadImage(DATA / "Volume" / "Label" / f"Knee{i}_label.nii.gz")
        assert np.mean(sitk.GetArrayFromImage(stored) != label) < 1e-3
