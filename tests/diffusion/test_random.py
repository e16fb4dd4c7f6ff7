from typing import Any

import numpy as np
import pytest
from helpers import as_numpy
from keras import ops

from ldseg.diffusion.random import WORDS, normal, threefry

pytestmark = pytest.mark.core


def words(*values: int) -> tuple[Any, ...]:
    return tuple(ops.convert_to_tensor(np.array([value], "uint32").view("int32")) for value in values)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers(key: tuple[int, int], counter: tuple[int, int], expected: tuple[int, int]) -> None:
    """Those of Random123, the library of the paper's authors."""
    found = threefry(words(*key), words(*counter), ops)
    assert tuple(int(as_numpy(word).view("uint32")[0]) for word in found) == expected


COUNT = 250_000


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """The numbers of as many keys, for six counts."""
    keys = np.random.default_rng(0).integers(0, WORDS, (2, COUNT)).astype("float32")
    return np.stack([as_numpy(normal(keys, index, ops)) for index in (0, 1, 2, 3, 500, 999)]).astype("float64")


def test_numbers_are_standard_normal(drawn: np.ndarray) -> None:
    """Moments to five standard errors, and the share below some values."""
    error = 5 / np.sqrt(COUNT)
    assert np.isfinite(drawn).all()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        np.testing.assert_allclose((drawn**power).mean(1), moment, atol=error * np.sqrt(variance))
    for value, share in ((-2, 0.02275), (-1, 0.15866), (0, 0.5), (1.5, 0.93319)):
        np.testing.assert_allclose((drawn < value).mean(1), share, atol=error * np.sqrt(share * (1 - share)))


def test_numbers_are_independent(drawn: np.ndarray) -> None:
    """Of each other count, and of the next key; their squares too."""
    for values in (drawn, drawn**2):
        together = np.concatenate([values, np.roll(values, 1, axis=1)])
        off = np.corrcoef(together) - np.eye(len(together))
        assert np.abs(off).max() < 5 / np.sqrt(COUNT)


def test_keys_that_are_alike_are_told_apart() -> None:
    keys = np.array([[0, 1, 0, 1, WORDS - 1], [0, 0, 1, 1, WORDS - 1]], "float32")
    found = as_numpy(normal(keys, 7, ops))
    assert len(set(found.tolist())) == 5
    np.testing.assert_array_equal(found, as_numpy(normal(keys.astype("int32"), ops.convert_to_tensor(7), ops)))
