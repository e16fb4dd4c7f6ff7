from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tiny
from helpers import as_numpy

from ldseg.data.cases import Case, find_cases
from ldseg.inference import Segmented, case_generator, degrade, label_instances, segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.io.pictures import read_image, write_image
from ldseg.segmenter import Segmenter

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SAMPLERS = pytest.mark.parametrize("sampler", ["DDIM", "DDPM", "DPM-Solver++"])


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def segmenter(tiny_lean: None) -> Segmenter:
    return tiny.varied(Segmenter(tiny.spec()))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    """Six, of which the third cannot be read."""
    folder = tiny.phantoms(tmp_path_factory.mktemp("data")) / "Set"
    broken = folder / "Image" / "Phantom3.png"
    broken.write_bytes(broken.read_bytes()[:300])
    return find_cases(folder).cases


def a_predictor(segmenter: Segmenter, **options: Any) -> Predictor:
    predictor = Predictor(segmenter, **{"steps": 3, **options})
    predictor.compile()
    return predictor


def segment(predictor: Predictor, cases: Sequence[Case], **options: Any) -> dict[str, Segmented]:
    found = segment_cases(predictor, cases, tiny.preprocessing(), **{"batch_size": 4, "seed": 5, **options})
    return {item.case.name: item for item in found}


def given(predictor: Predictor, count: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "image": rng.random((count, *tiny.SIZE, 3), dtype=np.float32),
        "noise": np.stack([predictor.draw_noise(0, f"case{index}") for index in range(count)]),
    }


# ---- Masks


@SAMPLERS
@pytest.mark.parametrize(("flips", "sigma"), [(False, 0.0), (True, 0.3)])
def test_a_mask_depends_on_its_image_and_the_seed_alone(
    sampler: str, flips: bool, sigma: float, segmenter: Segmenter, cases: tuple[Case, ...]
) -> None:
    predictor = a_predictor(segmenter, sampler=sampler, flips=flips)
    alone = segment(predictor, cases, batch_size=1, sigma=sigma)
    assert list(alone) == [case.name for case in cases]
    masks = {name: item.mask for name, item in alone.items() if not item.problem}
    assert len({mask.tobytes() for mask in masks.values()}) == 5
    for chosen, size in ((cases, 3), (cases, 4), (cases[::-1], 4), (cases[1::2], 4), (cases[3:], 3)):
        found = segment(predictor, chosen, batch_size=size, sigma=sigma)
        assert list(found) == [case.name for case in chosen]
        for name, item in found.items():
            if not item.problem:
                np.testing.assert_array_equal(item.mask, masks[name])


@SAMPLERS
def test_another_seed_gives_another_mask(sampler: str, segmenter: Segmenter, cases: tuple[Case, ...]) -> None:
    predictor = a_predictor(segmenter, sampler=sampler)
    one, same, other = (segment(predictor, cases[:1], seed=seed)["Phantom1"].mask for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_what_is_segmented_and_what_is_not(segmenter: Segmenter, cases: tuple[Case, ...]) -> None:
    found = segment(a_predictor(segmenter), cases)
    for name, item in found.items():
        assert item.seconds > 0
        if name == "Phantom3":
            assert str(item.case.image) in item.problem
            with pytest.raises(ValueError, match="Phantom3 was not segmented"):
                _ = item.mask
            continue
        assert item.loaded is not None
        assert item.probabilities is not None
        assert item.problem == ""
        assert item.mask.shape == item.loaded.size == (40, 48)
        assert str(item.mask.dtype) == "int32"
        np.testing.assert_allclose(item.probabilities.sum(-1), 1, atol=1e-5)


# ---- The predictor


@pytest.mark.parametrize("flips", [False, True])
@SAMPLERS
def test_a_compiled_predictor_computes_what_it_says(sampler: str, flips: bool, segmenter: Segmenter) -> None:
    """Eagerly and compiled as in use, the mean over mirrored copies written again from one copy at a time."""
    predictor = a_predictor(segmenter, sampler=sampler, flips=flips)
    assert predictor.noise_shape == (1, 4 if flips else 1, 3 if sampler == "DDPM" else 1, 4, 4, 2)
    inputs = given(predictor, 2)
    plain = a_predictor(segmenter, sampler=sampler)
    copies = []
    for index, mirror in enumerate([(), (1,), (2,), (1, 2)][: len(predictor.mirrors)]):
        noise = inputs["noise"][:, :, index : index + 1]
        copy = as_numpy(plain.predict_on_batch({"image": np.flip(inputs["image"], mirror), "noise": noise}))
        copies.append(np.flip(copy, [axis + 1 for axis in mirror]))
    expected = np.mean(copies, axis=0)
    np.testing.assert_allclose(predictor.predict_on_batch(inputs), expected, atol=1e-5)
    predictor.compile(run_eagerly=False)
    np.testing.assert_allclose(predictor.predict_on_batch(inputs), expected, atol=1e-4)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX fuses everything, PyTorch nothing")
@pytest.mark.parametrize(
    ("steps", "largest", "calls"),
    [pytest.param(3, 16, 4, id="one function for all copies"), (1, 16, 0), (3, 15, 0)],
)
def test_a_short_loop_is_fused_in_a_compiled_call(
    steps: int, largest: int, calls: int, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    monkeypatch.setattr("ldseg.inference.predictor.FUSED", largest)
    predictor = Predictor(segmenter, steps=steps, flips=True)
    graph = tf.function(predictor).get_concrete_function(given(predictor)).graph.as_graph_def()
    functions = [function.signature.name for function in graph.library.function if function.attr["_XlaMustCompile"].b]
    called = [node.attr["f"].func.name for node in graph.node if node.op.endswith("PartitionedCall")]
    assert called == (functions[:1] * calls)
    assert len(functions) == min(calls, 1)


@pytest.mark.parametrize(
    ("axes", "mirrors"),
    [("TYX", {(), (2,), (3,), (2, 3)}), ("ZYX", {(), (1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)})],
)
def test_time_is_not_mirrored(axes: str, mirrors: set[tuple[int, ...]]) -> None:
    segmenter: Any = SimpleNamespace(spec=SimpleNamespace(axes=axes, control=False))
    assert set(Predictor(segmenter, flips=True).mirrors) == mirrors


@SAMPLERS
def test_a_trajectory_ends_at_the_mask(sampler: str, segmenter: Segmenter) -> None:
    predictor = a_predictor(segmenter, sampler=sampler)
    inputs = given(predictor)
    drawn = predictor.run(inputs, states=True)
    assert drawn.states is not None
    assert drawn.states.shape == (1, 4, 4, 4, 2)
    np.testing.assert_array_equal(drawn.states[0, 0], inputs["noise"][0, 0, 0, 0])
    np.testing.assert_allclose(predictor.decode(drawn.states[:, -1]), drawn.probabilities[:, 0], atol=1e-5)
    alone = predictor.run(inputs)
    assert alone.states is None
    np.testing.assert_allclose(alone.probabilities, drawn.probabilities, atol=1e-6)


def test_noise_does_not_grow_with_the_steps(segmenter: Segmenter) -> None:
    """Nor does it depend on them, or on the sampler: all start from one state."""
    ddim, ddpm, long = (
        a_predictor(segmenter, flips=True, **options)
        for options in ({}, {"sampler": "DDPM"}, {"sampler": "DDPM", "steps": 1000})
    )
    noise = long.draw_noise(1, "a")
    assert noise.shape == (1, 4, 3, 4, 4, 2)
    np.testing.assert_array_equal(ddpm.draw_noise(1, "a"), noise)
    np.testing.assert_array_equal(ddim.draw_noise(1, "a"), noise[:, :, :1])
    keys = noise[:, :, 1:]
    assert ((keys >= 0) & (keys < 2**24) & (keys == np.round(keys))).all()


def test_a_long_trajectory_keeps_some_states(segmenter: Segmenter) -> None:
    predictor = a_predictor(segmenter, steps=200)
    latents = predictor.run(given(predictor), states=True).states
    assert latents is not None
    assert latents.shape[1] == len(predictor.kept) == 64
    assert (predictor.kept[0], predictor.kept[-1]) == (0, 200)
    assert set(np.diff(predictor.kept)) == {3, 4}


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@SAMPLERS
def test_half_precision(sampler: str, precision: str, segmenter: Segmenter) -> None:
    """The latent stays float32, so that a mask is nearly the same."""
    exact = a_predictor(segmenter, sampler=sampler)
    keras.config.set_dtype_policy(precision)
    try:
        half = Segmenter(tiny.spec())
        half.set_weights(segmenter.get_weights())
        predictor = a_predictor(half, sampler=sampler)
        inputs = given(predictor, 2)
        found = as_numpy(predictor.predict_on_batch(inputs))
    finally:
        keras.config.set_dtype_policy("float32")
    assert found.dtype == np.float32
    assert 0 < np.abs(found - exact.predict_on_batch(inputs)).mean() < 0.03


def test_an_unknown_sampler(segmenter: Segmenter) -> None:
    with pytest.raises(ValueError, match="'DDPM'.*'Euler'"):
        Predictor(segmenter, sampler="Euler")


# ---- Noise


def test_the_noise_of_a_case_is_its_own() -> None:
    """For each seed, content and purpose, and the same on every machine."""
    drawn = [case_generator(*key).random() for key in ((0, "a"), (1, "a"), (0, "b"), (0, "a", "image"), (0, "a"))]
    assert len(set(drawn)) == 4
    assert drawn[0] == drawn[4] == pytest.approx(0.7985273175972115, abs=1e-15)


def test_noise_reaches_the_image_that_is_segmented(segmenter: Segmenter, cases: tuple[Case, ...]) -> None:
    clean, noisy = (segment(a_predictor(segmenter), cases[:1], sigma=sigma)["Phantom1"].loaded for sigma in (0, 0.2))
    assert clean is not None
    assert noisy is not None
    np.testing.assert_array_equal(noisy.image, degrade(clean.image, "gaussian", 0.2, 5, clean.digest))


def test_a_case_is_known_by_what_it_holds(segmenter: Segmenter, cases: tuple[Case, ...], tmp_path: Path) -> None:
    """A copy under another name and in another format gives the same mask; a pixel more or less another."""
    case, predictor = cases[0], a_predictor(segmenter)
    pixels = read_image(case.image).copy()
    renamed = replace(case, name="anonymous", image=write_image(tmp_path / "anonymous.tif", pixels))
    pixels[0, 0, 0] ^= 1
    changed = replace(case, name=case.name, image=write_image(tmp_path / "changed.png", pixels))
    own, same = (segment(predictor, [given])[given.name] for given in (case, renamed))
    np.testing.assert_array_equal(own.probabilities, same.probabilities)
    assert own.loaded is not None
    assert same.loaded is not None
    assert own.loaded.digest == same.loaded.digest
    other = segment(predictor, [changed])[case.name].loaded
    assert other is not None
    assert other.digest != own.loaded.digest


# ---- Objects


@pytest.mark.parametrize("depth", [(), (3,)])
def test_objects_are_numbered(depth: tuple[int, ...]) -> None:
    mask = np.zeros((*depth, 100, 100), np.int32)
    mask[..., 10:30, 10:30] = 1
    mask[..., 15, 15] = 0  # a hole too small to be one
    mask[..., 30:50, 30:50] = 1  # touches the first with a corner
    mask[..., 60:90, 60:90] = 1
    mask[..., 70:80, 70:80] = 0
    mask[..., 5, 90] = 1  # a speck
    found = label_instances(mask)
    assert found.dtype == np.int32
    assert set(np.unique(found)) == {0, 1, 2, 3}
    expected = mask.copy()
    expected[..., 15, 15], expected[..., 5, 90] = 1, 0
    np.testing.assert_array_equal(found > 0, expected > 0)
    for part in (np.s_[..., 10:30, 10:30], np.s_[..., 30:50, 30:50], np.s_[..., 60:70, 60:90]):
        assert len(np.unique(found[part])) == 1
    assert not label_instances(np.zeros_like(mask)).any()
