"""Regions, unions of classes: what may be one, and how they are measured, nested and overlapping in part."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import ldseg
from ldseg.base.regions import Regions, check_regions, of_no_region, shown, structures, unions_of
from ldseg.base.spatial import IGNORE
from ldseg.config import Config, load_config
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import ConfigError, DataError
from ldseg.evaluation import Calibration, class_scores, energy_distance
from ldseg.evaluation.amounts import amounts
from ldseg.evaluation.quality import signs_of
from ldseg.evaluation.record import foreground
from ldseg.inference.uncertainty import predictive_entropy
from ldseg.viz.report.records import words

CLASSES = ("background", "rim", "cup", "vessel")
EYE: Regions = (("disc", (1, 2)), ("cup", (2,)))
PARTLY: Regions = (("one", (1, 2)), ("other", (2, 3)))
RNG = np.random.default_rng(4)


def nested(shift: int = 0) -> np.ndarray:
    """A cup within a rim, int (24, 24)."""
    mask = np.zeros((24, 24), np.int32)
    mask[4 : 16 + shift, 4:18] = 1
    mask[7:12, 8 : 13 + shift] = 2
    return mask


def test_what_figures_are_given_for() -> None:
    assert structures(CLASSES, ()) == CLASSES
    assert structures(CLASSES, EYE) == ("background", "disc", "cup")
    assert unions_of(()) == ()
    assert unions_of(EYE) == ((0,), (1, 2), (2,))
    assert of_no_region(CLASSES, EYE) == ["vessel"]
    assert of_no_region(CLASSES, PARTLY) == of_no_region(CLASSES, ()) == []
    assert shown(EYE) == words([["disc", [1, 2]], ["cup", [2]]]) == "disc:1+2, cup:2"
    check_regions(PARTLY, CLASSES)


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ([("disc", (1, 4))], r"disc: expected classes from 1 to 3 \(1 rim, 2 cup, 3 vessel\), got 4"),
        ([("all", (0, 1, 2, 3))], "all: expected classes from 1 on, as the background belongs to no region, got 0"),
        ([("disc", (1,)), ("Disc", (2,))], "expected different names, none of them that of the background, got disc"),
        ([("background", (1,))], "expected different names, none of them that of the background, got background"),
        ([("disc", (1, 1))], r"disc: expected each class once, got 1\+1"),
        ([("disc", (1, 2)), ("eye", (2, 1))], r"eye: expected other classes than those of disc, got 2\+1"),
    ],
)
def test_what_is_no_region(regions: Regions, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^Data\.Regions: {said}"):
        Config().with_values({"Data.Classes": CLASSES, "Data.Regions": regions})
    with pytest.raises(ConfigError, match=f"preprocessing regions: {said}"):
        Preprocessing(size=(8, 8), classes=CLASSES, regions=tuple(regions))


@pytest.mark.parametrize("text", ["disc", "disc:", "disc:rim", "disc:1+", ":1", "disc:1-2", "disc:1, cup"])
def test_settings_that_are_no_regions(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^Data\.Regions: expected names of regions with their classes, such as disc:1"):
        Config().with_values({"Data.Regions": text})


def test_two_classes_have_no_regions() -> None:
    with pytest.raises(ConfigError, match=r"Data\.Regions: expected nothing for two classes \(background, disc\)"):
        Config().with_values({"Data.Classes": "background, disc", "Data.Regions": "eye:1"})


def test_settings_keep_regions(tmp_path: Path) -> None:
    path = tmp_path / "cfg.ini"
    path.write_text("[Data]\nClasses = background, rim, cup\nRegions = disc : 1 + 2, cup:2\n")
    config = load_config(path)
    assert config.data.regions == EYE
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))).data == config.data
    step = Preprocessing(size=(8, 8), classes=CLASSES, regions=EYE)
    assert Preprocessing.from_dict(json.loads(json.dumps(step.to_dict()))) == step
    assert "regions" not in Preprocessing(size=(8, 8)).to_dict()  # descriptions stay what they were


@pytest.mark.parametrize("regions", [EYE, PARTLY, (("all", (1, 2, 3)),)])
def test_every_metric_is_that_of_the_union(regions: Regions) -> None:
    """As if a mask and a label of the region alone were compared."""
    label, mask = RNG.integers(0, 4, (9, 12)), RNG.integers(0, 4, (9, 12))
    label[0, :5] = IGNORE
    options = {"tolerance": 1.0, "spacing": (0.5, 2.0)}
    found = class_scores(mask, label, 4, unions=unions_of(regions), **options)
    plainly = class_scores(mask, label, 4, **options)
    for metric, values in found.items():
        assert len(values) == len(regions) + 1
        np.testing.assert_equal(values[0], plainly[metric][0])
        for value, (_, numbers) in zip(values[1:], regions, strict=True):
            alone = np.where(label == IGNORE, IGNORE, np.isin(label, numbers))
            own = class_scores(np.isin(mask, numbers).astype(int), alone, 2, **options)
            assert value == own[metric][1], metric


def test_nested_regions_by_hand() -> None:
    label, mask = nested(), nested(2)
    found = ldseg.evaluate(mask, label, regions={"disc": (1, 2), "cup": 2})
    disc, cup = 12 * 14, 5 * 5
    expected = {"disc": 2 * disc / (disc + 14 * 14), "cup": 2 * cup / (cup + 5 * 7)}
    for name, value in expected.items():
        assert found.classes[name]["dice"] == pytest.approx(value)
        assert found.classes[name]["hd95"] == 2.0
    assert list(found.classes) == ["background", "disc", "cup"]
    assert found.mean["dice"] == pytest.approx(np.mean(list(expected.values())))
    # The rim alone, which the label map has, is another matter.
    assert ldseg.evaluate(mask, label).classes["class 1"]["dice"] != pytest.approx(expected["disc"])
    assert "disc" in str(found)


def test_a_region_that_is_absent_or_made_of_one_class() -> None:
    label = nested()
    found = ldseg.evaluate(np.where(label == 2, 1, label), label, regions={"disc": (1, 2), "cup": 2, "drusen": (3, 4)})
    assert [found.classes[name]["dice"] for name in ("disc", "cup")] == [1.0, 0.0]
    assert math.isnan(found.classes["drusen"]["dice"])
    assert found.mean["dice"] == 0.5
    with pytest.raises(DataError, match=r"^regions: disc: expected classes from 1 to 2"):
        ldseg.evaluate(label, label, classes=("background", "rim", "cup"), regions={"disc": (1, 3)})


def test_amounts_and_distances_of_regions() -> None:
    mask = nested()
    found = amounts(mask, 3, "YX", (0.1, 0.1), unions=unions_of(EYE))
    assert found.counts == (1, 1)
    np.testing.assert_allclose(found.sizes, (12 * 14 * 0.01, 25 * 0.01))
    # Annotators who differ only in where the rim ends agree on the disc.
    other = np.where(mask == 2, 1, mask)
    whole: Regions = (("disc", (1, 2)),)
    assert energy_distance(mask[None], other[None], 3, unions_of(whole)) == 0.0
    assert energy_distance(mask[None], other[None], 3) > 0.0


def probabilities(shape: tuple[int, ...]) -> np.ndarray:
    drawn = RNG.random((*shape, 3)).astype(np.float32) ** 4
    return drawn / drawn.sum(-1, keepdims=True)


def test_expected_dice_is_that_of_the_regions() -> None:
    found = probabilities((8, 9))
    mask, entropy = found.argmax(-1), predictive_entropy(found)
    signs = signs_of(found, mask, entropy, unions=unions_of(EYE))
    each = []
    for numbers in ([1, 2], [2]):
        chance, own = found[..., numbers].sum(-1), np.isin(mask, numbers)
        each.append(2 * chance[own].sum() / (chance.sum() + own.sum()))
    assert signs.expected == pytest.approx(np.mean(each), rel=1e-5)
    assert signs.doubt == pytest.approx(signs_of(found, mask, entropy).doubt)  # a pixel of two regions is one pixel


def test_calibration_of_regions() -> None:
    found = probabilities((16, 16))
    mask, label = found.argmax(-1), RNG.integers(0, 3, (16, 16))
    label[:2] = IGNORE
    calibration = Calibration()
    calibration.add_regions(found, mask, label, unions_of(EYE))
    assert calibration.cases == 1
    assert calibration.pixels == 2 * 14 * 16
    wrong = [(np.isin(mask, own) != np.isin(label, own))[2:].mean() for own in ([1, 2], [2])]
    assert calibration.error_rate == pytest.approx(np.mean(wrong))
    sure = np.eye(3, dtype=np.float32)[np.maximum(label, 0)]
    perfect = Calibration()
    perfect.add_regions(sure, sure.argmax(-1), label, unions_of(EYE))
    assert perfect.report()["ece"] == 0.0
    assert foreground((0.1, 0.5, 0.7)) == pytest.approx(0.6)


@pytest.mark.parametrize("classes", [None, CLASSES[:3]])
def test_a_region_without_classes(classes: tuple[str, ...] | None) -> None:
    with pytest.raises(DataError, match="^regions: cup: expected classes from 1 on, got none"):
        ldseg.evaluate(nested(), nested(), classes=classes, regions={"disc": (1, 2), "cup": ()})
    with pytest.raises(DataError, match="^regions: cup: expected classes from 1 on, got none"):
        ldseg.evaluate(nested(), nested(), classes=classes, regions={"cup": ()})
    with pytest.raises(ValueError, match="^cup: expected classes from 1 on, got none"):
        check_regions((("cup", ()),), classes or ())
