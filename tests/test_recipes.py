"""The recipes of CONTRIBUTING.md, tried: in a copy of the package each thing is added as its recipe says, and used."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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

FORMAT = '''
"""Pictures as numbers in a text file (.grid), for a recipe."""

from pathlib import Path

import numpy as np

from ldseg.io.contract import Content, Format
from ldseg.base.writing import write_bytes


def read(path, axes, label):
    return Content(values=np.loadtxt(path, dtype=np.uint8, ndmin=2)[..., np.newaxis])


def write(path, values, geometry, like):
    return write_bytes(path, b"\\n".join(" ".join(map(str, row)).encode() for row in values))


GRID = Format(thing="text grid", suffixes=(".grid",), axes=("YX",), read=read, write=write)
'''

WRITER = '''
"""The size of each class as a text file, for a recipe."""

from ldseg.writers.contract import Writer
from ldseg.base.writing import write_text


def write(folder, case):
    if case.axes != "YX":
        raise ValueError("expected a picture")
    sizes = [f"{name} {(case.mask == k).sum()}" for k, name in enumerate(case.classes)]
    return write_text(folder / f"{case.name}_objects.txt", "\\n".join(sizes))


SIZES = Writer(about="the size of each class", files="_objects.txt", write=write)
'''

USE = """
import sys
from functools import partialmethod
from pathlib import Path

import keras
import numpy as np

import ldseg
from ldseg.cli import main
from ldseg.phantoms import write_phantoms

# A few updates take less time than to compile one.
keras.Model.compile = partialmethod(keras.Model.compile, run_eagerly=True)
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
gray = place / "gray.grid"
pixels = np.random.default_rng(0).integers(0, 256, (40, 48))
np.savetxt(gray, pixels, fmt="%d")
result = model.segment(gray)
np.testing.assert_array_equal(result.probabilities, model.segment(pixels.astype(np.uint8)).probabilities)
(place / "sizes.txt").write_text(result.save(place / "sizes", formats=["sizes"])["sizes"].read_text("utf-8"))
np.testing.assert_array_equal(np.loadtxt(result.save(place / "grids")["mask"]), result.mask)
gray.write_text("0 1\\n2")
try:
    model.segment(gray)
except ldseg.DataError as error:
    (place / "refused.txt").write_text(str(error))

ordinary = [str(place / "Mine"), "--weights", str(place / "w"), "--out", str(place / "out")]
assert main(["segment", *ordinary, "--steps", "2", "--formats", "mask,sizes"]) == 0
assert main(["steps", *ordinary, "--counts", "1,2"]) == 0
"""


def change(house: Path, module: str, old: str, new: str) -> None:
    """Put a text in the place of another, which occurs once in a module."""
    path = house / "ldseg" / module
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{module}: {old!r} occurs {text.count(old)} times"
    path.write_text(text.replace(old, new), "utf-8")


def add(house: Path, module: str, before: str, text: str) -> None:
    """Put a text before the line of a module that begins so."""
    change(house, module, f"\n{before}", "\n" + text.lstrip("\n") + before)


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
    change(house, "evaluation/metrics.py", "precision, recall\n", "precision, recall, specificity\n")
    change(house, "evaluation/metrics.py", '"recall": recall}', '"recall": recall, "specificity": specificity}')
    (house / "ldseg" / "io" / "grids.py").write_text(FORMAT.lstrip("\n"), "utf-8")
    add(house, "io/formats.py", "from ldseg.io.meta", "from ldseg.io.grids import GRID\n")
    change(house, "io/formats.py", "ARRAY)", "ARRAY, GRID)")
    (house / "ldseg" / "writers" / "sizes.py").write_text(WRITER.lstrip("\n"), "utf-8")
    add(house, "writers/table.py", "from ldseg.writers.tables", "from ldseg.writers.sizes import SIZES\n")
    change(house, "writers/table.py", '"mask": MASK,', '"mask": MASK, "sizes": SIZES,')
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
    assert "specificity" in (place / "out" / "report.html").read_text("utf-8").lower()


def test_an_augmentation_is_a_setting(place: Path) -> None:
    description = json.loads((place / "w" / "segmenter.json").read_text("utf-8"))
    assert description["training"]["Training"]["Augmentation"] == "dermoscopy"


def test_a_file_format_is_read_written_and_refused_where_it_is_damaged(place: Path) -> None:
    assert (place / "grids" / "gray_segmentation.grid").is_file()
    refused = (place / "refused.txt").read_text("utf-8")
    assert refused.startswith(f"{place / 'gray.grid'}: not a readable text grid")
    assert "\n" not in refused


def test_a_format_of_results_is_a_setting(place: Path) -> None:
    assert len(list((place / "out").glob("*_objects.txt"))) == 4
    sizes = dict(line.split() for line in (place / "sizes.txt").read_text("utf-8").splitlines())
    assert list(sizes) == ["background", "gland"]
    assert sum(map(int, sizes.values())) == 40 * 48
