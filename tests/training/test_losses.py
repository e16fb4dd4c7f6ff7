import numpy as np
import pytest
from helpers import as_numpy
from keras import ops

from ldseg.training.losses import cross_entropy, segmentation_loss, soft_dice

RNG = np.random.default_rng(3)
LABEL = RNG.integers(0, 3, (2, 5, 7)).astype("int32")
LOGITS = RNG.normal(0, 2, (2, 5, 7, 3)).astype("float32")


def probabilities(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype("float64"))
    return powers / powers.sum(-1, keepdims=True)


def numpy_dice(label: np.ndarray, logits: np.ndarray, smooth: float) -> np.ndarray:
    cases = []
    for case, chances in zip(label, probabilities(logits)):
        per_class = []
        for index in range(logits.shape[-1]):
            truth, chance = case == index, chances[..., index]
            per_class.append((2 * chance[truth].sum() + smooth) / (chance.sum() + truth.sum() + smooth))
        cases.append(np.mean(per_class))
    return np.array(cases)


def test_cross_entropy() -> None:
    chosen = np.take_along_axis(probabilities(LOGITS), LABEL[..., None], -1)
    found = as_numpy(cross_entropy(LABEL, ops.convert_to_tensor(LOGITS)))
    np.testing.assert_allclose(found, -np.log(chosen).mean((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("smooth", [1.0, 10.0])
def test_soft_dice(smooth: float) -> None:
    found = as_numpy(soft_dice(LABEL, ops.convert_to_tensor(LOGITS), smooth))
    np.testing.assert_allclose(found, numpy_dice(LABEL, LOGITS, smooth), rtol=1e-5)


def test_soft_dice_of_certain_answers() -> None:
    right = ops.convert_to_tensor(100 * np.eye(3, dtype="float32")[LABEL])
    np.testing.assert_allclose(as_numpy(soft_dice(LABEL, right)), 1, atol=1e-5)
    wrong = ops.convert_to_tensor(100 * np.eye(3, dtype="float32")[(LABEL + 1) % 3])
    assert (as_numpy(soft_dice(LABEL, wrong)) < 0.1).all()
    # A class that is in neither counts as found.
    nothing = np.zeros_like(LABEL)
    alone = ops.convert_to_tensor(100 * np.eye(3, dtype="float32")[nothing])
    np.testing.assert_allclose(as_numpy(soft_dice(nothing, alone)), 1, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_segmentation_loss_in_any_rank(rank: int) -> None:
    label = RNG.integers(0, 2, (2, *(4,) * rank)).astype("int32")
    logits = RNG.normal(size=(*label.shape, 2)).astype("float32")
    chosen = np.take_along_axis(probabilities(logits), label[..., None], -1).reshape(2, -1)
    expected = -np.log(chosen).mean(1) + 2 * (1 - numpy_dice(label, logits, 1.0))
    np.testing.assert_allclose(as_numpy(segmentation_loss(label, ops.convert_to_tensor(logits))), expected, rtol=1e-5)


def test_the_loss_of_a_case_is_its_own() -> None:
    """Its gradient neither: Dice is taken by case, not over the batch."""
    both = as_numpy(segmentation_loss(LABEL, ops.convert_to_tensor(LOGITS)))
    alone = as_numpy(segmentation_loss(LABEL[1:], ops.convert_to_tensor(LOGITS[1:])))
    np.testing.assert_allclose(both[1:], alone, rtol=1e-6)
    assert both.shape == (2,)
