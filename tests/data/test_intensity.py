import numpy as np
import pytest

from ldseg.base.options import INTENSITIES
from ldseg.data import intensity
from ldseg.data.intensity import Z_RANGE, scale_intensity, scaling_of
from ldseg.errors import DataError
from ldseg.io import contract

SCAN = np.random.default_rng(0).normal(40, 300, (4, 20, 30, 1)).astype(np.float32)


@pytest.mark.parametrize("rule", [rule for rule in INTENSITIES if rule != "dtype"])
def test_every_rule_ends_between_zero_and_one(rule: str) -> None:
    scaled = scale_intensity(SCAN, rule, "a", (-100, 300))
    assert scaled.dtype == np.float32
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    # Darker stays darker.
    order = np.argsort(SCAN, axis=None)
    assert (np.diff(scaled.ravel()[order]) >= 0).all()


def test_a_window() -> None:
    values = np.array([-500, -100, 0, 100, 300, 900], np.float32)[:, None, None, None]
    scaled = scale_intensity(values, "window", "a", (-100, 300)).ravel()
    np.testing.assert_allclose(scaled, [0, 0, 0.25, 0.5, 1, 1], atol=1e-6)


def test_z_scores() -> None:
    scaled = scale_intensity(SCAN, "zscore", "a").astype(float)
    assert scaled.mean() == pytest.approx(0.5, abs=1e-3)
    assert scaled.std() == pytest.approx(1 / (2 * Z_RANGE), rel=1e-3)


def test_what_is_no_image() -> None:
    broken = SCAN.copy()
    broken[0, :2, 0] = np.nan
    with pytest.raises(DataError, match="a.nii: expected finite intensities, found 2 that are NaN or infinite"):
        scale_intensity(broken, "zscore", "a.nii")
    with pytest.raises(DataError, match="a.nii: constant image, every value is 3"):
        scale_intensity(np.full((2, 2, 2, 1), 3, np.int16), "window", "a.nii", (0, 1))
    with pytest.raises(DataError, match="unknown intensity rule 'z'"):
        scale_intensity(SCAN, "z", "a.nii")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("told", [True, False])
def test_bits_in_use_of_sixteen(bits: int, told: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A picture of 12 bits in 16 is scaled as the same picture of 8 bits."""
    contract._SAID.clear()
    picture = np.arange(256, dtype=np.uint16).reshape(16, 16, 1)
    deep = np.rint(picture * ((2**bits - 1) / 255)).astype(np.uint16)
    expected = scale_intensity(picture.astype(np.uint8), "dtype", "a")
    for _ in range(2):
        scaled = scale_intensity(deep, "dtype", "a", bits=bits if told else None)
        np.testing.assert_allclose(scaled, expected, atol=0.5 / (2**bits - 1))
    said = [f"a: {bits} bits are in use of 16: taken as such (this is said once)"] if bits < 16 else []
    assert [record.message for record in caplog.records] == said


@pytest.mark.parametrize("rule", [rule for rule in INTENSITIES if rule != "window"])
@pytest.mark.parametrize("end", [np.finfo(np.float32).min, np.finfo(np.float32).max])
def test_the_ends_of_a_type_are_no_intensities(rule: str, end: float) -> None:
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1)
    image[0] = end
    with pytest.raises(DataError, match=r"a\.tif: expected intensities, found .*e\+38.* stand for what was not measured"):
        scale_intensity(image, rule, "a.tif", (0, 1))


@pytest.mark.parametrize("rule", ["percentile", "window"])
@pytest.mark.parametrize("end", [np.finfo(np.float32).min, np.finfo(np.float32).max])
def test_the_ends_of_a_type_that_are_clipped(rule: str, end: float) -> None:
    image = np.linspace(0, 0.5, 1600, dtype=np.float32).reshape(40, 40, 1)
    usual = scale_intensity(image, rule, "a", (0.1, 0.4))
    image[20, 20] = end
    scaled = scale_intensity(image, rule, "a", (0.1, 0.4))
    assert scaled[20, 20, 0] == (end > 0)
    scaled[20, 20] = usual[20, 20]
    np.testing.assert_allclose(scaled, usual, atol=2e-3)


def test_more_bits_than_a_file_tells() -> None:
    image = np.array([[[0], [60000]]], np.uint16)
    assert scale_intensity(image, "dtype", "a", bits=12).max() == np.float32(60000) / np.float32(65535)


def test_the_remedy_can_be_followed() -> None:
    """Weights fix the rule: what is said is to save the file in another type."""
    with pytest.raises(
        DataError, match="a: values from 57 to 235 that are no unsigned whole numbers of 8 or 16 bits"
    ) as caught:
        scale_intensity(np.array([[[57], [235]]], np.float32), "dtype", "a")
    assert "save it with 8 or 16 bits" in str(caught.value)


@pytest.mark.parametrize(("kind", "lowest"), [("uint8", 0), ("uint16", 7), ("float32", -300)])
def test_percentiles_that_are_counted_are_those_that_are_sorted(
    kind: str, lowest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(8)
    image = np.minimum(rng.gamma(1.5, 30, (7, 31, 29, 1)), 200).astype(kind) + np.array(lowest, kind)
    if kind == "float32":
        image = np.floor(image)
    expected = scale_intensity(image, "percentile", "a")
    monkeypatch.setattr(intensity, "_LARGE", 1)
    np.testing.assert_array_equal(scale_intensity(image, "percentile", "a"), expected)
    scaled = scaling_of(image, "percentile", "a")
    np.testing.assert_array_equal(np.concatenate([scaled(part[np.newaxis]) for part in image]), expected)
    broken = image.astype(np.float32) + np.float32(0.25)  # no whole numbers, so sorted
    assert np.isclose(scale_intensity(broken, "percentile", "a"), expected, atol=1e-5).all()
