import math
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
from helpers import as_numpy

from ldseg.models import PRESETS, Networks, build_networks, lean, published
from ldseg.models.unet import denoising_unet

pytestmark = [
    pytest.mark.core,
    # Keras's variables, not ours.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

PARTS = ("label_encoder", "image_encoder", "denoiser", "label_decoder")


@cache
def lean_networks(size: tuple[int, ...], axes: str = "YX", preset: str = "lean") -> Networks:
    return build_networks(preset, size=size, channels=3, classes=2, axes=axes)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# The published networks


def test_the_published_preset_has_the_published_parameters() -> None:
    networks = build_networks("ldseg", size=(512, 512), channels=3, classes=2, axes="YX")
    counts = [getattr(networks, part).count_params() for part in PARTS]
    assert counts == [186_865, 294_063, 1_013_873, 271_722]
    assert networks.label_encoder.output_shape == (None, 32, 32, 1)
    assert networks.image_encoder.output_shape == (None, 32, 32, 1)
    assert networks.denoiser.output_shape == (None, 32, 32, 1)
    assert networks.label_decoder.output_shape == (None, 512, 512, 2)
    # No score matrix is held whole: 4096 positions and 8 heads would be half a gigabyte an image.
    attention = networks.image_encoder.get_layer("attention0")
    assert attention.positions == 4096
    assert attention.scores <= 2**22


def test_the_published_preset_has_the_published_parameters_in_3d() -> None:
    networks = build_networks("ldseg", size=(128, 128, 256), channels=1, classes=3, axes="ZYX")
    counts = [getattr(networks, part).count_params() for part in PARTS]
    assert counts == [788_897, 138_853, 2_209_937, 788_431]
    assert networks.label_encoder.output_shape == (None, 8, 8, 16, 1)
    assert networks.image_encoder.output_shape == (None, 8, 8, 16, 1)
    assert networks.denoiser.output_shape == (None, 8, 8, 16, 1)
    assert networks.label_decoder.output_shape == (None, 128, 128, 256, 3)


def test_the_published_preset_keeps_the_frames_of_a_cine() -> None:
    networks = build_networks("ldseg", size=(3, 64, 64), channels=1, classes=3, axes="TYX")
    assert networks.label_encoder.output_shape == (None, 3, 4, 4, 1)
    assert networks.image_encoder.output_shape == (None, 3, 4, 4, 1)
    assert networks.denoiser.output_shape == (None, 3, 4, 4, 1)
    assert networks.label_decoder.output_shape == (None, 3, 64, 64, 3)


def test_the_published_label_goes_in_as_a_number() -> None:
    encoder = published.label_encoder((64, 64), 3, "YX")
    labels = np.random.default_rng(0).integers(0, 3, (2, 64, 64))
    index = keras.Model(encoder.input, encoder.get_layer("class_index").output)
    np.testing.assert_array_equal(as_numpy(index(np.eye(3, dtype="float32")[labels]))[..., 0], labels)


def test_published_weights_are_of_one_size() -> None:
    """The norm of the latent has a scale for each element."""
    small, large = published.label_encoder((64, 64), 2, "YX"), published.label_encoder((64, 128), 2, "YX")
    assert not PRESETS["ldseg"].any_size
    with pytest.raises(ValueError, match="shape"):
        large.set_weights(small.get_weights())


# The lean networks, of every rank


@pytest.mark.parametrize("preset", ["lean", "small"])
@pytest.mark.parametrize(
    ("axes", "size", "grid"),
    [
        ("YX", (32, 64), (4, 8)),
        ("TYX", (3, 32, 64), (3, 4, 8)),
        ("ZYX", (16, 16, 32), (4, 4, 8)),
    ],
)
def test_lean_by_axes(axes: str, size: tuple[int, ...], grid: tuple[int, ...], preset: str) -> None:
    networks = lean_networks(size, axes, preset)
    assert PRESETS[preset].latent_grid(size, axes) == grid
    condition = networks.image_encoder.output_shape[-1]
    assert networks.label_encoder.input_shape == (None, *size, 2)
    assert networks.label_encoder.output_shape == (None, *grid, 4)
    assert networks.image_encoder.input_shape == (None, *size, 3)
    assert networks.image_encoder.output_shape == (None, *grid, condition)
    assert networks.denoiser.input_shape == [(None, *grid, 4), (None, *grid, condition), (None,)]
    assert networks.denoiser.output_shape == (None, *grid, 4)
    assert networks.label_decoder.input_shape == (None, *grid, 4)
    assert networks.label_decoder.output_shape == (None, *size, 2)


def test_along_time_nothing_is_strided() -> None:
    assert lean.strides("TYX", 8) == (1, 8, 8)
    assert lean.strides("ZYX", 8) == (8, 8, 8)
    networks = lean_networks((3, 32, 64), "TYX")
    strides = {layer.strides[0] for part in PARTS for layer in getattr(networks, part).layers if hasattr(layer, "strides")}
    assert strides == {1}


def test_lean_weights_serve_images_of_any_size() -> None:
    small, large = lean_networks((32, 64)), lean_networks((64, 64))
    assert PRESETS["lean"].any_size
    for part in PARTS:
        source, goal = getattr(small, part), getattr(large, part)
        assert [w.path for w in goal.weights] == [w.path for w in source.weights]
        goal.set_weights(source.get_weights())
        for mine, other in zip(goal.get_weights(), source.get_weights()):
            np.testing.assert_array_equal(mine, other)


def test_the_lean_latent_is_in_range_case_by_case() -> None:
    encoder = lean_networks((32, 64)).label_encoder
    labels = np.random.default_rng(0).integers(0, 2, (3, 32, 64)) * np.reshape([1, 0, 1], (3, 1, 1))
    onehot = np.eye(2, dtype="float32")[labels]
    latent = as_numpy(encoder(onehot))
    np.testing.assert_allclose(latent.mean((1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(latent[[0, 2]].std((1, 2)), 1, atol=1e-2)
    np.testing.assert_allclose(as_numpy(encoder(onehot[1:2]))[0], latent[1], atol=1e-3)


def test_the_denoiser_looks_at_all_that_it_is_given() -> None:
    denoiser = lean_networks((32, 64)).denoiser
    state, condition, time = draw(2, 4, 8, 4), draw(2, 4, 8, 32, seed=1), np.array([500, 20], "int32")
    base = as_numpy(denoiser([state, condition, time]))
    for other in (
        [state[:, ::-1].copy(), condition, time],
        [state, condition[:, ::-1].copy(), time],
        [state, condition, np.array([700, 20], "int32")],
    ):
        assert np.abs(as_numpy(denoiser(other)) - base)[0].max() > 1e-3
    # The second case's time is as it was: so is its prediction.
    np.testing.assert_allclose(as_numpy(denoiser([state, condition, np.array([700, 20], "int32")]))[1], base[1], atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_latent_is_float32_in_every_precision(policy: str) -> None:
    exact = lean_networks((32, 64)).denoiser
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        networks = build_networks("lean", size=(32, 64), channels=3, classes=2, axes="YX")
    finally:
        keras.config.set_dtype_policy(before)
    half = networks.denoiser
    assert [part.outputs[0].dtype for part in (half, networks.label_encoder, networks.label_decoder)] == ["float32"] * 3
    assert half.get_layer("stem").compute_dtype == policy.removeprefix("mixed_")
    half.set_weights(exact.get_weights())
    inputs: list[Any] = [draw(2, 4, 8, 4), draw(2, 4, 8, 32, seed=1), np.array([999, 3], "int32")]
    expected = as_numpy(exact(inputs))
    np.testing.assert_allclose(as_numpy(half(inputs)), expected, atol=0.05 * np.abs(expected).max())


# The U-Net


@pytest.mark.parametrize("skip_down", [True, False])
@pytest.mark.parametrize(
    ("grid", "strides"), [((8,), ((2,), (2,))), ((3, 4, 8), ((1, 2, 2), (1, 1, 2)))], ids=["1d", "3d"]
)
def test_the_unet_of_any_rank(grid: tuple[int, ...], strides: tuple[tuple[int, ...], ...], skip_down: bool) -> None:
    unet = denoising_unet(
        grid,
        3,
        2,
        widths=(4, 8, 8),
        strides=strides,
        blocks=1,
        attention=(False, False, True),
        groups=2,
        time_dim=4,
        skip_down=skip_down,
    )
    assert unet.output_shape == (None, *grid, 3)
    ups = {layer.name: layer for layer in unet.layers if layer.name.startswith("skip")}
    # One block a level on the way down: one skip more a level, of the down-sampled map or the stem, on the way up.
    assert len(ups) == (6 if skip_down else 3)
    bottom = tuple(math.ceil(n / math.prod(s)) for n, s in zip(grid, zip(*strides)))
    assert unet.get_layer("middle_in").output.shape == (None, *bottom, 8)
    names = {layer.name for layer in unet.layers}
    assert "down2_0_attention" in names
    assert "down1_0_attention" not in names


# What cannot be built


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"preset": "leen"}, r"\['ldseg', 'lean', 'small'\], got 'leen'"),
        ({"classes": 1}, "at least 2 classes and 1 channel, got 1 and 3"),
        ({"channels": 0}, "at least 2 classes and 1 channel, got 2 and 0"),
        ({"size": (48, 64)}, r"multiple of its stride \(32, 32\), got size \(48, 64\)"),
        ({"size": (0, 64)}, "multiple of its stride"),
        ({"size": (64, 64, 64)}, "2 axes, got"),
        ({"axes": "TYX"}, "3 axes, got"),
        ({"preset": "ldseg", "size": (32, 64)}, r"multiple of its stride \(64, 64\)"),
        ({"preset": "ldseg", "size": (64, 32, 64), "axes": "ZYX"}, r"multiple of its stride \(64, 64, 64\)"),
        ({"axes": "XY"}, r"axes of \['TYX', 'YX', 'ZYX'\], got 'XY'"),
    ],
)
def test_what_cannot_be_built(changed: dict[str, Any], expected: str) -> None:
    options: dict[str, Any] = {"preset": "lean", "size": (64, 64), "channels": 3, "classes": 2, "axes": "YX"}
    options |= changed
    with pytest.raises(ValueError, match=expected):
        build_networks(options.pop("preset"), **options)
