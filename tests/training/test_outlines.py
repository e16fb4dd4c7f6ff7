"""Trainings in which networks learn the outline of each object."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

from ldseg.config import Config
from ldseg.data.cases import find_cases, load_case
from ldseg.data.outline import label_on_grid, outlines
from ldseg.errors import ConfigError
from ldseg.evaluation import dice, object_sums
from ldseg.evaluation.objects import pooled
from ldseg.inference import label_instances, segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.io.pictures import read_label, write_image, write_mask
from ldseg.models import Networks, Preset
from ldseg.training.assembly import batches_of
from ldseg.training.prepare import plan_of, train_config
from ldseg.weights import load_segmenter

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny.phantoms(tmp_path)


def binary(data: Path) -> None:
    for path in (data / "Set" / "Label").iterdir():
        write_mask(path, (read_label(path) > 0).astype(np.int32))


def test_it_is_so_where_labels_number_their_objects(data: Path, tmp_path: Path) -> None:
    prepared = plan_of(tiny.settings(data, tmp_path / "w", Model_Outline="auto"))
    assert prepared.plan.spec.outline
    assert prepared.plan.chosen["Model.Outline"] == "True"
    assert "Model.Outline = True: labels number their objects" in prepared.plan.lines()
    for changes in ({"Model_Outline": "False"}, {"Model_Architecture": "MedSegDiff", "Model_Preset": "tiny"}):
        assert not plan_of(tiny.settings(data, tmp_path / "w", **{"Model_Outline": "auto", **changes})).plan.spec.outline
    binary(data)
    assert not plan_of(tiny.settings(data, tmp_path / "w", Model_Outline="auto")).plan.spec.outline
    assert plan_of(tiny.settings(data, tmp_path / "w", Model_Outline="True")).plan.spec.outline


def test_of_three_classes_there_are_none() -> None:
    with pytest.raises(ConfigError, match=r"Model\.Outline: expected auto or False as Data\.Classes has 3 names"):
        Config().with_values({"Model.Outline": "True", "Data.Classes": ("background", "a", "b")})


def test_what_is_trained_on_and_what_comes_out(data: Path, tmp_path: Path) -> None:
    config = tiny.settings(data, tmp_path / "w", Model_Outline="auto", Training_Augmentation="none")
    prepared = plan_of(config)
    result = train_config(config)
    segmenter, description = load_segmenter(tmp_path / "w")
    assert (description.spec.outline, description.spec.classes) == (True, 2)
    assert description.preprocessing.classes == ("background", "object")
    assert description.preprocessing.smallest == prepared.plan.preprocessing.smallest > 0
    assert result.history[-1].keys() >= {"val_dice", "val_dice_object"}
    assert 0 <= result.history[-1]["val_object_f1"] <= 1
    assert 0 < result.history[-1]["val_object_dice"] < 1

    batches = batches_of(prepared.plan, prepared.cases, segmenter)
    shown = batches.batch(0)[0]["label"]
    cases = [load_case(case, description.preprocessing) for case in find_cases(data / "Set").cases]
    labels = [label_on_grid(case, description.preprocessing, tiny.SIZE, True) for case in cases]
    assert all(any((one == label).all() for label in labels) for one in shown)
    assert set(np.unique(shown)) == {0, 1, 2}

    tiny.varied(segmenter)
    for options in ({}, {"flips": True, "samples": 3}):
        predictor = Predictor(segmenter, steps=2, **options)
        predictor.compile()
        fitted = description.preprocessing if not options else tiny.preprocessing(fit="tile")
        for item in segment_cases(predictor, prepared.cases[:2], fitted, batch_size=2, seed=0):
            assert item.probabilities is not None
            assert item.outline is not None
            assert item.probabilities.shape == (40, 48, 2)
            np.testing.assert_allclose(item.probabilities.sum(axis=-1), 1, atol=1e-5)
            assert (item.outline <= item.probabilities[..., 1] + 1e-6).all()
            assert 0.01 < item.outline.mean() < 0.99
            assert item.instances.shape == (40, 48)
    # A training that goes on keeps what it chose, whatever the labels are now.
    binary(data)
    assert plan_of(config).plan.spec.outline


def shallow(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
    """Networks that see five pixels around each: a latent as fine as the image, and next to nothing to compile."""
    layers = keras.layers
    label, image = keras.Input((*size, classes)), keras.Input((*size, channels))
    clean = layers.Conv2D(3, 1)(label)
    clean = layers.GroupNormalization(-1, center=False, scale=False, dtype="float32")(clean)
    condition = layers.Conv2D(12, 5, padding="same", activation="swish")(image)
    given = [keras.Input((*size, 3)), keras.Input((*size, 12)), keras.Input((), dtype="int32")]
    when = layers.UpSampling2D(size)(layers.Reshape((1, 1, 1))(layers.Rescaling(1e-3)(given[2])))
    hidden = layers.Conv2D(16, 5, padding="same", activation="swish")(layers.Concatenate()([*given[:2], when]))
    latent = keras.Input((*size, 3))
    return Networks(
        label_encoder=keras.Model(label, clean, name="label_encoder"),
        image_encoder=keras.Model(image, condition, name="image_encoder"),
        denoiser=keras.Model(given, layers.Conv2D(3, 1, dtype="float32")(hidden), name="denoiser"),
        label_decoder=keras.Model(latent, layers.Conv2D(classes, 1, dtype="float32")(latent), name="label_decoder"),
    )


SHALLOW = Preset(
    name="shallow",
    latent=lambda classes: 3,
    stride={"YX": 1},
    multiple={"YX": 1},
    any_size=True,
    prediction="x0",
    build=shallow,
)


def write_touching(folder: Path, count: int) -> None:
    """Pairs of bright discs that touch, each with a rim that shows, in images and numbered labels."""
    places = np.indices((32, 32)).astype(float)
    for index in range(count):
        rng = np.random.default_rng([5, index])
        radius, centre, angle = rng.uniform(5.5, 7), rng.uniform(12, 20, 2), rng.uniform(0, 2 * np.pi)
        apart = 0.93 * radius * np.array([np.sin(angle), np.cos(angle)])
        away = np.stack([np.hypot(*(places - (centre + side * apart)[:, None, None])) for side in (-1, 1)])
        ids = np.where(away.min(axis=0) < radius, away.argmin(axis=0) + 1, 0)
        shade = np.where(outlines(ids, "YX", 2.5), 0.5, np.where(ids > 0, 0.8, 0.2)) + rng.normal(0, 0.03, ids.shape)
        picture = (np.clip(shade, 0, 1) * 255).astype(np.uint8)
        write_image(folder / "Image" / f"Pair{index}.png", np.repeat(picture[..., None], 3, axis=-1))
        write_mask(folder / "Label" / f"Pair{index}_label.png", ids.astype(np.int32))


def test_discs_that_touch_are_learned_to_be_told_apart(tmp_path: Path) -> None:
    write_touching(tmp_path / "Set", 24)
    config = tiny.settings(
        tmp_path, tmp_path / "w", Model_Outline="auto", Parameters_Epoch=30, Parameters_BatchSize=8,
        Parameters_LearningRate=0.04, Training_ValidateEvery=30, Training_WarmUp=5, Training_EMA=0.9, Training_Workers=0,
    )  # fmt: skip
    train_config(config, preset=SHALLOW)
    segmenter, description = load_segmenter(tmp_path / "w", SHALLOW)
    predictor = Predictor(segmenter, steps=2)
    predictor.compile()
    split = description.split["validation"]
    cases = [case for case in find_cases(tmp_path / "Set").cases if case.name in split]
    told, joined = [], []
    for item in segment_cases(predictor, cases, description.preprocessing, batch_size=8, seed=0):
        assert item.loaded is not None
        assert dice(item.mask, item.loaded.label, 2)[1] > 0.95
        told.append(object_sums(item.instances, item.loaded.instances))
        joined.append(object_sums(label_instances(item.mask), item.loaded.instances))
    assert len(told) == 8
    assert pooled(joined)[0] < 0.7 < 0.9 < pooled(told)[0]
