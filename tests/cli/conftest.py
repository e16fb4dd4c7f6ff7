"""Weights of tiny networks and a small data set, for runs of the command."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

# Keras is imported by the fixtures alone: many tests of the command do without.


@pytest.fixture(scope="module")
def tiny_lean() -> Iterator[None]:
    import tiny

    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def trained(tiny_lean: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny

    from ldseg.segmenter import Segmenter
    from ldseg.weights import Description, save_weights

    folder = tmp_path_factory.mktemp("weights")
    preprocessing = tiny.preprocessing()
    chosen = {"Data_Classes": preprocessing.classes, "Data_Channels": 3, "Data_Intensity": "dtype"}
    training = tiny.settings(folder, folder, **chosen, Model_Prediction="x0").to_dict()
    description = Description(spec=tiny.spec(), preprocessing=preprocessing, training=training)
    save_weights(folder, tiny.varied(Segmenter(tiny.spec())), description)
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A folder with the data set ``data/Set`` of two phantoms and the weights ``weights``."""
    import tiny

    tiny.phantoms(tmp_path / "data", 2)
    shutil.copytree(trained, tmp_path / "weights")
    return tmp_path
