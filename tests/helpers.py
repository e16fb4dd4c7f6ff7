"""What several test modules need."""

from typing import Any

import keras
import numpy as np
import pytest

# Networks have two axes or three: one is tested on one backend.
GRIDS = [
    pytest.param((6,), id="1d", marks=pytest.mark.once),
    pytest.param((4, 6), id="2d"),
    pytest.param((2, 3, 4), id="3d"),
]
EVERY_RANK = pytest.mark.parametrize("grid", GRIDS)


def as_numpy(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def slots_of(given: Any) -> Any:
    """Inputs of a model for arrays, batch first."""
    return keras.tree.map_structure(lambda array: keras.Input(array.shape[1:], dtype=str(array.dtype)), given)


def said(layer: keras.layers.Layer, given: Any) -> np.ndarray:
    """What a layer or a model says. To compile it as a whole takes JAX less time than to compile each of its operations."""
    if keras.backend.backend() != "jax":
        return as_numpy(layer(given))
    if not isinstance(layer, keras.Model):
        slots = slots_of(given)
        layer = keras.Model(slots, layer(slots))
    return as_numpy(layer.predict_on_batch(given))


def randomize(layer: Any, seed: int = 0) -> None:
    """Give every weight of a layer a value of its own: no zero bias, no unit scale hides a mistake."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.weights])


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    """A layer's weights in float64 by the last two parts of their paths."""
    return {"/".join(w.path.split("/")[-2:]): as_numpy(w).astype("float64") for w in layer.weights}


def group_norm(x: np.ndarray, groups: int, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Over positions (B, N, c) and the channels of a group."""
    parts = x.reshape(*x.shape[:2], groups, -1)
    parts = parts - parts.mean((1, 3), keepdims=True)
    parts = parts / np.sqrt((parts**2).mean((1, 3), keepdims=True) + 1e-5)
    return parts.reshape(x.shape) * gamma + beta


def check_layer(
    layer: keras.layers.Layer,
    *inputs: np.ndarray,
    expected: tuple[int, ...],
    unseen: tuple[str, ...] = (),
) -> None:
    """What must hold of any layer: shapes, the way through its configuration, and gradients.

    Args:
        layer: not built yet.
        inputs: one array, or the arrays of a list of inputs, batch first.
        expected: shape that comes out.
        unseen: ends of the paths of weights that do not matter to what comes out, so that no gradient reaches them.
    """
    given: Any = list(inputs) if len(inputs) > 1 else inputs[0]
    shapes: Any = [array.shape for array in inputs] if len(inputs) > 1 else inputs[0].shape
    output = said(layer, given)
    assert output.shape == expected
    assert np.isfinite(output).all()
    assert tuple(layer.compute_output_shape(shapes)) == expected

    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(twin) is type(layer)
    assert twin is not layer
    assert twin.get_config() == layer.get_config()
    twin(slots_of(given))
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(said(twin, given), output)
    if layer.trainable_weights:
        _check_gradients(layer, inputs, expected, unseen)


def _check_gradients(
    layer: keras.layers.Layer, inputs: tuple[np.ndarray, ...], expected: tuple[int, ...], unseen: tuple[str, ...]
) -> None:
    randomize(layer)
    slots = slots_of(list(inputs))
    model = keras.Model(slots, layer(slots if len(slots) > 1 else slots[0]))
    # TensorFlow is quicker to trace than to compile, JAX to compile one step than each of its operations.
    model.compile(keras.optimizers.SGD(1.0), loss="mse", jit_compile=keras.backend.backend() == "jax")
    before = [as_numpy(weight).copy() for weight in layer.trainable_weights]
    model.train_on_batch(list(inputs), np.random.default_rng(1).normal(0, 5, expected).astype("float32"))
    moved = {
        weight.path: np.abs(as_numpy(weight) - old).max() / np.abs(old).max()
        for weight, old in zip(layer.trainable_weights, before)
    }
    # A gradient that is zero but for rounding is no gradient.
    assert [path for path, change in moved.items() if change < 1e-5 and not path.endswith(unseen)] == []


def posterior(alpha_bar: list[float], now: int, after: int) -> tuple[float, float, float]:
    """q(x' | x_t, x0) by Bayes: two Gaussians multiplied. Factors of x0 and x_t in the mean, and the variance."""
    if after == 0:
        return 1.0, 0.0, 0.0
    alpha = alpha_bar[now] / alpha_bar[after]
    prior, likelihood = 1 / (1 - alpha_bar[after]), alpha / (1 - alpha)
    variance = 1 / (prior + likelihood)
    return variance * prior * alpha_bar[after] ** 0.5, variance * likelihood / alpha**0.5, variance
