"""A training that starts from weights with other classes, channels or size."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

from ldseg.config import Config
from ldseg.data.intensity import to_channels
from ldseg.errors import ConfigError, WeightsError
from ldseg.segmenter import Segmenter
from ldseg.training.prepare import plan_of, train_config
from ldseg.training.start import start_of, with_start
from ldseg.training.takeover import LOWER, take_over
from ldseg.weights import Description, read_description, save_weights

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BEFORE = ("background", "gland")


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks(stateful=False):
        yield


@pytest.fixture(scope="module")
def source() -> Segmenter:
    return tiny.varied(Segmenter(tiny.spec()))


@pytest.fixture(scope="module")
def folder(source: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    training = tiny.settings(folder, folder, Data_Classes=BEFORE, NoiseScheduler_Timesteps=500, Model_Prediction="v")
    split = {"version": 1, "training": {"p": ["Phantom1", "Phantom2", "Phantom3", "Phantom4", "Phantom5"]}, "validation": {}}
    description = Description(
        spec=tiny.spec(), preprocessing=tiny.preprocessing(), training=training.to_dict(), split=split
    )  # fmt: skip
    save_weights(folder, source, description)
    return folder


def logits(segmenter: Segmenter, label: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(segmenter.decode(segmenter.encode_label(label)))


LABEL = np.random.default_rng(0).integers(0, 2, (1, *tiny.SIZE))


def test_the_same_networks_are_taken_whole(source: Segmenter) -> None:
    target = Segmenter(tiny.spec(size=(64, 32)))
    taken = take_over(source, target, BEFORE, BEFORE)
    assert (taken.fitted, taken.fresh) == ((), ())
    assert len(taken.whole) == len(target.weights)
    for mine, theirs in zip(target.weights, source.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_one_class_more_begins_as_a_copy_with_a_lower_logit(source: Segmenter) -> None:
    target = Segmenter(tiny.spec(classes=4))
    taken = take_over(source, target, BEFORE, ("background", "disc", "gland", "vein"))
    assert taken.fresh == ()
    assert [path.split("/")[0] for path in taken.fitted] == ["label_encoder", "label_decoder", "label_decoder"]
    was, found = logits(source, LABEL), logits(target, LABEL)
    # The class of the same name, and that of the same number, go on as the gland; of these, the first is no copy.
    expected = np.stack([was[..., 0], was[..., 1], was[..., 1] - LOWER, was[..., 1] - LOWER], axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(-1) > 0, was.argmax(-1) > 0)
    np.testing.assert_allclose(logits(target, 3 * LABEL), found, rtol=1e-5, atol=1e-5)


def test_fewer_classes_keep_those_of_their_names() -> None:
    three = tiny.varied(Segmenter(tiny.spec(classes=3)))
    target = Segmenter(tiny.spec())
    take_over(three, target, ("background", "disc", "cup"), ("background", "Cup"))
    np.testing.assert_allclose(logits(target, LABEL), logits(three, 2 * LABEL)[..., [0, 2]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("many", "wanted"), [(3, 1), (1, 3), (3, 4), (4, 2)])
def test_other_channels_give_what_was_given(many: int, wanted: int) -> None:
    source = tiny.varied(Segmenter(tiny.spec(channels=many)))
    target = Segmenter(tiny.spec(channels=wanted))
    assert len(take_over(source, target, BEFORE, BEFORE).fitted) == 1
    image = np.random.default_rng(0).random((1, *tiny.SIZE, wanted), np.float32)
    if {many, wanted} == {1, 3}:
        given = to_channels(image, many, "image")
    else:
        given = np.concatenate([image, np.zeros((1, *tiny.SIZE, many), np.float32)], axis=-1)[..., :many]
        image[..., many:] = 0.7  # what the source knows nothing of
    if many > wanted > 1:
        given[..., wanted:] = 0
    found, expected = (keras.ops.convert_to_numpy(s.encode_image(x)) for s, x in ((target, image), (source, given)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_what_does_not_fit_is_named(source: Segmenter) -> None:
    target = Segmenter(tiny.spec())
    target.denoiser = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="other")])
    taken = take_over(source, target, BEFORE, BEFORE)
    assert [path.split("/")[0] for path in taken.fresh] == ["denoiser", "denoiser"]
    assert "anew, as they do not fit: denoiser" in str(taken)


def test_the_weights_decide_what_the_networks_are(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = Config().with_values({"Model.Start": str(folder), "Model.Prediction": "eps", "Model.Preset": "small"})
    config = replace(config, explicit=frozenset({"Model.Prediction"}))
    settled = with_start(config, read_description(folder).training)
    assert (settled.model.preset, settled.model.prediction, settled.noise_scheduler.timesteps) == ("lean", "v", 500)
    assert [record.getMessage() for record in caplog.records] == [
        f"Model.Prediction = eps is not used: the networks of {folder} have v"
    ]


def test_weights_that_cannot_be_started_from(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Model.Start: expected weights for 3D images .* has some for 2D"):
        start_of(Config().with_values({"Model.Start": str(folder), "Data.Dimensions": "3D"}))
    with pytest.raises(WeightsError, match=r"Colom: expected a folder .* or the name of weights .* Colon"):
        start_of(Config().with_values({"Model.Start": "Colom"}))
    with pytest.raises(WeightsError, match="no such file"):
        start_of(Config().with_values({"Model.Start": str(tmp_path / "none")}))
    assert start_of(Config()) is None


def test_a_training_starts_from_weights_and_goes_on_without_them(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    changes = {"Data_Classes": ("background", "gland", "vein"), "Data_Labels": "auto", "Data_Channels": 1}
    changes |= {"Data_LabelMap": tuple((value, min(value, 2)) for value in range(32)), "Training_Augmentation": "none"}
    config = tiny.settings(tiny.phantoms(tmp_path), tmp_path / "w", **changes, Model_Start=str(folder), Parameters_Epoch=1)
    result = train_config(config)
    assert "arrays as they are; fitted to other classes or channels: label_encoder" in caplog.text
    assert "learned from cases of these names, which are held back here: " in caplog.text
    description = read_description(tmp_path / "w")
    assert description.spec.prediction == "v"
    assert (description.spec.channels, description.spec.classes) == (1, 3)
    assert description.training["Model"]["Start"] == folder.name  # no path travels
    # What it started from is needed no more.
    gone = config.with_values({"Model.Start": str(tmp_path / "gone"), "Parameters.Epoch": 2})
    assert plan_of(gone).plan.spec == description.spec
    assert len(train_config(gone).history) == 2
    assert result.history[0]["loss"] == train_config(gone).history[0]["loss"]
