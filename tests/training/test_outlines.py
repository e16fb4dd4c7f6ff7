"""Trainings in which networks learn the outline of each object."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny

from ldseg.config import Config
from ldseg.data.cases import find_cases, load_case
from ldseg.data.outline import label_on_grid
from ldseg.errors import ConfigError
from ldseg.inference import segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.io.pictures import read_label, write_mask
from ldseg.training.fit import batches_of
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
    assert result.history[-1].keys() >= {"val_dice", "val_dice_object"}

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
