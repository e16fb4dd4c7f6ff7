import numpy as np
import pytest

from ldseg.data.intensity import Z_RANGE, scale_intensity
from ldseg.errors import DataError
from ldseg.options import INTENSITIES

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
