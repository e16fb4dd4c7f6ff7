"""Self-attention: its formula, and its bound on memory."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from helpers import EVERY_RANK, as_numpy, check_layer, draw, group_norm, randomize, said, slots_of, weights_of
from keras import ops

from ldseg.layers import SelfAttention

pytestmark = [
    pytest.mark.core,
    # Keras's variables, not ours.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

ROOT = Path(__file__).parents[2]


@EVERY_RANK
def test_attention_is_a_layer(grid: tuple[int, ...]) -> None:
    # A shift of all keys shifts a query's scores alike: softmax does not see the bias of the keys.
    check_layer(SelfAttention(2, 2), draw(2, *grid, 8), expected=(2, *grid, 8), unseen=("key/bias",))


def test_attention_in_chunks_is_a_layer() -> None:
    layer = SelfAttention(2, 2, scores=2 * 6 * 24)
    check_layer(layer, draw(2, 4, 6, 8), expected=(2, 4, 6, 8), unseen=("key/bias",))
    assert SelfAttention(2, scores=None).get_config()["scores"] is None


@pytest.mark.parametrize(("heads", "channels"), [(1, 8), (4, 8), (8, 4)])
def test_attention_is_its_formula(heads: int, channels: int) -> None:
    layer = SelfAttention(heads, groups=2)
    x = draw(2, 3, 4, channels)
    layer(slots_of(x))
    randomize(layer)
    w = weights_of(layer)
    tokens = x.astype("float64").reshape(2, 12, channels)
    normed = group_norm(tokens, 2, w["norm/gamma"], w["norm/beta"])
    query, key, value = (normed @ w[f"{n}/kernel"] + w[f"{n}/bias"] for n in ("query", "key", "value"))
    depth = channels // min(heads, channels)
    mixed = np.empty_like(tokens)
    for case in range(2):
        for first in range(0, channels, depth):
            one = slice(first, first + depth)
            scores = query[case, :, one] @ key[case, :, one].T / math.sqrt(depth)
            share = np.exp(scores - scores.max(1, keepdims=True))
            mixed[case, :, one] = share / share.sum(1, keepdims=True) @ value[case, :, one]
    expected = tokens + mixed @ w["out/kernel"] + w["out/bias"]
    np.testing.assert_allclose(said(layer, x).reshape(expected.shape), expected, atol=1e-4)


# The score matrix of 24 positions and 2 heads has 1152 entries, a row of it 48.
@pytest.mark.parametrize(("scores", "rows"), [(1152, 24), (1151, 12), (400, 8), (48, 1)])
def test_chunks_change_the_memory_and_nothing_else(scores: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = draw(3, 4, 6, 8)
    whole, chunked = SelfAttention(2, scores=None), SelfAttention(2, scores=scores)
    whole(slots_of(x))
    chunked(slots_of(x))
    randomize(whole)
    chunked.set_weights(whole.get_weights())
    expected = said(whole, x)
    held = set()
    softmax = ops.softmax

    def spy(x: Any, axis: int = -1) -> Any:
        held.add(tuple(x.shape))
        return softmax(x, axis)

    monkeypatch.setattr(keras.ops, "softmax", spy)
    found = as_numpy(chunked(x))
    alone = rows < 24 and keras.backend.backend() == "tensorflow"
    assert held == {(1 if alone else 3, 2, rows, 24)}
    assert 2 * rows * 24 <= scores
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_chunks_with_a_batch_that_is_not_known() -> None:
    layer = SelfAttention(2, scores=400)
    slot = keras.Input((4, 6, 8))
    model = keras.Model(slot, layer(slot))
    x = draw(3, 4, 6, 8)
    np.testing.assert_allclose(model.predict(x, verbose=0), said(layer, x), atol=1e-5)


def test_chunks_leave_the_gradients_as_they_are() -> None:
    x, target, found = draw(3, 4, 6, 8), draw(3, 4, 6, 8, seed=1), []
    layers = SelfAttention(2, 2, scores=None), SelfAttention(2, 2, scores=400)
    for layer in layers:
        slot = keras.Input((4, 6, 8))
        model = keras.Model(slot, layer(slot))
        model.compile(keras.optimizers.SGD(1.0), loss="mse", jit_compile=keras.backend.backend() == "jax")
        if not found:
            randomize(layer)
            given = layer.get_weights()
        layer.set_weights(given)
        model.train_on_batch(x, target)
        found.append(layer.get_weights())
    for before, whole, chunked in zip(given, *found):
        np.testing.assert_allclose(chunked - before, whole - before, atol=1e-5)
    assert max(np.abs(whole - before).max() for before, whole in zip(given, found[0])) > 0.01


TRAINED = """
import keras
import numpy as np
from ldseg.devices import peak_memory
from ldseg.layers import SelfAttention

slot = keras.Input((64, 64, 8))
model = keras.Model(slot, SelfAttention(4, 2, scores=2**20)(slot))
model.compile("sgd", "mse", jit_compile=False)
x = np.random.default_rng(0).normal(size=(1, 64, 64, 8)).astype("float32")
before = peak_memory()[0]
model.train_on_batch(x, x)
print(peak_memory()[0] - before)
"""


@pytest.mark.integration
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="memory is that of the processor")
def test_attention_is_trained_in_bounded_memory() -> None:
    """The whole score matrix has 268 MB; a chunk of it has 4 MB."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run([sys.executable, "-c", TRAINED], capture_output=True, text=True, timeout=240, cwd=ROOT, env=env)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[-1]) < 150e6


def test_attention_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="multiple of 3 heads, got 8"):
        SelfAttention(3).build((None, 4, 4, 8))
    with pytest.raises(ValueError, match="fixed size, got"):
        SelfAttention(2).build((None, None, 4, 8))
