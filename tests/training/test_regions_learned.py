"""Trainings with regions: their loss, that networks learn from it, and that figures are theirs to the end."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
from helpers import as_numpy
from keras import ops

from ldseg import devices
from ldseg.cli import main
from ldseg.evaluation import class_scores
from ldseg.io.pictures import read_label, write_image
from ldseg.segmenter import Segmenter
from ldseg.training.assembly import trainer_of
from ldseg.training.losses import segmentation_loss
from ldseg.training.prepare import plan_of, train_config
from ldseg.weights import read_description

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

REGIONS = "disc:1+2, cup:2"
CLASSES = ("background", "rim", "cup")


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks(stateful=False, eager=False):
        yield


def eyes(folder: Path, count: int) -> Path:
    """Pictures of bright discs with a brighter cup, of the cells that the networks see, and labels 0, 1, 2."""
    rng = np.random.default_rng(0)
    for index in range(count):
        cells = np.zeros((4, 4), np.uint8)
        y, x = (int(value) for value in rng.integers(0, 2, 2))
        cells[y : y + 3, x : x + 3] = 1
        cells[y + 1, x + 1 : x + 3] = 2
        label = np.kron(cells, np.ones((tiny.STRIDE, tiny.STRIDE), np.uint8))
        image = 40 + 80 * label + rng.integers(0, 20, label.shape).astype(np.uint8)
        write_image(folder / "Set" / "Image" / f"Eye{index}.png", np.stack([image] * 3, -1).astype(np.uint8))
        write_image(folder / "Set" / "Label" / f"Eye{index}_label.png", label)
    return folder


def test_the_loss_is_that_of_the_union() -> None:
    rng = np.random.default_rng(1)
    label, logits = rng.integers(0, 4, (2, 5, 6)), rng.normal(0, 2, (2, 5, 6, 4)).astype("float32")
    known = (rng.random((2, 5, 6)) < 0.7).astype("float32")
    regions = ((1, 3), (3,))
    plain = as_numpy(segmentation_loss(label, ops.convert_to_tensor(logits), ops.convert_to_tensor(known)))
    powers = np.exp(logits.astype("float64"))
    each = []
    for region in regions:
        inside = powers[..., list(region)].sum(-1) / powers.sum(-1)
        two = np.log(np.stack([1 - inside, inside], -1)).astype("float32")
        own = np.isin(label, region).astype("int32")
        each.append(as_numpy(segmentation_loss(own, ops.convert_to_tensor(two), ops.convert_to_tensor(known))))
    found = as_numpy(segmentation_loss(label, ops.convert_to_tensor(logits), ops.convert_to_tensor(known), regions))
    np.testing.assert_allclose(found, (plain + np.mean(each, axis=0)) / 2, rtol=1e-4)


def test_a_region_is_learned_where_its_classes_are_confused() -> None:
    """To move probability from one class of a region to another changes the loss of the classes alone."""
    label = np.ones((1, 4, 4), "int32")
    surely = {k: ops.convert_to_tensor(np.full((1, 4, 4, 3), 8 * np.eye(3)[k], "float32")) for k in range(3)}
    loss = {k: float(as_numpy(segmentation_loss(label, surely[k], None, ((1, 2),)))[0]) for k in range(3)}
    alone = {k: float(as_numpy(segmentation_loss(label, surely[k]))[0]) for k in range(3)}
    assert alone[0] == pytest.approx(alone[2])
    assert loss[1] < loss[2] < loss[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data/Set`` and the weights ``w`` of a short training on regions."""
    place = tmp_path_factory.mktemp("eyes")
    options = {"Parameters_Epoch": 100, "Training_ValidateEvery": 100, "Parameters_BatchSize": 3}
    options |= {"Parameters_LearningRate": 0.02, "Training_WarmUp": 2, "Training_EMA": 0.5, "Training_Recycling": 0.0}
    changes = {"Data_Classes": CLASSES, "Data_Regions": REGIONS}
    train_config(tiny.settings(eyes(place / "data", 9), place / "w", **changes, **options))
    return place


def test_a_training_validates_by_regions(trained: Path) -> None:
    description = read_description(trained / "w")
    assert description.preprocessing.regions == (("disc", (1, 2)), ("cup", (2,)))
    assert description.preprocessing.classes == CLASSES
    figures = description.figures
    assert {"val_dice_disc", "val_dice_cup"} <= set(figures)
    assert "val_dice_rim" not in figures
    assert figures["val_dice"] == pytest.approx(np.mean([figures["val_dice_disc"], figures["val_dice_cup"]]))
    assert figures["val_dice_disc"] > 0.9  # learned: a mask of everything has .72
    assert figures["val_dice_cup"] > 0.9


def run(place: Path, *settings: str) -> dict:
    devices.choose(False)
    given = [f"Data.Root={place / 'data'}", "Data.Dataset=Set", f"Model.Weights={place / 'w'}", "Sampler.Sampling_Steps=2"]
    given += [f"Output.Folder={place / 'out'}", "Output.Diffusion=0", "Output.Overlay=False", *settings]
    assert main(["segment", *(word for setting in given for word in ("--set", setting))]) == 0
    return json.loads((place / "out" / "metrics.json").read_text("utf-8"))


def test_a_run_reports_regions(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = run(trained, "Output.Formats=mask,csv")
    assert record["classes"] == ["background", "disc", "cup"]
    tolerance = record["run"]["config"]["Evaluation"]["Tolerance"]
    for case in record["cases"]:
        mask = read_label(trained / "out" / case["mask"])
        assert set(np.unique(mask)) <= {0, 1, 2}  # the values as stored
        label = read_label(trained / "data" / "Set" / "Label" / f"{case['name']}_label.png")
        for index, own in ((1, (1, 2)), (2, (2,))):
            name = record["classes"][index]
            expected = class_scores(np.isin(mask, own) * 1, np.isin(label, own) * 1, 2, tolerance=tolerance)
            for metric, values in expected.items():
                assert (case[metric][name] or 0.0) == pytest.approx(np.nan_to_num(values[1])), metric
        assert case["dice"]["disc"] > 0.9
        assert 0.0 < case["predicted_dice"] <= 1.0
    printed = capsys.readouterr().out
    assert "mean of the regions" in printed
    page = (trained / "out" / "report.html").read_text("utf-8")
    assert "Dice of disc" in page
    assert "unions of the classes of the masks: disc (rim and cup), cup (cup)" in page
    assert "disc_" not in (trained / "out" / "metrics.csv").read_text("utf-8").splitlines()[0]
    assert "dice_disc" in (trained / "out" / "metrics.csv").read_text("utf-8").splitlines()[0]
    assert "rim" in (trained / "out" / "objects.csv").read_text("utf-8")  # objects are of the classes that the masks hold


def test_other_regions_change_figures_and_no_mask(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads((trained / "out" / "metrics.json").read_text("utf-8"))  # of the test before
    masks = {case["name"]: read_label(trained / "out" / case["mask"]) for case in first["cases"]}
    other = run(trained, "Data.Regions=cup:2", "Output.Report=False")
    assert other["classes"] == ["background", "cup"]
    assert "In none of the regions, so that no figure tells of it: rim." in capsys.readouterr().out
    for case, before in zip(other["cases"], first["cases"], strict=True):
        np.testing.assert_array_equal(read_label(trained / "out" / case["mask"]), masks[case["name"]])
        assert case["dice"]["cup"] == before["dice"]["cup"]
    assert main(["segment", "--set", f"Data.Root={trained / 'data'}", "--set", "Data.Dataset=Set", "--set",
                 f"Model.Weights={trained / 'w'}", "--set", "Data.Regions=cup:3"]) == 2  # fmt: skip
    assert "Data.Regions: cup: expected classes from 1 to 2 (1 rim, 2 cup), got 3" in capsys.readouterr().err


def test_a_plan_names_classes_of_no_region(trained: Path, tmp_path: Path) -> None:
    settings = tiny.settings(trained / "data", tmp_path / "w", Data_Classes=CLASSES, Data_Regions="cup:2")
    made = plan_of(settings).plan
    assert "in none of the regions, so that no figure tells of it: rim" in made.lines()
    assert trainer_of(made, Segmenter(made.spec), 4).regions == ((2,),)
