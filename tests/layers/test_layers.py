import math
from typing import Any

import keras
import numpy as np
import pytest
from helpers import EVERY_RANK, as_numpy, check_layer, draw, group_norm, randomize, said, slots_of, weights_of
from keras import ops

from ldseg import layers
from ldseg.layers import (
    AttentiveFusion,
    ClassIndex,
    ConvNorm,
    FFParser,
    GroupedConv,
    GroupNormalization,
    MaskLogits,
    MaskState,
    ResidualBlock,
    SelfAttention,
    TimeEmbedding,
    conv,
)

pytestmark = [
    pytest.mark.core,
    # Keras's variables, not ours.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


# GroupNorm


@EVERY_RANK
@pytest.mark.parametrize(
    "options", [{"groups": 2}, {"groups": 8}, {"groups": -1, "center": False, "scale": False}], ids=["2", "8", "each"]
)
def test_group_norm_is_that_of_keras(options: dict[str, Any], grid: tuple[int, ...]) -> None:
    ours, theirs = GroupNormalization(**options), keras.layers.GroupNormalization(**options)
    # Channels of unlike means: a group's variance is more than the mean of theirs.
    x = draw(3, *grid, 8) + 5 * draw(8, seed=1)
    for layer in (ours, theirs):
        layer.build(x.shape)
    randomize(ours)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(said(ours, x), said(theirs, x), atol=2e-5)
    # Files of weights address a layer by the name of its class.
    assert type(ours).__name__ == type(theirs).__name__


@EVERY_RANK
@pytest.mark.parametrize("options", [{"groups": 2}, {"groups": 8}, {"groups": -1, "center": False, "scale": False}])
def test_the_gradient_of_group_norm_is_that_of_keras(options: dict[str, Any], grid: tuple[int, ...]) -> None:
    """Of the map and of the weights, through one step of plain gradient descent with a dense layer before it."""
    x, wanted = draw(3, *grid, 8) + 5 * draw(8, seed=1), draw(3, *grid, 8, seed=2)
    moved = []
    for made in (GroupNormalization, keras.layers.GroupNormalization):
        model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Dense(8), made(**options)])
        randomize(model)
        model.compile(keras.optimizers.SGD(1.0), loss="mse", jit_compile=keras.backend.backend() == "jax")
        model.train_on_batch(x, wanted)
        moved.append(model.get_weights())
    for ours, theirs in zip(*moved):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)


def test_group_norm_of_values_far_from_zero() -> None:
    layer = GroupNormalization(-1, center=False, scale=False, epsilon=1e-5)
    x = 100 + 0.1 * draw(2, 16, 16, 3)
    exact = x.astype("float64")
    exact = (exact - exact.mean((1, 2), keepdims=True)) / np.sqrt(exact.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(said(layer, x), exact, atol=2e-3)


def test_group_norm_in_half_precision() -> None:
    layer = GroupNormalization(2, dtype="mixed_float16")
    found = layer(ops.cast(300 * draw(2, 8, 8, 4), "float16"))
    assert found.dtype == ops.cast(0, "float16").dtype
    assert np.isfinite(as_numpy(found)).all()


@EVERY_RANK
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_conv_norm_is_a_convolution_and_batch_norm(training: bool, grid: tuple[int, ...]) -> None:
    layer = ConvNorm(6)
    layer.build((3, *grid, 8))
    randomize(layer)
    layer.norm.moving_variance.assign(1 + np.square(draw(6, seed=2)))
    both = keras.Sequential([keras.Input((*grid, 8)), conv(len(grid), 6), keras.layers.BatchNormalization()])
    both.set_weights(layer.get_weights())
    x = draw(3, *grid, 8)
    np.testing.assert_allclose(as_numpy(layer(x, training=training)), as_numpy(both(x, training=training)), atol=1e-4)
    # In training the statistics follow the batch.
    for ours, theirs in zip(layer.get_weights(), both.get_weights()):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@EVERY_RANK
def test_conv_norm_is_a_layer(grid: tuple[int, ...]) -> None:
    # BatchNorm takes the mean away, and the bias of the convolution with it.
    check_layer(ConvNorm(6, 1), draw(2, *grid, 8), expected=(2, *grid, 6), unseen=("conv/bias",))


# Residual blocks


@pytest.mark.parametrize(("grid", "filters"), [((6,), 8), ((4, 6), 4), ((2, 3, 4), 8)], ids=["1d", "2d", "3d"])
def test_a_block_with_time_is_a_layer(grid: tuple[int, ...], filters: int) -> None:
    check_layer(ResidualBlock(filters, 2), draw(2, *grid, 8), draw(2, 6, seed=1), expected=(2, *grid, filters))


@pytest.mark.parametrize(("grid", "filters"), [((6,), 4), ((2, 3, 4), 6)], ids=["1d", "3d"])
def test_a_block_without_time_is_a_layer(grid: tuple[int, ...], filters: int) -> None:
    check_layer(ResidualBlock(filters, 2), draw(2, *grid, 4), expected=(2, *grid, filters))


def test_a_block_with_a_kernel_for_each_axis() -> None:
    layer = ResidualBlock(4, 2, kernel=[1, 3])  # type: ignore[arg-type]
    check_layer(layer, draw(2, 4, 6, 4), expected=(2, 4, 6, 4))
    assert layer.conv_in.kernel.shape == (1, 3, 4, 4)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("filters", [4, 6])
def test_a_block_is_its_formula(filters: int, timed: bool) -> None:
    """With a kernel of 1 its convolutions are matrix products."""
    layer = ResidualBlock(filters, groups=2, kernel=1)
    x, time = draw(3, 5, 4), draw(3, 7, seed=1)
    inputs = [x, time] if timed else x
    layer(slots_of(inputs))
    randomize(layer)
    w = weights_of(layer)

    def apply(name: str, values: np.ndarray) -> np.ndarray:
        return values @ w[f"{name}/kernel"].reshape(values.shape[-1], -1) + w[f"{name}/bias"]

    hidden = apply("conv_in", silu(group_norm(x.astype("float64"), 2, w["norm_in/gamma"], w["norm_in/beta"])))
    if timed:
        hidden = hidden + apply("time", silu(time.astype("float64")))[:, None]
    hidden = apply("conv_out", silu(group_norm(hidden, 2, w["norm_out/gamma"], w["norm_out/beta"])))
    expected = hidden + (x if filters == 4 else apply("shortcut", x.astype("float64")))
    np.testing.assert_allclose(said(layer, inputs), expected, atol=1e-4)


# Time and classes


def test_the_time_embedding_is_a_layer() -> None:
    check_layer(TimeEmbedding(8, 6), np.array([1, 30, 900], "int32"), expected=(3, 6))
    assert TimeEmbedding(4).compute_output_shape((2,)) == (2, 4)


def test_the_time_embedding_is_its_formula() -> None:
    layer = TimeEmbedding(64, 16)
    time = np.array([0, 1, 17, 500, 999, 1000], "int32")
    layer(slots_of(time))
    randomize(layer)
    w = weights_of(layer)
    angle = time[:, None] * np.exp(-math.log(10_000) * np.arange(32) / 31)
    code = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    expected = silu(code @ w["hidden/kernel"] + w["hidden/bias"]) @ w["out/kernel"] + w["out/bias"]
    np.testing.assert_allclose(said(layer, time), expected, atol=2e-3)


def test_near_times_differ_in_half_precision() -> None:
    """Float16 counts above 2048 by twos, bfloat16 above 256."""
    exact, half = TimeEmbedding(32), TimeEmbedding(32, dtype="mixed_bfloat16")
    time = np.array([1000, 1001, 2001], "int32")
    exact(slots_of(time))
    half(slots_of(time))
    randomize(exact)
    half.set_weights(exact.get_weights())
    expected, found = as_numpy(exact(time)), as_numpy(ops.cast(half(time), "float32"))
    assert np.abs(found - expected).max() < 0.2 * np.abs(expected[1] - expected[0]).max()


@pytest.mark.parametrize("dim", [2, 7])
def test_a_time_embedding_that_cannot_be(dim: int) -> None:
    with pytest.raises(ValueError, match=f"at least 4, got {dim}"):
        TimeEmbedding(dim)


@EVERY_RANK
def test_class_indices(grid: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (2, *grid))
    onehot = np.eye(4, dtype="float32")[labels]
    check_layer(ClassIndex(), onehot, expected=(2, *grid, 1))
    np.testing.assert_array_equal(as_numpy(ClassIndex()(onehot))[..., 0], labels)
    for dtype in ("float16", "bfloat16"):
        np.testing.assert_array_equal(as_numpy(ClassIndex(dtype=dtype)(onehot))[..., 0].astype(int), labels)


# Frequencies, odd lengths and even ones

SPECTRA = pytest.mark.parametrize(
    "grid",
    [
        *(pytest.param(grid, marks=pytest.mark.once) for grid in ((7,), (8,), (4, 6), (3, 4, 5))),
        *((5, 7), (6, 5), (2, 3, 4), (4, 1, 1)),
    ],
    ids=str,
)


def filtered(x: np.ndarray, grid: tuple[int, ...], real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    """With NumPy's transform of real arrays, channels last."""
    axes = tuple(range(1, len(grid) + 1))
    weight = np.moveaxis(real + 1j * imaginary, 0, -1)
    return np.fft.irfftn(np.fft.rfftn(x.astype("float64"), axes=axes) * weight, s=grid, axes=axes)


@EVERY_RANK
def test_the_ff_parser_is_a_layer(grid: tuple[int, ...]) -> None:
    check_layer(FFParser(), draw(2, *grid, 3), expected=(2, *grid, 3))


@SPECTRA
def test_the_ff_parser_begins_as_the_identity(grid: tuple[int, ...]) -> None:
    x = draw(2, *grid, 3)
    np.testing.assert_allclose(said(FFParser(), x), x, atol=1e-5)


@SPECTRA
def test_the_ff_parser_is_a_filter_of_numpys(grid: tuple[int, ...]) -> None:
    layer, x = FFParser(), draw(2, *grid, 3)
    layer.build(x.shape)
    randomize(layer)
    real, imaginary = (as_numpy(weight).astype("float64") for weight in (layer.real, layer.imaginary))
    expected = filtered(x, grid, real, imaginary)
    np.testing.assert_allclose(said(layer, x), expected, atol=1e-5)
    # A half that is mirrored is the whole spectrum: the same by the transform of complex arrays.
    axes = tuple(range(1, len(grid) + 1))
    response = np.fft.irfftn(np.moveaxis(real + 1j * imaginary, 0, -1)[None], s=grid, axes=axes)
    whole = np.fft.ifftn(np.fft.fftn(response, axes=axes) * np.fft.fftn(x.astype("float64"), axes=axes), axes=axes)
    np.testing.assert_allclose(expected, whole.real, atol=1e-10)
    assert np.abs(whole.imag).max() < 1e-10


@pytest.mark.parametrize(("grid", "band"), [((16,), (3,)), ((8, 12), (6, 2)), ((4, 6, 8), (1, 5, 3))], ids=str)
def test_a_shift_of_the_map_in_one_band_changes_that_band(grid: tuple[int, ...], band: tuple[int, ...]) -> None:
    layer, x = FFParser(), draw(2, *grid, 3)
    layer.build(x.shape)
    real = as_numpy(layer.real).copy()
    real[(1, *band)] += 0.5
    layer.set_weights([real, as_numpy(layer.imaginary)])
    axes = tuple(range(1, len(grid) + 1))
    before, after = (np.fft.rfftn(array, axes=axes) for array in (x, said(layer, x)))
    expected = before.copy()
    expected[(slice(None), *band, 1)] *= 1.5
    np.testing.assert_allclose(after, expected, atol=1e-4)


def test_the_ff_parser_in_half_precision() -> None:
    layer, x = FFParser(dtype="mixed_float16"), (1000 * draw(1, 32, 32, 2)).astype("float16")
    found = layer(x)
    assert found.dtype == ops.cast(0, "float16").dtype
    # The sum over all positions, which the spectrum begins with, does not fit into float16.
    np.testing.assert_allclose(as_numpy(found).astype("float64"), x.astype("float64"), rtol=2e-3, atol=0.5)
    with pytest.raises(ValueError, match="fixed size"):
        FFParser().build((None, None, 4, 3))


@EVERY_RANK
def test_attentive_fusion_is_a_layer(grid: tuple[int, ...]) -> None:
    check_layer(AttentiveFusion(), draw(2, *grid, 4), draw(2, *grid, 4, seed=1), expected=(2, *grid, 4))


def test_attentive_fusion_is_its_formula() -> None:
    layer, image, mask = AttentiveFusion(), draw(2, 3, 5, 4), 3 * draw(2, 3, 5, 4, seed=1) + 1
    layer(slots_of([image, mask]))
    randomize(layer)
    w = weights_of(layer)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = x.astype("float64") - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}/gamma"] + w[f"{name}/beta"]

    expected = norm(image, "norm_image") * norm(mask, "norm_mask") * image
    np.testing.assert_allclose(said(layer, [image, mask]), expected, atol=1e-4)
    with pytest.raises(ValueError, match="two maps of one shape"):
        AttentiveFusion().build([(None, 4, 4, 8), (None, 4, 4, 4)])


# Masks as states


@EVERY_RANK
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classes_are_states_and_back(classes: int, grid: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).integers(0, classes, (2, *grid))
    onehot = np.eye(classes, dtype="float32")[labels]
    channels = 1 if classes == 2 else classes
    check_layer(MaskState(), onehot, expected=(2, *grid, channels))
    state = as_numpy(MaskState()(onehot))
    assert set(np.unique(state)) == {-1, 1}
    check_layer(MaskLogits(), state, expected=(2, *grid, classes))
    np.testing.assert_array_equal(as_numpy(MaskLogits()(state)).argmax(-1), labels)


def test_a_state_in_between_is_a_probability() -> None:
    share = np.array([[0.0], [0.25], [0.9], [1.0]], "float32")
    found = as_numpy(ops.softmax(MaskLogits()(2 * share - 1)))
    np.testing.assert_allclose(found, np.concatenate([1 - share, share], -1), atol=2e-4)
    shares = np.array([[0.2, 0.3, 0.5], [0.5, 0.5, 0.25]], "float32")
    found = as_numpy(ops.softmax(MaskLogits()(2 * shares - 1)))
    np.testing.assert_allclose(found, shares / shares.sum(-1, keepdims=True), atol=1e-5)
    # A state out of range is that at its end.
    assert np.isfinite(as_numpy(MaskLogits()(np.array([[-7.0], [7.0]], "float32")))).all()


@pytest.mark.parametrize("layer", [SelfAttention(2), ResidualBlock(16), TimeEmbedding(16)])
def test_all_of_a_layer_runs_in_the_layers_precision(layer: Any) -> None:
    options = {**layer.get_config(), "dtype": "bfloat16"}
    reduced = type(layer).from_config(options)
    reduced.build((None,) if isinstance(layer, TimeEmbedding) else (None, 4, 4, 8))
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in reduced.weights} == {"bfloat16"}


# Keras's layers by rank


@EVERY_RANK
def test_convolutions_by_rank(grid: tuple[int, ...]) -> None:
    rank, x = len(grid), draw(2, *grid, 3)
    strides = (1, 2, 2)[-rank:]
    assert layers.conv(rank, 5)(x).shape == (2, *grid, 5)
    halved = tuple(math.ceil(length / stride) for length, stride in zip(grid, strides))
    assert layers.conv(rank, 5, 3, strides)(x).shape == (2, *halved, 5)
    grown = tuple(length * stride for length, stride in zip(grid, strides))
    assert layers.conv_transpose(rank, 5, strides, strides)(x).shape == (2, *grown, 5)
    assert layers.conv_transpose(rank, 5, 3, 2, use_bias=False).use_bias is False


@pytest.mark.parametrize("grid", [(6,), (4, 6), (2, 4, 6)], ids=["1d", "2d", "3d"])
def test_pools_and_upsampling_by_rank(grid: tuple[int, ...]) -> None:
    """Each against NumPy: windows of 1 along the first of three axes, of 2 along the others."""
    rank, x = len(grid), draw(2, *grid, 3)
    windows = (1, 2, 2)[-rank:]
    split: list[int] = [2]
    for length, window in zip(grid, windows):
        split += [length // window, window]
    within = tuple(range(2, 2 * rank + 1, 2))
    parts = x.reshape(*split, 3)
    np.testing.assert_allclose(said(layers.max_pool(rank, windows), x), parts.max(within))
    grown = x
    for axis, window in enumerate(windows, start=1):
        grown = grown.repeat(window, axis)
    np.testing.assert_array_equal(said(layers.upsample(rank, windows), x), grown)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_rank_that_keras_has_no_layers_for(rank: int) -> None:
    for make in (
        lambda: layers.conv(rank, 2),
        lambda: layers.conv_transpose(rank, 2, 2, 2),
        lambda: layers.max_pool(rank, 2),
        lambda: layers.upsample(rank, 2),
    ):
        with pytest.raises(ValueError, match=rf"rank of \[1, 2, 3\], got {rank}"):
            make()


# Grouped convolution


@EVERY_RANK
def test_grouped_convolution_is_a_layer(grid: tuple[int, ...]) -> None:
    check_layer(GroupedConv(8, 4), draw(2, *grid, 4), expected=(2, *grid, 8))


@EVERY_RANK
def test_groups_do_not_see_each_other(grid: tuple[int, ...]) -> None:
    """Each group is an ordinary convolution of its own channels."""
    x, layer = draw(2, *grid, 4), GroupedConv(6, 2)
    found = said(layer, x)
    kernel, bias = as_numpy(layer.weight), as_numpy(layer.bias)
    for group in range(2):
        alone = layers.conv(len(grid), 3)
        alone.build((None, *grid, 2))
        alone.set_weights([kernel[..., 3 * group : 3 * group + 3], bias[3 * group : 3 * group + 3]])
        expected = as_numpy(alone(x[..., 2 * group : 2 * group + 2]))
        np.testing.assert_allclose(found[..., 3 * group : 3 * group + 3], expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="multiples of 3 groups"):
        GroupedConv(6, 3)(x)
