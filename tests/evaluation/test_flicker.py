import math

import numpy as np
import pytest

from ldseg.evaluation.flicker import flicker


def test_a_still_mask_does_not_flicker() -> None:
    mask = np.repeat(np.eye(6, dtype=int)[None], 5, axis=0)
    assert flicker(mask) == 0
    assert flicker(mask, np.random.default_rng(0).integers(0, 2, mask.shape)) == 0


def test_by_hand() -> None:
    mask = np.zeros((3, 2, 2), int)
    mask[1, 0, 0] = 1  # comes and goes
    assert flicker(mask) == pytest.approx(1 / 4)
    true = np.zeros_like(mask)
    true[1:, 1, 1] = 1  # true motion in the first pair: three pixels stand still
    assert flicker(mask, true) == pytest.approx((1 / 3 + 1 / 4) / 2)


def test_true_motion_is_no_flicker() -> None:
    true = np.random.default_rng(0).integers(0, 3, (6, 8, 8))
    assert flicker(true, true) == 0
    assert flicker(true) > 0.5


def test_single_frames_and_other_shapes() -> None:
    assert math.isnan(flicker(np.zeros((1, 4, 4), int)))
    with pytest.raises(ValueError, match="of one shape"):
        flicker(np.zeros((2, 4, 4), int), np.zeros((2, 4, 5), int))
