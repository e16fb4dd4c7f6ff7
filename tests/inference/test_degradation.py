"""Corrupted images against closed forms."""

import numpy as np
import pytest
from scipy import ndimage, special, stats

from ldseg.base.options import DEGRADATIONS
from ldseg.inference import case_generator, degrade

RANDOM = ("gaussian", "speckle", "poisson")


def flat(value: float, size: tuple[int, ...] = (64, 64, 64, 1)) -> np.ndarray:
    return np.full(size, value, np.float32)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Smooth, from 0 to 1 in every channel, each channel with a mean of its own."""
    x = np.linspace(0, 1, 64, dtype=np.float32)
    return np.stack([np.outer(x, x), np.sqrt(np.outer(x, x)), np.outer(x, x) ** 2], axis=-1)


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_without_strength_the_image_is_itself(kind: str, image: np.ndarray) -> None:
    assert degrade(image, kind, 0.0, 1, "a") is image
    for sigma in (1e-25, 1e-7, 1e-5):  # no division by what is as good as nothing
        np.testing.assert_allclose(degrade(image, kind, sigma, 1, "a"), image, atol=6 * sigma + 1e-6)


@pytest.mark.parametrize("size", [(48, 40, 1), (48, 40, 3), (6, 24, 20, 1)])
@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_any_number_of_axes_within_the_range(kind: str, size: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random(size, dtype=np.float32)
    for sigma in (0.02, 0.2, 1.0):
        found = degrade(image, kind, sigma, 1, "a")
        assert found.dtype == np.float32
        assert found.shape == size
        assert 0 <= found.min() <= found.max() <= 1
        assert not np.array_equal(found, image)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
@pytest.mark.parametrize("value", [0.25, 0.5])
@pytest.mark.parametrize(
    ("kind", "deviation"),
    [("gaussian", lambda x: 1), ("speckle", lambda x: x), ("poisson", np.sqrt)],
)
def test_mean_and_standard_deviation(kind: str, deviation: np.ufunc, value: float, sigma: float) -> None:
    """Of 262144 pixels: the bounds are five standard errors, and leave room for the counts below a tenth of a count."""
    change = degrade(flat(value), kind, sigma, 1, "a").astype(np.float64) - value
    expected = sigma * deviation(value)
    assert abs(change.mean()) < 5 * expected / 512 + (1e-3 * sigma**2 if kind == "poisson" else 0)
    assert change.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * 262144) + 1e-3)


@pytest.mark.parametrize(("kind", "factor"), [("gaussian", lambda x: 1), ("speckle", lambda x: x)])
def test_one_realisation_is_scaled(kind: str, factor: np.ufunc, image: np.ndarray) -> None:
    normal = case_generator(1, "a", "image").standard_normal(image.shape, dtype=np.float32)
    for sigma in (0.02, 0.1, 0.2):
        expected = np.clip(image + sigma * normal * factor(image), 0, 1)
        np.testing.assert_allclose(degrade(image, kind, sigma, 1, "a"), expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.2, 0.5])
def test_photons_are_counted(sigma: float, image: np.ndarray) -> None:
    """SciPy's quantiles at the same normal numbers, few of them a count off; in the mean monotone in the strength."""
    found = degrade(image, "poisson", sigma, 1, "a")
    counts = found / np.float32(sigma) ** 2
    inside = found < 1
    np.testing.assert_allclose(counts[inside], np.rint(counts[inside]), atol=1e-3)
    normal = case_generator(1, "a", "image").standard_normal(image.shape, dtype=np.float32)
    mean = (image / np.float32(sigma) ** 2).astype(np.float64)
    wanted = stats.poisson.ppf(special.ndtr(normal.astype(np.float64)), mean)
    off = np.abs(np.rint(counts) - wanted)[inside]
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01
    assert not found[image == 0].any()


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_more_strength_changes_more(kind: str, image: np.ndarray) -> None:
    changes = [np.abs(degrade(image, kind, sigma, 1, "a") - image).mean() for sigma in (0.02, 0.05, 0.1, 0.2)]
    assert (np.diff(changes) > 0).all()


@pytest.mark.parametrize("kind", ["gaussian", "speckle"])
def test_every_pixel_goes_on_in_its_direction(kind: str, image: np.ndarray) -> None:
    steps = np.diff([degrade(image, kind, sigma, 1, "a") for sigma in (0.0, 0.05, 0.1, 0.2)], axis=0)
    assert ((steps >= 0).all(axis=0) | (steps <= 0).all(axis=0)).all()


def test_a_point_is_blurred_in_space_and_not_in_time() -> None:
    image = flat(0, (5, 65, 65, 1))
    image[2, 32, 32] = 1
    video = degrade(image, "blur", 0.2, 1, "a", axes="TYX")
    assert not video[[0, 1, 3, 4]].any()
    assert video.sum() == pytest.approx(1, abs=1e-3)
    spread = np.square(np.arange(65) - 32.0)
    for axis in (0, 1):
        assert spread @ video[2, ..., 0].sum(axis=1 - axis) == pytest.approx(16, rel=0.01)  # (20 × 0.2)²
    assert degrade(image, "blur", 0.2, 1, "a", axes="ZYX")[1].any()
    colours = np.concatenate([flat(0, (9, 9, 1)), flat(1, (9, 9, 1))], axis=-1)
    np.testing.assert_allclose(degrade(colours, "blur", 0.2, 1, "a"), colours, atol=1e-6)
    noise = np.random.default_rng(0).random((32, 32, 1), dtype=np.float32)
    expected = ndimage.gaussian_filter(noise[..., 0], 2.0, mode="nearest")
    np.testing.assert_allclose(degrade(noise, "blur", 0.1, 1, "a")[..., 0], expected, atol=1e-6)


def test_contrast_shrinks_about_the_mean(image: np.ndarray) -> None:
    mean = image.mean(axis=(0, 1))
    for sigma, left in ((0.05, 0.8), (0.1, 0.6), (0.25, 0.0), (1.0, 0.0)):
        found = degrade(image, "contrast", sigma, 1, "a")
        np.testing.assert_allclose(found, mean + left * (image - mean), atol=1e-5)
    checks = np.indices((8, 8)).sum(axis=0)[..., np.newaxis] % 2 * np.float32(0.5) + np.float32(0.25)
    change = degrade(checks, "contrast", 0.1, 1, "a") - checks  # standard deviation 1/4
    assert np.sqrt(np.square(change).mean()) == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("kind", RANDOM)
def test_noise_belongs_to_the_case_and_the_seed(kind: str, image: np.ndarray) -> None:
    """Whatever was degraded before; nothing is taken from other images."""
    found = degrade(image, kind, 0.2, 1, "a")
    for seed, name in ((2, "a"), (1, "b")):
        assert np.abs(degrade(image, kind, 0.2, seed, name) - found).mean() > 0.01
    np.testing.assert_array_equal(degrade(image, kind, 0.2, 1, "a"), found)


@pytest.mark.parametrize(("kind", "sigma"), [("gausian", 0.1), ("blur", -0.1)])
def test_what_is_no_noise(kind: str, sigma: float, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        degrade(image, kind, sigma, 1, "a")
