"""The control sees the image and nothing else, and learns from it with as many weights."""

from pathlib import Path

import numpy as np
import pytest
import tiny
from helpers import as_numpy, said

from ldseg.cli import main
from ldseg.cli.task import settle
from ldseg.config import Config
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import ConfigError
from ldseg.inference.predictor import Predictor
from ldseg.models import build_networks
from ldseg.segmenter import Segmenter, SegmenterSpec
from ldseg.training.trainer import Trainer
from ldseg.weights import Description, read_description, save_weights

SIZES = {"YX": (32, 64), "TYX": (3, 32, 32), "ZYX": (16, 16, 32)}


@pytest.fixture(scope="module")
def networks():
    """The tiny networks are built for two axes; these are the real ones, at half width."""
    return {
        axes: build_networks("small", size=size, channels=1, classes=3, axes=axes, control=True)
        for axes, size in SIZES.items()
    }


@pytest.mark.core
@pytest.mark.parametrize("axes", ["YX", *(pytest.param(axes, marks=pytest.mark.once) for axes in ("TYX", "ZYX"))])
def test_state_and_time_change_nothing(networks, axes: str) -> None:
    rng = np.random.default_rng(0)
    denoiser = networks[axes].denoiser
    state, condition = (rng.normal(size=(2, *shape[1:])).astype("float32") for shape in denoiser.input_shape[:2])
    found = said(denoiser, [state, condition, np.array([1, 900])])
    other = said(denoiser, [rng.normal(size=state.shape).astype("float32"), condition, np.array([500, 3])])
    np.testing.assert_array_equal(found, other)
    assert found.std() > 0
    assert np.abs(said(denoiser, [state, condition[::-1], np.array([1, 900])]) - found).max() > 1e-3


@pytest.mark.core
@pytest.mark.parametrize("axes", SIZES)
def test_as_many_parameters_as_the_diffusion_model_has_in_use(networks, axes: str) -> None:
    diffusion = build_networks("small", size=SIZES[axes], channels=1, classes=3, axes=axes)
    for part in ("image_encoder", "denoiser", "label_decoder"):
        assert getattr(networks[axes], part).count_params() == getattr(diffusion, part).count_params()
        assert getattr(networks[axes], part).output_shape == getattr(diffusion, part).output_shape
    blank = networks[axes].label_encoder
    assert blank.count_params() == 0
    assert blank.output_shape == diffusion.label_encoder.output_shape
    assert not as_numpy(blank(np.ones((1, *SIZES[axes], 3), "float32"))).any()


def test_the_label_alone_is_learned_from() -> None:
    with tiny.tiny_networks():
        trainer = Trainer(Segmenter(tiny.spec(control=True)))
    assert trainer.loss_weights == {"segmentation": 1.0, "diffusion": 0.0, "autoencoder": 0.0}
    assert not trainer.recycling


def test_a_control_predicts_the_latent() -> None:
    with pytest.raises(ValueError, match="prediction 'x0' of a control, got 'v'"):
        tiny.spec(control=True, prediction="v")
    with pytest.raises(ConfigError, match="Prediction: expected auto or x0 .*Control, got v"):
        Config().with_values({"Model.Architecture": "Control", "Model.Prediction": "v"})
    with pytest.raises(ConfigError, match="Preset: expected one of lean, small, ldseg"):
        Config().with_values({"Model.Architecture": "Control", "Model.Preset": "tiny"})


def test_a_spec_of_before_there_were_controls() -> None:
    values = {name: value for name, value in tiny.spec().to_dict().items() if name != "control"}
    assert SegmenterSpec.from_dict(values) == tiny.spec()


def test_steps_sampler_and_seed_change_nothing() -> None:
    image, found = np.random.default_rng(0).random((1, *tiny.SIZE, 3), dtype=np.float32), []
    with tiny.tiny_networks():
        segmenter = tiny.varied(Segmenter(tiny.spec(control=True)))
        for sampler, steps, seed in (("DDIM", 1, 0), ("DDPM", 7, 1), ("DPM-Solver++", 5, 2)):
            predictor = Predictor(segmenter, sampler=sampler, steps=steps)
            noise = predictor.draw_noise(seed, "a")[np.newaxis]
            found.append(np.asarray(predictor({"image": image, "noise": noise})))
            assert predictor.steps == 1
    np.testing.assert_allclose(found[1:], [found[0]] * 2, atol=1e-6)


def test_trained_and_used_by_the_same_commands(tmp_path: Path) -> None:
    data = tiny.phantoms(tmp_path)
    options = ["--set", f"Data.Root={data}", "--set", "Data.Dataset=Set", "--set", f"Model.Weights={tmp_path / 'w'}"]
    training = {
        "Parameters.Training": True, "Parameters.Epoch": 2, "Parameters.BatchSize": 2, "Training.ValidationFraction": 0.34,
        "Training.Augmentation": "flips", "Data.Size": "32,32", "Model.Architecture": "Control",
        "Data.Labels": "instances",
    }  # fmt: skip
    with tiny.tiny_networks():
        settings = [word for name, value in training.items() for word in ("--set", f"{name}={value}")]
        assert main([*options, *settings]) == 0
        description = read_description(tmp_path / "w")
        assert description.spec.control
        assert description.to_dict()["architecture"] == "Control"
        assert main([*options, "--set", f"Output.Folder={tmp_path / 'out'}"]) == 0
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_weights_say_that_they_are_a_control(tmp_path: Path) -> None:
    with tiny.tiny_networks():
        segmenter = Segmenter(tiny.spec(control=True))
        preprocessing: Preprocessing = tiny.preprocessing()
        save_weights(tmp_path, segmenter, Description(spec=segmenter.spec, preprocessing=preprocessing))
    assert read_description(tmp_path).spec == segmenter.spec


def test_one_mask_of_a_control_is_enough(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = tiny.spec(control=True)
    trained = tiny.settings(tmp_path, tmp_path, Model_Architecture="Control").to_dict()
    description = Description(spec=spec, preprocessing=tiny.preprocessing(), training=trained)
    config = settle(Config().with_values({"Sampler.Samples": 4}), description)
    assert config.sampler.samples == 1
    assert "Sampler.Samples = 4 is not used" in caplog.text
