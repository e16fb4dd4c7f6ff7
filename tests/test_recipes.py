"""The recipes of CONTRIBUTING.md, tried: in a copy of the package each thing is added as its recipe says, and used."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ARCHITECTURE = '''
"""Networks of one layer each, for a recipe."""

import keras

from ldseg.models.networks import Networks


def networks(size, channels, classes, axes):
    layers, grid = keras.layers, tuple(length // 8 for length in size)
    label, image, latent = keras.Input((*size, classes)), keras.Input((*size, channels)), keras.Input((*grid, 2))
    given = [keras.Input((*grid, 2)), keras.Input((*grid, 4)), keras.Input((), dtype="int32")]
    clean = layers.GroupNormalization(-1, center=False, scale=False)(layers.Conv2D(2, 8, 8)(label))
    return Networks(
        label_encoder=keras.Model(label, clean),
        image_encoder=keras.Model(image, layers.Conv2D(4, 8, 8)(image)),
        denoiser=keras.Model(given, layers.Conv2D(2, 3, padding="same")(layers.Concatenate()(given[:2]))),
        label_decoder=keras.Model(latent, layers.Conv2DTranspose(classes, 8, 8)(latent)),
    )
'''
PRESET = """
        Preset(
            name="single",
            architecture="OneLayer",
            stride={"YX": 8},
            multiple={"YX": 8},
            any_size=True,
            prediction="x0",
            build=lambda *given: importlib.import_module("ldseg.models.one_layer").networks(*given),
            latent=lambda classes: 2,
        ),
"""
SAMPLER = """
        Sampler(name="HalfNoise", coefficients=partial(transition_table, eta=0.5), noisy=True),
"""
METRIC = '''
def specificity(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> FloatArray:
    """Share of what is not there that was left out."""
    hit, predicted, actual = _areas(pred, true, num_classes)
    outside = np.size(true) - actual
    return _ratio(outside - (predicted - hit), outside)


'''
AUGMENTATION = """
    "dermoscopy": Strength(scale=(0.9, 1.1), stain_p=0.0),
"""

USE = """
import sys
from pathlib import Path

import numpy as np

import ldseg
from ldseg.cli import main
from ldseg.phantoms import write_phantoms

place = Path(sys.argv[1])
write_phantoms(place / "Mine", 4, size=(40, 48), seed=1)
options = {
    "Model.Architecture": "OneLayer", "Model.Preset": "single", "Training.Augmentation": "dermoscopy", "Data.Size": "32,32",
    "Sampler.Sampler": "HalfNoise", "Sampler.Sampling_Steps": 2, "Training.Workers": 0, "Training.ValidateEvery": 1,
}
settings = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
trained = ["--classes", "background,gland", "--weights", str(place / "w"), "--epochs", "1", "--batch-size", "2"]
assert main(["train", str(place / "Mine"), *trained, *settings]) == 0

model = ldseg.load(place / "w")
assert "OneLayer" in repr(model)
image = place / "Mine" / "Image" / "Phantom1.png"
masks = [model.segment(image, sampler=name, steps=4).probabilities for name in ("DDIM", "DDPM", "HalfNoise")]
assert all((masks[2] != other).any() for other in masks[:2])
np.testing.assert_array_equal(model.segment(image, sampler="HalfNoise", steps=4).probabilities, masks[2])

mask, label = np.array([[0, 1, 1, 0]]), np.array([[0, 1, 0, 0]])
assert ldseg.evaluate(mask, label).classes["class 1"]["specificity"] == 2 / 3
ordinary = [str(place / "Mine"), "--weights", str(place / "w"), "--out", str(place / "out")]
assert main(["segment", *ordinary, "--steps", "2"]) == 0
assert main(["steps", *ordinary, "--counts", "1,2"]) == 0
"""


def add(house: Path, module: str, before: str, text: str, times: int = 1) -> None:
    """Put text before the only line of a module that begins so."""
    path = house / "ldseg" / module
    lines = path.read_text("utf-8").splitlines(keepends=True)
    found = [index for index, line in enumerate(lines) if line.startswith(before)]
    assert len(found) == times, f"{module}: {before!r} occurs {len(found)} times"
    lines.insert(found[-1], text.lstrip("\n"))
    path.write_text("".join(lines), "utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything was added and used once."""
    house = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "ldseg", house / "ldseg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("cfg.ini", "medsegdiff.ini"):
        shutil.copy(ROOT / name, house)
    (house / "ldseg" / "models" / "one_layer.py").write_text(ARCHITECTURE.lstrip("\n"), "utf-8")
    add(house, "models/presets.py", "from collections.abc", "import importlib\n")
    add(house, "models/presets.py", "        *(_medsegdiff(", PRESET)
    add(house, "diffusion/samplers.py", "        Sampler(name=", SAMPLER)
    add(house, "evaluation/overlap.py", "def _areas(", METRIC)
    add(house, "augmentation/strength.py", '    "anatomy": Strength(', AUGMENTATION)
    path = house / "ldseg" / "evaluation" / "metrics.py"
    text = path.read_text("utf-8")
    for old, new in (
        ("precision, recall\n", "precision, recall, specificity\n"),
        ('"recall": recall}', '"recall": recall, "specificity": specificity}'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    (house / "use.py").write_text(USE, "utf-8")
    run = subprocess.run(
        [sys.executable, "use.py", str(house)], cwd=house, env={**os.environ, "PYTHONPATH": str(house)},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return house


def test_an_architecture_trains_and_segments(place: Path) -> None:
    description = json.loads((place / "w" / "segmenter.json").read_text("utf-8"))
    assert (description["architecture"], description["spec"]["preset"]) == ("OneLayer", "single")
    assert len(list((place / "out").glob("*_segmentation.png"))) == 4


def test_a_sampler_is_drawn_with_and_swept(place: Path) -> None:
    report = json.loads((place / "out" / "Sweep" / "sweep.json").read_text("utf-8"))
    assert "HalfNoise" in {row["sampler"] for row in report["conditions"]}
    assert (place / "out" / "Sweep" / "sweep.png").is_file()


def test_a_metric_is_in_every_table(place: Path) -> None:
    for case in json.loads((place / "out" / "metrics.json").read_text("utf-8"))["cases"]:
        assert 0 <= case["specificity"]["gland"] <= 1
    header = (place / "out" / "metrics.csv").read_text("utf-8").splitlines()[0]
    assert "specificity" in header


def test_an_augmentation_is_a_setting(place: Path) -> None:
    description = json.loads((place / "w" / "segmenter.json").read_text("utf-8"))
    assert description["training"]["Training"]["Augmentation"] == "dermoscopy"
