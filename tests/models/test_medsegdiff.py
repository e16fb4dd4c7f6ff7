"""The pixel family through everything that the latent one goes through: segmenter, trainer, predictor, weights, tiles."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tiny
from helpers import as_numpy
from keras import ops

from ldseg.cli.training import unlike_published
from ldseg.config import load_config
from ldseg.data.cases import find_cases
from ldseg.diffusion import Schedule, ddim
from ldseg.diffusion.compiled import bound
from ldseg.inference import segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.models import PRESETS
from ldseg.models.plans import MedSegDiffPlan
from ldseg.models.presets import _medsegdiff
from ldseg.phantoms import write_volume_phantoms
from ldseg.phantoms.volume import VOLUME_CLASSES
from ldseg.segmenter import Segmenter, SegmenterSpec
from ldseg.training.plan import spec_of
from ldseg.training.prepare import train_config
from ldseg.training.trainer import Trainer
from ldseg.weights import load_segmenter

ROOT = Path(__file__).parents[2]

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PLAN = MedSegDiffPlan(widths=(8, 16), blocks=1, attention=(2,), heads=2, groups=4)
SPEC = SegmenterSpec(
    preset="tiny", size=(16, 8), axes="YX", channels=1, classes=3, prediction="eps", schedule=Schedule(name="linear")
)


@pytest.fixture(scope="module", autouse=True)
def two_levels() -> Iterator[None]:
    """In place of the preset ``tiny``, and eagerly: a few updates take less time than to trace one."""
    compiled = keras.Model.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", _medsegdiff("tiny", PLAN))
        patch.setattr(keras.Model, "compile", lambda *args, **options: compiled(*args, **{"run_eagerly": True, **options}))
        yield


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# ---- The segmenter


@pytest.mark.parametrize("classes", [2, 3])
def test_the_latent_is_the_mask(classes: int) -> None:
    segmenter = Segmenter(replace(SPEC, classes=classes))
    assert segmenter.latent_shape == (16, 8, 1 if classes == 2 else 3)
    assert segmenter.strides == (1, 1)
    labels = np.random.default_rng(0).integers(0, classes, (2, 16, 8)).astype("int32")
    state = as_numpy(segmenter.encode_label(labels))
    assert state.shape == (2, *segmenter.latent_shape)
    expected = 2 * np.eye(classes, dtype="float32")[labels] - 1
    np.testing.assert_array_equal(state, expected[..., 1:] if classes == 2 else expected)
    np.testing.assert_array_equal(as_numpy(segmenter.decode(state)).argmax(-1), labels)


def test_a_spec_with_switches_is_rebuilt() -> None:
    spec = replace(SPEC, dynamic_conditioning=False, ff_parser=False)
    assert SegmenterSpec.from_dict(spec.to_dict()) == spec
    # Weights made before there were any say nothing of them.
    old = {name: value for name, value in SPEC.to_dict().items() if name not in ("dynamic_conditioning", "ff_parser")}
    assert SegmenterSpec.from_dict(old) == SPEC
    assert Segmenter(spec).count_params() < Segmenter(SPEC).count_params()
    with pytest.raises(ValueError, match="preset 'lean'"):
        Segmenter(replace(spec, preset="lean", size=(32, 32)))


@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_what_is_sampled_is_a_mask(prediction: str) -> None:
    """Whatever an untrained network says: near pure noise it is amplified more than a hundred times."""
    segmenter = Segmenter(replace(SPEC, prediction=prediction))
    assert segmenter.hold is bound
    condition = segmenter.encode_image(np.random.default_rng(0).random((2, 16, 8, 1)).astype("float32"))
    noise, between = (ops.convert_to_tensor(array) for array in (draw(2, 16, 8, 3), draw(2, 4, 16, 8, 3, seed=1)))
    for eta in (0.0, 1.0):
        found = as_numpy(segmenter.reverse(condition, noise, steps=4, sampler=ddim(eta), step_noise=between))
        assert np.abs(found).max() <= 1


@pytest.mark.parametrize("dynamic", [True, False])
def test_the_image_is_encoded_once_where_it_can_be(dynamic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attentive fusion at every step, or the path of the image outside the loop."""
    segmenter = Segmenter(replace(SPEC, dynamic_conditioning=dynamic))
    predictor = Predictor(segmenter, steps=3, sampler="DPM-Solver++", samples=2)
    image = np.random.default_rng(0).random((2, 16, 8, 1)).astype("float32")
    noise = np.stack([predictor.draw_noise(0, name) for name in "ab"])
    calls = []

    def count(name: str) -> None:
        call = getattr(segmenter, name)

        def counted(*args: Any, **options: Any) -> Any:
            calls.append(name)
            return call(*args, **options)

        monkeypatch.setattr(segmenter, name, counted)

    count("encode_image")
    count("denoise")
    predictor.compile()
    found = as_numpy(predictor.predict_on_batch({"image": image, "noise": noise}))
    assert found.shape == (2, 2, 16, 8, 3)
    assert calls == ["encode_image", "denoise", "denoise", "denoise"]
    assert any(weight.path.startswith("image") for weight in segmenter.image_encoder.weights) != dynamic
    # Compiled, and a case alone.
    monkeypatch.undo()
    predictor.compile(run_eagerly=False)
    again = as_numpy(predictor.predict_on_batch({"image": image[1:], "noise": noise[1:]}))
    np.testing.assert_allclose(again[0], found[1], atol=1e-3)


# ---- Training


def a_batch(segmenter: Segmenter) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.random((2, 16, 8, 1)).astype("float32"),
        "label": rng.integers(0, 3, (2, 16, 8)).astype("int32"),
        "time": np.array([3, 700], "int32"),
        "recycle": np.ones(2, "float32"),
        **{
            name: draw(2, *segmenter.latent_shape, seed=index)
            for index, name in enumerate(("noise", "first_noise", "latent_noise"))
        },
    }


def test_the_loss_is_the_error_of_the_noise() -> None:
    """eps is all there is to learn, and a recycled sample would have none: here recycling is off whatever is asked for."""
    segmenter = Segmenter(SPEC)
    trainer = Trainer(segmenter, diffusion_weight=1.0)
    assert trainer.loss_weights == {"segmentation": 0.0, "autoencoder": 0.0, "diffusion": 1.0}
    assert not trainer.recycling
    given = a_batch(segmenter)
    rates = SPEC.schedule.signal_rate, SPEC.schedule.noise_rate
    signal, noise = (rate[given["time"]].reshape(2, 1, 1, 1) for rate in rates)
    state = signal * (2 * np.eye(3)[given["label"]] - 1) + noise * given["noise"]
    x_t, time = ops.convert_to_tensor(state.astype("float32")), ops.convert_to_tensor(given["time"])
    said = as_numpy(segmenter.denoise(x_t, segmenter.encode_image(given["image"]), time))
    found = trainer(given)
    np.testing.assert_allclose(found["diffusion"], np.square(said - given["noise"]).mean((1, 2, 3)), rtol=1e-3)
    assert np.isfinite(as_numpy(found["segmentation"])).all()
    assert Trainer(Segmenter(replace(SPEC, prediction="x0"))).recycling
    assert not Trainer(Segmenter(replace(SPEC, prediction="x0")), recycling=False).recycling


def mean_loss(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([row["diffusion"] for row in rows]))


TILED = {"Data_Fit": "tile", "Data_Size": (8, 16, 16), "Data_Patch": (8, 16, 16)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dimensions", "changes"),
    [
        # Pictures of 40 x 48 resized, and volumes of 16 x 16 x 16 covered with tiles whose noise is one field.
        ("2D", {"Data_Size": (32, 32)}),
        pytest.param("3D", {**TILED, "Model_DynamicConditioning": False}, marks=pytest.mark.integration),
    ],
    ids=["2D", "3D"],
)
def test_a_training_from_phantoms_to_masks(dimensions: str, changes: dict[str, Any], tmp_path: Path) -> None:
    if dimensions == "2D":
        data = tiny.phantoms(tmp_path)
    else:
        data = tmp_path
        write_volume_phantoms(data / "Set", 6, (16, 16, 16), seed=1)
    classes = ("background", "object") if dimensions == "2D" else VOLUME_CLASSES
    config = tiny.settings(
        data, tmp_path / "weights", Model_Architecture="MedSegDiff", Model_Preset="tiny", Data_Dimensions=dimensions,
        NoiseScheduler_Scheduler="linear", Sampler_Sampler="DPM-Solver++", Sampler_Sampling_Steps=3, Data_Classes=classes,
        Parameters_Epoch=6, Parameters_LearningRate=3e-3, Training_ValidateEvery=6, Training_Workers=0, **changes,
    )  # fmt: skip
    history = train_config(config).history
    assert mean_loss(history[-2:]) < 0.9 * mean_loss(history[:2])
    assert history[-1]["loss"] == pytest.approx(0.5 * history[-1]["diffusion"], rel=1e-4)
    segmenter, description = load_segmenter(tmp_path / "weights")
    assert description.to_dict()["architecture"] == "MedSegDiff"
    assert segmenter.spec.dynamic_conditioning == config.model.dynamic_conditioning
    assert segmenter.spec == spec_of(config.with_values({"Data.Channels": segmenter.spec.channels}))
    predictor = Predictor(segmenter, sampler="DDPM", steps=3)
    predictor.compile()
    cases = find_cases(data / "Set", axes=segmenter.spec.axes).cases[:2]
    alone = list(segment_cases(predictor, cases, description.preprocessing, batch_size=1, seed=3))
    for item, other in zip(alone, segment_cases(predictor, cases, description.preprocessing, batch_size=4, seed=3)):
        assert item.problem == ""
        assert item.loaded is not None
        assert item.mask.shape == item.loaded.size
        assert (item.mask != other.mask).mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prediction", "rate", "epochs", "expected"),
    [("eps", 1e-8, 1, "noise"), pytest.param("x0", 1e-2, 6, "no", marks=pytest.mark.integration)],
    ids=["collapsed", "sound"],
)
def test_a_training_says_whether_it_has_collapsed(
    prediction: str, rate: float, epochs: int, expected: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny.settings(
        tiny.phantoms(tmp_path), tmp_path / "weights", Model_Architecture="MedSegDiff", Model_Preset="tiny",
        Model_Prediction=prediction, NoiseScheduler_Scheduler="linear", Parameters_LearningRate=rate,
        Parameters_Epoch=epochs, Training_ValidateEvery=epochs, Training_EMA=0.9, Training_Workers=0,
    )  # fmt: skip
    assert train_config(config).history[-1]["collapse"] == expected
    assert ("the training ends collapsed (noise at epoch 1)" in caplog.text) == (expected == "noise")
    assert ("validation: the masks are no better ordered than noise" in caplog.text) == (expected == "noise")


MEMORY = """
import sys
from pathlib import Path
from ldseg.data.cases import find_cases
from ldseg.data.preprocess import Preprocessing
from ldseg.devices import peak_memory
from ldseg.diffusion import Schedule
from ldseg.inference import segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.segmenter import Segmenter, SegmenterSpec

spec = SegmenterSpec(
    preset="tiny", size=(32, 32), axes="YX", channels=3, classes=2, prediction="eps", schedule=Schedule(name="linear")
)
predictor = Predictor(Segmenter(spec), sampler="DDPM", steps=4, samples=2)
predictor.compile()
cases = find_cases(Path(sys.argv[1])).cases
for rounds in (2, 2, 10):
    for item in segment_cases(predictor, cases * rounds, Preprocessing(size=(32, 32)), batch_size=4, seed=0):
        assert item.mask.shape == (400, 600)
    print(peak_memory()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="memory is that of the processor")
def test_memory_does_not_grow_from_sample_to_sample(tmp_path: Path) -> None:
    """As many cases to warm up, as many again, and five times as many: each would leave 6 MB or more behind."""
    tiny.phantoms(tmp_path, 2, (400, 600))
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "Set")], capture_output=True, encoding="utf-8", timeout=240,
        cwd=Path(__file__).parents[2], env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    _, before, after = (int(line) / 1e6 for line in run.stdout.splitlines()[-3:])
    assert after - before < 40


def test_settings_unlike_the_published_ones_are_named() -> None:
    one = ["Model.Architecture=MedSegDiff", "Model.Preset=tiny"]
    named = unlike_published(load_config(ROOT / "cfg.ini", one))
    assert "NoiseScheduler.Scheduler = linear" in named
    assert "Parameters.LearningRate = 0.0001" in named
    assert unlike_published(load_config(ROOT / "medsegdiff.ini", ["Model.Preset=tiny"])) == []
    assert unlike_published(load_config(ROOT / "cfg.ini")) == []
