import numpy as np
import pytest

from ldseg.base.options import FUSIONS
from ldseg.inference.fusion import fuse, labels_of


def pixels(*members: list[list[float]]) -> np.ndarray:
    """Members (E, pixels, C)."""
    return np.array(members, np.float32)


def certain(masks: np.ndarray, classes: int, p: float = 0.9) -> np.ndarray:
    """Members that give their class a probability of p."""
    rest = (1 - p) / (classes - 1)
    return np.where(np.eye(classes, dtype=bool)[masks], p, rest).astype(np.float32)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("size", [(9, 8), (4, 9, 8)])
def test_members_that_agree(fusion: str, classes: int, size: tuple[int, ...]) -> None:
    mask = np.random.default_rng(0).integers(0, classes, size)
    found = fuse(certain(np.stack([mask] * 4), classes), fusion)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(fuse(certain(mask[None], classes), fusion), mask)
    np.testing.assert_array_equal(fuse(certain(np.zeros((3, *size), int), classes), fusion), 0)


def test_the_mean_hears_how_sure_a_member_is_and_the_vote_does_not() -> None:
    """One member that is sure against two that are not."""
    given = pixels([[0.05, 0.95]], [[0.6, 0.4]], [[0.6, 0.4]])
    assert fuse(given, "mean").tolist() == [1]
    assert fuse(given, "vote").tolist() == [0]


def test_of_equal_votes_the_higher_mean_wins_and_of_equal_means_the_first() -> None:
    sure, unsure = [0.1, 0.9], [0.6, 0.4]
    assert fuse(pixels([sure], [unsure]), "vote").tolist() == [1]
    assert fuse(pixels([[0.25, 0.75]], [[0.75, 0.25]]), "vote").tolist() == [0]
    assert fuse(pixels([[0.25, 0.75]], [[0.75, 0.25]]), "mean").tolist() == [0]
    # Class 2 has the highest mean, but no member chose it.
    three = pixels([[0.5, 0.1, 0.4]], [[0.1, 0.5, 0.4]], [[0.51, 0.09, 0.4]], [[0.08, 0.52, 0.4]])
    assert fuse(three, "mean").tolist() == [2]
    assert fuse(three, "vote").tolist() == [1]


def raters(wrong: list[float], classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A disc, within it a smaller one, and masks (E, 64, 64) in which a share of the pixels is of another class."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64] - 32
    radius = np.hypot(y, x)
    true = (radius < 22).astype(int) + ((radius < 12) if classes > 2 else 0)
    other = (true + rng.integers(1, classes, (len(wrong), 64, 64))) % classes
    return true, np.where(rng.random((len(wrong), 64, 64)) < np.array(wrong)[:, None, None], other, true)


@pytest.mark.parametrize("classes", [2, 3])
def test_staple_finds_out_whom_to_trust(classes: int) -> None:
    """Of four raters one is right far less often: with it, votes are as many on either side."""
    true, masks = raters([0.1, 0.1, 0.1, 0.6], classes)
    given = certain(masks, classes)
    errors = {fusion: np.count_nonzero(fuse(given, fusion) != true) for fusion in FUSIONS}
    assert 0 < errors["staple"] < 0.8 * errors["vote"]


def test_staple_of_several_classes_leaves_nothing_undecided() -> None:
    """Two raters who contradict each other everywhere: the surer one is followed."""
    first, second = np.zeros((8, 8), int), np.zeros((8, 8), int)
    first[:4], second[4:] = 1, 2
    given = np.concatenate([certain(first[None], 3, 0.9), certain(second[None], 3, 0.6)])
    found = fuse(given, "staple")
    assert found.max() < 3


def test_labels_take_as_few_bits_as_they_need() -> None:
    assert labels_of(np.zeros((2, 3, 200), np.float32)).dtype == np.uint8
    many = np.zeros((1, 300), np.float32)
    many[0, 299] = 1
    assert labels_of(many).tolist() == [299]


def test_an_unknown_fusion() -> None:
    with pytest.raises(ValueError, match="'staple'.*'median'"):
        fuse(np.zeros((1, 4, 2), np.float32), "median")
