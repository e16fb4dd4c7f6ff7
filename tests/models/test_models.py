import math
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
from helpers import as_numpy, said
from keras import ops

from ldseg.config.sections import PRESETS_OF
from ldseg.models import PRESETS, Networks, build_networks, medsegdiff, published
from ldseg.models.plans import MEDSEGDIFF, MedSegDiffPlan, state_channels, strides
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


@pytest.mark.once
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


@pytest.mark.once
def test_the_published_preset_has_the_published_parameters_in_3d() -> None:
    networks = build_networks("ldseg", size=(128, 128, 256), channels=1, classes=3, axes="ZYX")
    counts = [getattr(networks, part).count_params() for part in PARTS]
    assert counts == [788_897, 138_853, 2_209_937, 788_431]
    assert networks.label_encoder.output_shape == (None, 8, 8, 16, 1)
    assert networks.image_encoder.output_shape == (None, 8, 8, 16, 1)
    assert networks.denoiser.output_shape == (None, 8, 8, 16, 1)
    assert networks.label_decoder.output_shape == (None, 128, 128, 256, 3)


def test_the_published_preset_keeps_the_frames_of_a_video() -> None:
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
    assert strides("TYX", 8) == (1, 8, 8)
    assert strides("ZYX", 8) == (8, 8, 8)
    networks = lean_networks((3, 32, 64), "TYX")
    found = {layer.strides[0] for part in PARTS for layer in getattr(networks, part).layers if hasattr(layer, "strides")}
    assert found == {1}


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
    latent = said(encoder, onehot)
    np.testing.assert_allclose(latent.mean((1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(latent[[0, 2]].std((1, 2)), 1, atol=1e-2)
    np.testing.assert_allclose(said(encoder, onehot[1:2])[0], latent[1], atol=1e-3)


def test_the_denoiser_looks_at_all_that_it_is_given() -> None:
    denoiser = lean_networks((32, 64)).denoiser
    state, condition, time = draw(2, 4, 8, 4), draw(2, 4, 8, 32, seed=1), np.array([500, 20], "int32")
    base = said(denoiser, [state, condition, time])
    for other in (
        [state[:, ::-1].copy(), condition, time],
        [state, condition[:, ::-1].copy(), time],
        [state, condition, np.array([700, 20], "int32")],
    ):
        assert np.abs(said(denoiser, other) - base)[0].max() > 1e-3
    # The second case's time is as it was: so is its prediction.
    np.testing.assert_allclose(said(denoiser, [state, condition, np.array([700, 20], "int32")])[1], base[1], atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.once)])
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
    expected = said(exact, inputs)
    np.testing.assert_allclose(said(half, inputs), expected, atol=0.05 * np.abs(expected).max())


# The U-Net


@pytest.mark.parametrize("skip_down", [True, False])
@pytest.mark.parametrize(("grid", "strides"), [((8,), ((2,), (2,))), ((3, 4, 8), ((1, 2, 2), (1, 1, 2)))], ids=["1d", "3d"])
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


# MedSegDiff

OTHERS = ((True, False), (False, True), (False, False))
SWITCHES = pytest.mark.parametrize(
    ("dynamic", "ff"),
    [(True, True), *(pytest.param(*both, marks=pytest.mark.once) for both in OTHERS[:2]), OTHERS[2]],
)
MINI = MedSegDiffPlan(widths=(4, 8), blocks=1, attention=(2,), heads=2, groups=2)


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def counted(plan: MedSegDiffPlan, size: tuple[int, ...], axes: str, channels: int, dynamic: bool, ff: bool) -> list[int]:
    """The parameters of image encoder and denoiser for two classes, added up on paper."""
    rank, widths, deepest = len(axes), plan.widths, plan.widths[-1]
    units = 4 * widths[0]

    def conv(inputs: int, outputs: int, kernel: int = 3) -> int:
        return inputs * outputs * kernel**rank + outputs

    def attention(width: int) -> int:
        return 2 * width + 4 * dense(width, width)

    def stage(level: int, width: int | None = None, timed: bool = True) -> int:
        inputs, outputs = width or widths[level], widths[level]
        block = 2 * inputs + conv(inputs, outputs) + 2 * outputs + conv(outputs, outputs)
        block += dense(units, outputs) if timed else 0
        block += conv(inputs, outputs, 1) if inputs != outputs else 0
        return block + (attention(outputs) if 2**level in plan.attention else 0)

    def path(inputs: int, timed: bool) -> int:
        total = conv(inputs, widths[0])
        for level in range(len(widths)):
            total += conv(widths[level - 1], widths[level]) if level else 0
            total += plan.blocks * stage(level, timed=timed)
        return total

    total = dense(widths[0], units) + dense(units, units) + path(1, True) + conv(widths[0], 1) + 2 * widths[0]
    for level, width in enumerate(widths):
        *grid, last = (n if axis == "T" else n // 2**level for n, axis in zip(size, axes))
        total += 2 * width * math.prod(grid) * (last // 2 + 1) if ff else 0
        total += 4 * width if dynamic else 0
        above = widths[min(level + 1, len(widths) - 1)]
        # The last to come is the stem, or the map behind the down-sampling, with the width of the level.
        skips = [width] * (plan.blocks + 1)
        comes = above if level < len(widths) - 1 else deepest
        total += conv(widths[level], widths[level]) if level else 0
        for skip in skips:
            total, comes = total + stage(level, comes + skip), width
    at_bottom = 4 * deepest + 2 * conv(deepest, deepest) + dense(units, deepest)
    total += 2 * at_bottom + attention(deepest)
    image = path(channels, dynamic)
    return [0, total + image] if dynamic else [image, total]


@pytest.mark.once
@SWITCHES
@pytest.mark.parametrize(("axes", "size"), [("YX", (32, 48)), ("TYX", (3, 16, 16)), ("ZYX", (8, 8, 16))])
def test_the_parameters_of_medsegdiff(axes: str, size: tuple[int, ...], dynamic: bool, ff: bool) -> None:
    networks = build_networks(
        "tiny", size=size, channels=3, classes=2, axes=axes, dynamic_conditioning=dynamic, ff_parser=ff
    )
    found = [networks.image_encoder.count_params(), networks.denoiser.count_params()]
    assert found == counted(MEDSEGDIFF["tiny"], size, axes, 3, dynamic, ff)
    assert networks.label_encoder.count_params() == networks.label_decoder.count_params() == 0


PUBLISHED = {"tiny": 2_305_369, "S": 31_088_513, "B": 162_808_065, "L": 829_122_049, "++": 14_222_109_697}


@pytest.mark.once
@pytest.mark.parametrize("preset", PUBLISHED)
def test_the_parameters_of_the_presets_at_256(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """L and ++ on paper alone: their weights do not fit everywhere."""
    zeros = keras.initializers.Zeros()  # to draw 163 million takes seconds
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", lambda self, shape, dtype=None: zeros(shape, dtype))
    plan = MEDSEGDIFF[preset]
    assert sum(counted(plan, (256, 256), "YX", 3, True, True)) == PUBLISHED[preset]
    assert len(plan.widths) - 1 == {"tiny": 3, "S": 4, "B": 5, "L": 6, "++": 6}[preset]
    if preset in ("S", "B"):
        networks = build_networks(preset, size=(256, 256), channels=3, classes=2, axes="YX")
        assert networks.denoiser.count_params() == PUBLISHED[preset]
        names = {layer.name for layer in networks.denoiser.layers if layer.name.endswith("attention")}
        assert {name[:5] for name in names} == {"mask4", "image", "up4_0", "up4_1", "up4_2", "middl"}
        # 16 x 16 positions at a stride of 16.
        assert networks.denoiser.get_layer("mask4_0_attention").positions == 256


def test_settings_and_networks_know_the_same_presets() -> None:
    found: dict[str, set[str]] = {}
    for name, preset in PRESETS.items():
        found.setdefault(preset.architecture, set()).add(name)
    found["Control"] = found["LDSeg"]
    assert found == {architecture: set(names) for architecture, names in PRESETS_OF.items()}


def mini(axes: str, dynamic: bool, ff: bool = True, classes: int = 2) -> tuple[Networks, list[Any], np.ndarray]:
    """Small networks, an input for their denoiser and the image it comes from."""
    size = {"X": (8,), "YX": (8, 4), "TYX": (3, 4, 8), "ZYX": (4, 8, 4)}[axes]
    networks = Networks(
        label_encoder=medsegdiff.label_encoder(size, classes),
        image_encoder=medsegdiff.image_encoder(MINI, size, 2, axes, dynamic),
        denoiser=medsegdiff.denoiser(MINI, size, 2, classes, axes, dynamic, ff),
        label_decoder=medsegdiff.label_decoder(size, classes),
    )
    image = np.random.default_rng(2).random((2, *size, 2)).astype("float32")
    channels = state_channels(classes)
    condition = networks.image_encoder(image)
    given = [ops.convert_to_tensor(draw(2, *size, channels)), condition, ops.convert_to_tensor([500, 20], dtype="int32")]
    return networks, given, image


@SWITCHES
@pytest.mark.parametrize("axes", [*(pytest.param(axes, marks=pytest.mark.once) for axes in ("X", "YX", "TYX")), "ZYX"])
def test_medsegdiff_of_every_rank(axes: str, dynamic: bool, ff: bool) -> None:
    networks, given, image = mini(axes, dynamic, ff, classes=3)
    out = said(networks.denoiser, given)
    assert out.shape == (*image.shape[:-1], 3)
    assert np.isfinite(out).all()
    twin = keras.Model.from_config(networks.denoiser.get_config())
    twin.set_weights(networks.denoiser.get_weights())
    np.testing.assert_allclose(said(twin, given), out, atol=1e-6)
    assert any(layer.name.startswith("ff_parser") for layer in networks.denoiser.layers) == ff
    blocks = [layer for layer in networks.denoiser.layers if hasattr(layer, "conv_in")]
    assert len(blocks) == (10 if dynamic else 8)
    assert all(block.time is not None for block in blocks)


@pytest.mark.parametrize("dynamic", [True, False])
def test_what_the_condition_depends_on(dynamic: bool) -> None:
    """With dynamic conditioning on the state and the time, without it on the image alone."""
    networks, given, image = mini("YX", dynamic)
    state, condition, time = given
    others = [[ops.flip(state, 1), condition, time], [state, condition, ops.convert_to_tensor([700, 20], dtype="int32")]]
    base = said(networks.denoiser, given)
    for other in others:
        assert np.abs(said(networks.denoiser, other) - base)[0].max() > 1e-3
    elsewhere = networks.image_encoder(image[:, ::-1].copy())
    assert np.abs(said(networks.denoiser, [state, elsewhere, time]) - base).max() > 1e-3
    if not dynamic:
        # All that the denoiser sees of the image was made without state and time.
        assert [slot.name for slot in networks.image_encoder.inputs] == ["image"]
        assert [feature.shape[-1] for feature in condition] == list(MINI.widths)
        assert not any("image" in layer.name or "fusion" in layer.name for layer in networks.denoiser.layers)
        return
    np.testing.assert_allclose(as_numpy(condition), 2 * image - 1, atol=1e-6)
    # What goes on down is what has been fused.
    assert networks.denoiser.get_layer("image1_down").input is networks.denoiser.get_layer("fusion0").output
    fused = keras.Model(networks.denoiser.inputs, [networks.denoiser.get_layer(f"fusion{k}").output for k in (0, 1)])
    for level, there in enumerate(fused(given)):
        for other in others:
            assert np.abs(as_numpy(fused(other)[level]) - as_numpy(there))[0].max() > 1e-3


@pytest.mark.parametrize(
    ("dynamic", "ff"), [(True, True), *(pytest.param(*both, marks=pytest.mark.once) for both in OTHERS)]
)
def test_gradients_reach_every_weight_of_medsegdiff(dynamic: bool, ff: bool) -> None:
    networks, _, image = mini("YX", dynamic, ff)
    slots = [keras.Input(shape) for shape in ((8, 4, 1), (8, 4, 2))]
    time = keras.Input((), dtype="int32")
    model = keras.Model([*slots, time], networks.denoiser([slots[0], networks.image_encoder(slots[1]), time]))
    model.compile(keras.optimizers.SGD(1.0), loss="mse", jit_compile=keras.backend.backend() == "jax")
    before = [as_numpy(weight).copy() for weight in model.trainable_weights]
    model.train_on_batch([draw(2, 8, 4, 1), image, np.array([500, 20], "int32")], draw(2, 8, 4, 1, seed=1))
    still = [
        weight.path
        for weight, old in zip(model.trainable_weights, before)
        if np.abs(as_numpy(weight) - old).max() < 1e-6 and not weight.path.endswith("key/bias")
    ]
    assert still == []


# What cannot be built


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"preset": "leen"}, r"'ldseg', 'ldseg-published', 'lean', 'small', 'tiny'\], got 'leen'"),
        ({"ff_parser": False}, r"switches of preset 'lean' \(\) off, got \['ff_parser'\]"),
        ({"preset": "L", "size": (32, 64)}, r"multiple of its stride \(64, 64\)"),
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
