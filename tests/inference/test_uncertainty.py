import math

import numpy as np
import pytest

from ldseg.inference.uncertainty import Moments, member_variance, predictive_entropy


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_entropy_from_certain_to_even(classes: int) -> None:
    certain = np.eye(classes, dtype=np.float32)
    np.testing.assert_array_equal(predictive_entropy(certain), 0)
    even = np.full((4, 5, classes), 1 / classes, np.float32)
    found = predictive_entropy(even)
    assert (found.shape, found.dtype) == ((4, 5), np.float32)
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_entropy_by_hand() -> None:
    p = np.array([0.5, 0.25, 0.25], np.float32)
    assert predictive_entropy(p) == pytest.approx(1.5 * math.log(2) / math.log(3), abs=1e-6)
    # Halves of two classes out of four are half of what there is.
    assert predictive_entropy(np.array([0.5, 0.5, 0, 0], np.float32)) == pytest.approx(0.5, abs=1e-6)


def test_variance_by_hand() -> None:
    """Of two members that contradict each other it is 1/4, of three 2/9."""
    yes, no = np.array([0, 1], np.float32), np.array([1, 0], np.float32)
    assert member_variance(np.stack([yes, no])) == pytest.approx(0.25)
    assert member_variance(np.stack([yes, no, no])) == pytest.approx(2 / 9)
    three = np.array([[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]], np.float32)
    assert member_variance(three) == pytest.approx((0.01 + 0 + 0.01) / 3, abs=1e-7)


def test_members_that_agree_do_not_vary() -> None:
    one = np.random.default_rng(0).dirichlet(np.ones(3), (5, 6)).astype(np.float32)
    np.testing.assert_array_equal(member_variance(np.stack([one] * 7)), 0)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_members_one_by_one(count: int) -> None:
    members = np.random.default_rng(1).dirichlet(np.ones(3), (count, 6, 5)).astype(np.float32)
    kept = members.copy()
    moments = Moments()
    for member in members:
        moments.add(member)
    np.testing.assert_array_equal(members, kept)
    np.testing.assert_allclose(moments.mean, members.mean(0), atol=1e-6)
    np.testing.assert_allclose(moments.variance, members.astype(np.float64).var(0).mean(-1), atol=1e-6)
    if count == 1:
        np.testing.assert_array_equal(moments.mean, members[0])


def test_no_member() -> None:
    with pytest.raises(ValueError, match="at least one member"):
        _ = Moments().mean
