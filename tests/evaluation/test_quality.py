import math

import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.evaluation.quality import Quality, Signs, SignSums, fit_quality, signs_of
from ldseg.inference.uncertainty import predictive_entropy


def probabilities(object_: np.ndarray) -> np.ndarray:
    return np.stack([1 - object_, object_], axis=-1).astype(np.float32)


def signs(chance: np.ndarray, members: np.ndarray | None = None) -> Signs:
    whole = probabilities(chance)
    return signs_of(whole, np.argmax(whole, axis=-1), predictive_entropy(whole), members)


def test_the_dice_that_probabilities_expect() -> None:
    chance = np.zeros((4, 4))
    chance[:2] = 0.75
    found = signs(chance)
    assert found.expected == pytest.approx(2 * 6 / (6 + 8))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2)
    assert found.doubt == pytest.approx(entropy, rel=1e-5)
    assert math.isnan(found.agreement)
    sure = signs((chance > 0).astype(float))
    assert (sure.expected, sure.doubt) == (1.0, 0.0)


def test_the_area_of_a_mask_does_not_count() -> None:
    small, large = np.zeros((2, 16, 16))
    small[:2, :2], large[:8, :8] = 0.8, 0.8
    assert signs(small).expected == pytest.approx(signs(large).expected)
    assert signs(small).doubt == pytest.approx(signs(large).doubt, rel=1e-5)


def test_members_that_disagree_and_empty_masks() -> None:
    chance = np.zeros((4, 4))
    chance[:2] = 0.9
    mask = (chance > 0).astype(np.int32)
    half = mask.copy()
    half[1] = 0
    assert signs(chance, np.stack([mask, half])).agreement == pytest.approx((1 + 2 * 4 / 12) / 2)
    empty = signs(np.full((4, 4), 0.1))
    assert math.isnan(empty.expected)
    with pytest.raises(DataError, match=r"got \(4, 4, 2\), \(3, 4\) and \(4, 4\)"):
        signs_of(probabilities(chance), np.zeros((3, 4), np.int32), chance)


def drawn(rng: np.random.Generator, count: int) -> tuple[list[Signs], list[float]]:
    """Cases of which each is worse than it expects, by the same amount in the logarithm of its odds, and a bit of chance."""
    expected = rng.uniform(0.5, 0.98, count)
    odds = np.log(expected / (1 - expected)) - 0.8 + rng.normal(0, 0.1, count)
    return [Signs(expected=float(d), doubt=float(2 * (1 - d))) for d in expected], (1 / (1 + np.exp(-odds))).tolist()


def test_a_fit_makes_it_honest() -> None:
    rng = np.random.default_rng(0)
    quality = fit_quality(*drawn(rng, 30))
    assert quality is not None
    others, scores = drawn(rng, 200)
    found = np.array([quality.predict(each) for each in others])
    assert np.abs(found - scores).mean() < 0.02
    assert abs((found - scores).mean()) < 0.01
    assert abs(np.mean([each.expected for each in others]) - np.mean(scores)) > 0.08
    assert quality.error < 0.03
    assert Quality.from_dict(quality.to_dict()) == quality


def test_a_fit_without_bounds_predicts() -> None:
    signs = Signs(expected=0.9, doubt=0.1)
    for level, expected in ((-1e4, 0.0), (1e4, 1.0)):
        quality = Quality(weights=(level, 0.0, 0.0), empty=0.0, cases=9, error=0.0)
        assert quality.predict(signs) == pytest.approx(expected)


def test_few_cases_and_empty_masks() -> None:
    given, scores = drawn(np.random.default_rng(1), 9)
    nothing = Signs(expected=math.nan, doubt=math.nan)
    assert fit_quality(given[:2], scores[:2]) is None
    assert fit_quality([*given[:2], nothing], [*scores[:2], 0.0]) is None
    level = fit_quality(given[:7], scores[:7])  # of fewer than eight, and drawn towards what the masks expect
    assert level is not None and level.weights[1:] == (1.0, 0.0)
    assert level.weights[0] == pytest.approx(-0.8 * 7 / 8, abs=0.1)
    quality = fit_quality([*given, nothing, nothing, given[0]], [*scores, 0.0, 0.2, math.nan])
    assert quality is not None
    assert quality.cases == 9
    assert quality.predict(nothing) == pytest.approx(0.1)


def test_signs_of_parts_add_up_to_those_of_the_whole() -> None:
    rng = np.random.default_rng(6)
    probabilities = rng.dirichlet((1, 1, 1), (8, 20, 20)).astype(np.float32)
    mask, entropy = probabilities.argmax(-1), predictive_entropy(probabilities)
    sums = SignSums(3)
    for part in (slice(0, 3), slice(3, 8)):
        sums.add(probabilities[part], mask[part], entropy[part])
    whole, found = signs_of(probabilities, mask, entropy), sums.signs()
    assert (found.expected, found.doubt) == pytest.approx((whole.expected, whole.doubt), rel=1e-12)
    assert sums.entropy == pytest.approx(entropy.mean(), rel=1e-5)
    assert sums.present.tolist() == [1, 2]
