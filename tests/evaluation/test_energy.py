import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.evaluation.energy import energy_distance


def bar(first: int, last: int, value: int = 1) -> np.ndarray:
    """A line of 12 pixels of which some are of a class."""
    line = np.zeros((1, 12), np.int32)
    line[0, first:last] = value
    return line


def test_one_mask_against_one() -> None:
    """|A ∩ B| = 2, |A ∪ B| = 6: twice the distance 1 - 1/3, as a mask is no distance from itself."""
    assert energy_distance([bar(0, 4)], [bar(2, 6)], 2) == pytest.approx(4 / 3)


def test_two_against_two_by_hand() -> None:
    """d(A, B) = 2/3, d(A, C) = 1, d(B, C) = 1 - 2/6."""
    a, b, c = bar(0, 4), bar(2, 6), bar(4, 8)
    across = np.mean([0, 1, 2 / 3, 2 / 3])  # (A, A), (A, C), (B, A), (B, C)
    assert energy_distance([a, b], [a, c], 2) == pytest.approx(2 * across - 1 / 3 - 1 / 2)


def test_the_same_masks_in_the_same_shares_are_no_distance_apart() -> None:
    a, b = bar(0, 4), bar(2, 6)
    assert energy_distance([a, b, b, a], [b, a], 2) == pytest.approx(0, abs=1e-12)
    assert energy_distance([a, b, b, b], [b, a], 2) > 0.01


def test_nothing_equals_nothing_and_is_far_from_something() -> None:
    nothing = bar(0, 0)
    assert energy_distance([nothing], [nothing], 2) == 0
    assert energy_distance([nothing], [bar(0, 4)], 2) == 2


def test_several_classes_count_where_one_of_the_two_has_them() -> None:
    """Class 1 agrees, class 2 is in one alone, class 3 in none: IoU (1 + 0) / 2."""
    assert energy_distance([bar(0, 4) + bar(6, 8, 2)], [bar(0, 4)], 4) == pytest.approx(1)


def test_a_diverse_model_is_nearer_to_diverse_annotators_than_its_mean() -> None:
    a, b, middle = bar(0, 4), bar(4, 8), bar(2, 6)
    assert energy_distance([a, b], [a, b], 2) < energy_distance([middle], [a, b], 2)


@pytest.mark.parametrize(
    ("samples", "annotations", "message"),
    [
        ([bar(0, 4)], [bar(0, 4)[:, :6]], r"expected masks of \(1, 12\), got \(1, 6\)"),
        ([bar(0, 4, 2)], [bar(0, 4)], "samples: expected class indices 0..1, got 0 to 2"),
        ([bar(0, 4)], np.zeros((0, 1, 12), int), "annotations: expected class indices"),
        ([bar(0, 4) / 2], [bar(0, 4)], "samples: expected class indices .* float64"),
    ],
)
def test_what_does_not_go_together(samples: list, annotations: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        energy_distance(samples, annotations, 2)
