"""The Python API: what README shows, on networks of a few weights."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import tiny

import ldseg
from ldseg.base.spatial import AXES
from ldseg.cli import main
from ldseg.diffusion import SAMPLERS
from ldseg.errors import ConfigError, DataError, WeightsError
from ldseg.group import Group
from ldseg.io.pictures import read_image, read_label, write_image
from ldseg.models import Preset
from ldseg.segmenter import Segmenter
from ldseg.weights import Description, save_weights

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, preprocessing = tmp_path_factory.mktemp("weights"), tiny.preprocessing()
    chosen = {"Data_Classes": preprocessing.classes, "Data_Channels": 3, "Data_Intensity": "dtype"}
    training = tiny.settings(folder, folder, **chosen, Model_Prediction="x0").to_dict()
    description = Description(spec=tiny.spec(), preprocessing=preprocessing, training=training)
    save_weights(folder, tiny.varied(Segmenter(tiny.spec())), description)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a data set of three phantoms, the second of them damaged."""
    folder = tiny.phantoms(tmp_path_factory.mktemp("data"), 3) / "Set"
    broken = folder / "Image" / "Phantom2.png"
    broken.write_bytes(broken.read_bytes()[:200])
    return folder


@pytest.fixture(scope="module")
def model(weights: Path) -> ldseg.Model:
    return ldseg.load(weights)


# ---- Import


def test_importing_is_quick_and_touches_no_deep_learning_library() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import ldseg; took = time.perf_counter() - start;"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'numpy', 'cv2', 'matplotlib'} & set(sys.modules);"
        "ldseg.available(); more = {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules);"
        "print(took < 0.2, *sorted(heavy | more))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=False)
    assert run.stdout.split() == ["True"], run.stderr


def test_what_the_package_offers_is_there() -> None:
    assert all(getattr(ldseg, name) is not None for name in ldseg.__all__)
    assert set(ldseg.__all__) <= set(dir(ldseg))
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        _ = ldseg.segmnt


# ---- Weights


def test_shipped_weights_are_known_by_name() -> None:
    assert {"GlaS", "DDTI", "Hippocampus", "VocalFolds"} <= set(ldseg.available())


def test_weights_that_are_not_there() -> None:
    with pytest.raises(WeightsError, match=r"Glas: expected a folder .* come with LDSeg: .*GlaS"):
        ldseg.load("Glas")


def test_a_model_says_what_it_is(model: ldseg.Model) -> None:
    assert (model.classes, model.axes) == (("background", "gland"), "YX")
    assert repr(model) == "Model(LDSeg, YX, 32×32, classes: background, gland)"


# ---- One image


def test_an_array_gives_the_mask_of_its_file(model: ldseg.Model, data: Path, tmp_path: Path) -> None:
    path = data / "Image" / "Phantom1.png"
    pixels = read_image(path)
    of_file, of_array = model.segment(path, steps=2), model.segment(pixels, steps=2)
    np.testing.assert_array_equal(of_file.probabilities, of_array.probabilities)
    assert of_file.mask.dtype == np.int32
    assert of_file.mask.shape == pixels.shape[:2]
    assert of_file.probabilities.shape == (*pixels.shape[:2], 2)
    assert (of_file.name, of_array.name) == ("Phantom1", "image")
    gray = write_image(tmp_path / "gray.png", pixels[..., :1])
    np.testing.assert_array_equal(model.segment(gray, steps=2).mask, model.segment(pixels[..., 0], steps=2).mask)


def test_the_api_and_the_command_give_the_same_mask(model: ldseg.Model, weights: Path, data: Path, tmp_path: Path) -> None:
    options = [
        "--weights",
        str(weights),
        "--out",
        str(tmp_path),
        "--steps",
        "2",
        "--seed",
        "3",
        "--set",
        "Output.Diffusion=0",
    ]
    assert main(["segment", str(data / "Image" / "Phantom1.png"), *options]) == 0
    found = model.segment(data / "Image" / "Phantom1.png", steps=2, seed=3)
    np.testing.assert_array_equal(found.mask, read_label(tmp_path / "Phantom1_segmentation.png"))


def test_settings_are_those_of_the_sampler(model: ldseg.Model, data: Path) -> None:
    path = data / "Image" / "Phantom1.png"
    result = model.segment(path, steps=2, samples=3, fusion="vote", sampler="DDPM", seed=1)
    assert result.members is not None
    assert result.members.shape == (3, *result.mask.shape)
    assert result.variance is not None
    assert 0 <= result.entropy.min() <= result.entropy.max() <= 1
    assert 0 <= result.predicted_dice <= 1
    with pytest.raises(ConfigError, match="step: unknown setting; expected one of steps, sampler"):
        model.segment(path, step=2)
    with pytest.raises(ConfigError, match=r"Sampler\.Fusion: expected one of mean, vote, staple, got 'majority'"):
        model.segment(path, fusion="majority")
    with pytest.raises(ConfigError, match=rf"steps: expected at most the \d+ that the weights {model.folder} were trained"):
        model.segment(path, steps=5000)
    for given, key in (({"engine": "tpu"}, "Engine"), ({"precision": "int8"}, "Precision")):
        with pytest.raises(ConfigError, match=rf"GPU\.{key}: expected one of auto, .*, got '{next(iter(given.values()))}'"):
            ldseg.load("DDTI", **given)


def test_a_second_image_is_not_traced_again(model: ldseg.Model, data: Path) -> None:
    path = data / "Image" / "Phantom1.png"
    model.segment(path, steps=2)
    before = len(model._engines)
    model.segment(path, steps=2, seed=4)
    assert len(model._engines) == before


def test_an_image_that_cannot_be_used(model: ldseg.Model, data: Path) -> None:
    with pytest.raises(DataError, match=r"Phantom2\.png: not a readable image"):
        model.segment(data / "Image" / "Phantom2.png")
    with pytest.raises(DataError, match="constant image"):
        model.segment(np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(
        ConfigError, match="image: expected a path, got '~no-such-user/a.png', whose user has no home folder"
    ):
        model.segment("~no-such-user/a.png")
    with pytest.raises(ConfigError, match="folder: expected a path, got '~no-such-user'"):
        list(model.segment_folder("~no-such-user"))
    with pytest.raises(ConfigError, match="spacing: expected it with an array only"):
        model.segment(data / "Image" / "Phantom1.png", spacing=(1, 1))


def test_what_a_result_holds(model: ldseg.Model, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = model.segment(data / "Image" / "Phantom1.png", steps=2)
    picture = result.overlay()
    assert (picture.dtype, picture.shape) == (np.uint8, (*result.mask.shape, 3))
    assert result.instances.max() >= 0
    files = result.save(tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in files.values()} == {
        "Phantom1_segmentation.png",
        "Overlay/Phantom1_overlay.png",
    }
    np.testing.assert_array_equal(read_label(files["mask"]), result.mask)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("~/out", (tmp_path / "out").as_uri()):
        assert result.save(folder, overlay=False) == {"mask": files["mask"]}
    with pytest.raises(ConfigError, match="folder: expected a path, got '~no-such-user'"):
        result.save("~no-such-user")
    with pytest.raises(DataError, match="expected a label to compare with"):
        result.evaluate()
    label = read_label(data / "Label" / "Phantom1_label.png") > 0
    assert 0 <= result.evaluate(label.astype(np.int32)).mean["dice"] <= 1
    with pytest.raises(DataError, match="masks: expected classes or instances, got 'all'"):
        result.save(tmp_path, masks="all")


# ---- A folder


def test_a_bad_case_does_not_end_a_folder(
    model: ldseg.Model, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = list(model.segment_folder(data, steps=2))
    assert [result.name for result in results] == ["Phantom1", "Phantom2", "Phantom3"]
    assert [bool(result.problem) for result in results] == [False, True, False]
    for result in results:
        result.save(tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"Phantom1_segmentation.png", "Phantom3_segmentation.png"}
    assert "skipped Phantom2" in caplog.text
    with pytest.raises(DataError, match="not a readable image"):
        _ = results[1].mask
    assert results[0].evaluate().unit == "pixels"
    one = model.segment(data / "Image" / "Phantom3.png", steps=2)
    np.testing.assert_array_equal(one.probabilities, results[2].probabilities)


def test_a_wrong_setting_is_told_at_once(model: ldseg.Model, data: Path) -> None:
    with pytest.raises(ConfigError, match="Sampling_Steps"):
        model.segment_folder(data, steps=0)
    with pytest.raises(DataError, match="no such folder"):
        model.segment_folder(data / "Nothing")


# ---- Training


def test_train(data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(data, tmp_path / "Mine")
    (folder / "Image" / "Phantom2.png").unlink()
    (folder / "Label" / "Phantom2_label.png").unlink()
    quick = {"Data.Size": "32,32", "Training.ValidateEvery": 1, "Sampler.Sampling_Steps": 2, "Training.Workers": 0}
    own = {"classes": ["background", "gland"], "weights": tmp_path / "weights", "epochs": 2, "batch_size": 2}
    model = ldseg.train(folder, settings={**quick, "Model.Prediction": "x0", "Training.Augmentation": "flips"}, **own)
    assert model.classes == ("background", "gland")
    assert model.segment(folder / "Image" / "Phantom1.png", steps=2).mask.shape == (40, 48)
    with pytest.raises(ConfigError, match="Traning"):
        ldseg.train(folder, settings={"Traning.Seed": 1}, **own)


def test_only_the_first_process_has_the_model(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It alone writes: the others have no weights to open."""
    trained = SimpleNamespace(held_back=None)
    monkeypatch.setattr("ldseg.training.prepare.train_config", lambda config, **rest: trained)
    monkeypatch.setattr("ldseg.model.devices", MagicMock())
    monkeypatch.setattr("ldseg.devices.together.connect", MagicMock())
    monkeypatch.setattr("ldseg.model.load", lambda folder, **rest: folder)
    own = {"classes": ["background", "gland"], "weights": tmp_path / "weights", "settings": {"GPU.Precision": "float32"}}
    for index, expected in ((0, tmp_path / "weights"), (1, None)):
        group = Group()
        group.index, group.count = index, 2
        monkeypatch.setattr("ldseg.group.joined", lambda place, group=group: nullcontext(group))
        assert ldseg.train(data, **own) == expected


def test_training_without_keras_says_what_to_install(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "keras" else find(name, *rest))
    with pytest.raises(
        ConfigError, match=r'^training takes Keras, which is not installed: pip install "ldseg\[tensorflow\]"'
    ):
        ldseg.train(data, classes=["background", "gland"], weights=tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_networks_and_a_sampler_of_ones_own(data: Path, tmp_path: Path) -> None:
    """Handed in as objects: nothing of the package is edited, and no name is entered anywhere."""
    stride = dict.fromkeys(AXES.values(), tiny.STRIDE)
    own = Preset(
        name="mine",
        stride=stride,
        multiple=stride,
        any_size=True,
        prediction="x0",
        latent=lambda classes: 2,
        build=lambda size, channels, classes, axes: tiny.networks(size, channels, classes, axes, False),
    )
    folder = tmp_path / "Mine"
    for name in ("Phantom1", "Phantom3"):
        for place in (f"Image/{name}.png", f"Label/{name}_label.png"):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / place, folder / place)
    quick = {"Data.Size": "32,32", "Training.ValidateEvery": 1, "Sampler.Sampling_Steps": 2, "Training.Workers": 0}
    own_training = {"classes": ["background", "gland"], "weights": tmp_path / "weights", "epochs": 1, "batch_size": 2}
    model = ldseg.train(folder, preset=own, settings={**quick, "Training.Augmentation": "flips"}, **own_training)
    assert model.description.spec.preset == "mine"
    with pytest.raises(WeightsError, match="mine"):
        ldseg.load(tmp_path / "weights")
    again = ldseg.load(tmp_path / "weights", preset=own)
    path = folder / "Image" / "Phantom1.png"
    np.testing.assert_array_equal(again.segment(path, steps=2).mask, model.segment(path, steps=2).mask)
    half = replace(SAMPLERS["DDIM"], name="half")
    np.testing.assert_array_equal(again.segment(path, steps=2, sampler=half).mask, again.segment(path, steps=2).mask)
