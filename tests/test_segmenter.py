import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import as_numpy
from keras import ops

from ldseg.diffusion import PREDICTIONS, Schedule, ddim
from ldseg.diffusion.compiled import standardize
from ldseg.segmenter import Segmenter, SegmenterSpec

pytestmark = [
    pytest.mark.core,
    # Keras's variables, not ours.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

SPEC = SegmenterSpec(
    preset="lean", size=(32, 64), axes="YX", channels=1, classes=3, prediction="x0",
    schedule=Schedule(name="linear", timesteps=200, beta_0=1e-3, beta_t=0.05),
)  # fmt: skip
TIMES = np.array([1, 60, 140, 200], "int32")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(SPEC)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def tensors(*arrays: np.ndarray) -> tuple[Any, ...]:
    return tuple(ops.convert_to_tensor(array) for array in arrays)


def predict_as(segmenter: Segmenter, prediction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the prediction means is a matter of the spec alone: the networks are the same."""
    monkeypatch.setattr(segmenter, "spec", replace(SPEC, prediction=prediction))


def test_a_spec_is_rebuilt_from_plain_values() -> None:
    spec = replace(SPEC, prediction="v", schedule=Schedule(name="quadratic", timesteps=50))
    values = json.loads(json.dumps(spec.to_dict()))
    assert SegmenterSpec.from_dict(values) == spec
    switches = {"control", "dynamic_conditioning", "ff_parser"}
    assert set(values) == {"preset", "size", "axes", "channels", "classes", "prediction", "schedule"} | switches


def test_a_spec_says_outlines_where_there_are_some() -> None:
    """Those of before are read, and written, as they were."""
    plain = replace(SPEC, classes=2)
    assert (plain.parts, "outline" in plain.to_dict()) == (2, False)
    spec = replace(plain, outline=True)
    assert (spec.parts, spec.classes) == (3, 2)
    assert SegmenterSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec != plain
    with pytest.raises(ValueError, match="two classes for networks that tell outlines, got 3"):
        replace(SPEC, outline=True)


def test_an_outline_belongs_to_its_object() -> None:
    model = Segmenter(replace(SPEC, preset="small", classes=2, outline=True))
    assert model.decode(draw(1, *model.latent_shape)).shape == (1, 32, 64, 3)
    assert model.encode_label(np.full((1, 32, 64), 2)).shape == (1, *model.latent_shape)
    logits = draw(2, 4, 4, 3)
    parts = as_numpy(ops.softmax(logits, axis=-1))
    found = as_numpy(ops.softmax(model.class_logits(ops.convert_to_tensor(logits)), axis=-1))
    np.testing.assert_allclose(found, np.stack([parts[..., 0], parts[..., 1] + parts[..., 2]], axis=-1), atol=1e-6)


def test_a_spec_with_an_unknown_prediction() -> None:
    with pytest.raises(ValueError, match="'score'"):
        replace(SPEC, prediction="score")


def test_what_is_in_a_segmenter(segmenter: Segmenter) -> None:
    assert segmenter.grid == (4, 8)
    assert segmenter.latent_channels == 4
    assert segmenter.latent_shape == (4, 8, 4)
    parts = (segmenter.label_encoder, segmenter.image_encoder, segmenter.denoiser, segmenter.label_decoder)
    # All four are tracked: saved and averaged with the rest.
    assert segmenter.count_params() == sum(part.count_params() for part in parts)
    assert len(segmenter.weights) == sum(len(part.weights) for part in parts)


def test_rates_are_the_schedules_shaped_for_a_latent(segmenter: Segmenter) -> None:
    signal, noise = segmenter.rates(TIMES)
    assert signal.shape == noise.shape == (4, 1, 1, 1)
    np.testing.assert_allclose(as_numpy(signal).ravel(), SPEC.schedule.signal_rate[TIMES], rtol=1e-6)
    np.testing.assert_allclose(as_numpy(noise).ravel(), SPEC.schedule.noise_rate[TIMES], rtol=1e-6)


def test_labels_become_latents(segmenter: Segmenter) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (2, 32, 64)).astype("int32")
    latent = as_numpy(segmenter.encode_label(labels))
    assert latent.shape == (2, *segmenter.latent_shape)
    onehot = np.eye(3, dtype="float32")[labels]
    np.testing.assert_allclose(latent, as_numpy(segmenter.label_encoder(onehot)), atol=1e-5)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_each_case_has_its_own_time(prediction: str, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    predict_as(segmenter, prediction, monkeypatch)
    x0, noise = draw(4, 4, 8, 4), draw(4, 4, 8, 4, seed=1)
    given = ops.convert_to_tensor(x0), ops.convert_to_tensor(noise)
    x_t = segmenter.corrupt(*given, TIMES)
    rates = [rate[TIMES].reshape(4, 1, 1, 1) for rate in (SPEC.schedule.signal_rate, SPEC.schedule.noise_rate)]
    np.testing.assert_allclose(as_numpy(x_t), rates[0] * x0 + rates[1] * noise, atol=1e-5)
    found = segmenter.target(*given, TIMES)
    expected = {"x0": x0, "v": rates[0] * noise - rates[1] * x0}.get(prediction, noise)
    np.testing.assert_allclose(as_numpy(found + 0 * x_t), expected, atol=1e-5)
    clean, eps = segmenter.convert(found, x_t, TIMES)
    np.testing.assert_allclose(as_numpy(clean + 0 * x_t), x0, atol=1e-3)
    np.testing.assert_allclose(as_numpy(eps + 0 * x_t), noise, atol=1e-3)
    decoded = segmenter.decodable(found, x_t, TIMES)
    if prediction == "ldseg":
        np.testing.assert_allclose(as_numpy(decoded), as_numpy(x_t) - noise, atol=1e-5)
    else:
        np.testing.assert_allclose(as_numpy(decoded + 0 * x_t), x0, atol=1e-3)


@pytest.mark.parametrize(("prediction", "held"), [("eps", True), ("ldseg", True), ("x0", False), ("v", False)])
def test_only_a_latent_that_noise_implies_is_held(
    prediction: str, held: bool, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_as(segmenter, prediction, monkeypatch)
    assert segmenter.hold is (standardize if held else None)
    last = np.array([200, 200], "int32")
    condition, noise, last = tensors(draw(2, 4, 8, 32), draw(2, 4, 8, 4, seed=1), last)
    clean, _ = segmenter.convert(segmenter.denoise(noise, condition, last), noise, last)
    expected = as_numpy(standardize(clean) if held else clean)
    found = as_numpy(segmenter.reverse(condition, noise, steps=1))
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, np.abs(expected).max()))
    if held:
        np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(found.std((1, 2, 3)), 1, atol=1e-3)


def test_a_segmentation_in_one_step(segmenter: Segmenter) -> None:
    """Compiled, by hand, and of one case alone."""
    image, noise = np.abs(draw(2, 32, 64, 1)) % 1, draw(2, 4, 8, 4, seed=1)
    found = segmenter.predict({"image": image, "noise": noise}, verbose=0)
    assert found.shape == (2, 32, 64, 3)
    start, last = tensors(noise, np.array([200, 200], "int32"))
    latent = segmenter.denoise(start, segmenter.encode_image(image), last)
    scale = np.abs(found).max()
    np.testing.assert_allclose(found, as_numpy(segmenter.decode(latent)), atol=1e-4 * scale)
    one_image, one_noise = tensors(image[1:], noise[1:])
    alone = segmenter({"image": one_image, "noise": one_noise})
    np.testing.assert_allclose(as_numpy(alone)[0], found[1], atol=1e-4 * scale)
    assert np.abs(found[0] - found[1]).max() > 0.01 * scale


def test_a_case_is_sampled_as_if_alone(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the noise of every step, and a latent that is held."""
    predict_as(segmenter, "eps", monkeypatch)
    condition, noise, step_noise = draw(3, 4, 8, 32), draw(3, 4, 8, 4, seed=1), draw(3, 2, 4, 8, 4, seed=2)
    condition *= np.reshape([1, 5, 0.2], (3, 1, 1, 1)).astype("float32")

    def run(rows: list[int]) -> np.ndarray:
        mine, start, between = tensors(condition[rows], noise[rows], step_noise[rows])
        return as_numpy(segmenter.reverse(mine, start, steps=2, sampler=ddim(1.0), step_noise=between))

    together = run([0, 1, 2])
    np.testing.assert_allclose(run([2])[0], together[2], atol=1e-4)
    np.testing.assert_allclose(run([1])[0], together[1], atol=1e-4)
