"""Labels as they are: parts that say nothing, slices that were not annotated, colours."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ldseg.base.spatial import COLOUR, IGNORE
from ldseg.config import Config, load_config
from ldseg.data.cases import Case, load_case, prepare
from ldseg.data.labels import filled
from ldseg.data.outline import label_on_grid
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import ConfigError, DataError
from ldseg.evaluation import dice
from ldseg.evaluation.calibration import Calibration
from ldseg.evaluation.collapse import Collapse
from ldseg.evaluation.evaluate import evaluate
from ldseg.evaluation.metrics import class_scores
from ldseg.io.scans import scan_of

RED, BLACK, WHITE = COLOUR + 0xFF0000, COLOUR, COLOUR + 0xFFFFFF


def image(*size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)


def loaded(numbers: np.ndarray, **rules: object) -> np.ndarray:
    step = Preprocessing(size=numbers.shape, axes="YX" if numbers.ndim == 2 else "ZYX", channels=1, **rules)  # type: ignore[arg-type]
    found = prepare("a", scan_of(image(*numbers.shape), step.axes), step, numbers).label
    assert found is not None
    return found


def test_what_the_settings_say(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[Data]\nLabelMap = #000000:0, #FF0000:1, #ffffff:Ignore  # white is not known\n")
    config = load_config(tmp_path / "a.ini")
    assert config.data.label_map == ((BLACK, 0), (RED, 1), (WHITE, IGNORE))
    assert Config.from_dict(config.to_dict()) == config
    assert load_config(None, ["Data.LabelMap=0:0,7:1,255:ignore"]).data.label_map == ((0, 0), (7, 1), (255, IGNORE))
    for wrong in ("#ff00:1", "#ff0000:1, 0:0", "255:ignored", "0:-1", "#ff0000:1, #FF0000:0"):
        with pytest.raises(ConfigError, match=r"Data\.LabelMap: expected pairs such as 0:0, .* 255:ignore, or #ff0000:1"):
            load_config(None, [f"Data.LabelMap={wrong}"])
    with pytest.raises(ConfigError, match=r"Data\.Sparse: expected no for 2D images.* got slices"):
        load_config(None, ["Data.Sparse=slices", "Data.Dimensions=2D"])
    assert load_config(None, ["Data.Sparse=slices", "Data.Dimensions=3D"]).data.sparse == "slices"


def test_a_value_that_says_nothing() -> None:
    numbers = np.array([[0, 255, 1], [1, 0, 255]])
    np.testing.assert_array_equal(loaded(numbers, label_map=((0, 0), (1, 1), (255, IGNORE))), [[0, -1, 1], [1, 0, -1]])
    with pytest.raises(DataError, match=r"label: label values 255 are not in the map"):
        loaded(numbers, label_map=((0, 0), (1, 1)))
    with pytest.raises(DataError, match=r"label: every position is to be ignored"):
        loaded(np.full((3, 3), 255), label_map=((0, 0), (255, IGNORE)))


def test_slices_that_were_not_annotated() -> None:
    numbers = np.zeros((4, 3, 3), int)
    numbers[2, 1, 1] = 1
    found = loaded(numbers, sparse="slices")
    np.testing.assert_array_equal(found == IGNORE, np.broadcast_to(np.array([1, 1, 0, 1])[:, None, None], (4, 3, 3)) == 1)
    np.testing.assert_array_equal(found[2], numbers[2])
    with pytest.raises(DataError, match="no slice is annotated"):
        loaded(np.zeros((4, 3, 3), int), sparse="slices")
    assert (loaded(numbers) == numbers).all()  # unless the setting says so


@pytest.mark.parametrize("kind", ["rgb", "palette", "alpha", "tiff", "gray"])
def test_labels_in_colours(tmp_path: Path, kind: str) -> None:
    classes = np.random.default_rng(1).integers(0, 2, (20, 30))
    colours = np.array([[0, 0, 0], [255, 255, 255] if kind == "gray" else [255, 0, 0]], np.uint8)[classes]
    path = tmp_path / ("a.tif" if kind == "tiff" else "a.png")
    if kind == "tiff":
        tifffile.imwrite(path, colours, photometric="rgb")
    elif kind == "alpha":
        Image.fromarray(np.dstack([colours, np.full((20, 30), 255, np.uint8)])).save(path)
    elif kind == "palette":
        picture = Image.fromarray((classes * 7).astype(np.uint8), "P")
        picture.putpalette([*[0] * 21, 255, 0, 0])
        picture.save(path)
    else:
        Image.fromarray(colours[..., 0] if kind == "gray" else colours).save(path)
    Image.fromarray(image(20, 30)).save(tmp_path / "image.png")
    case = Case(name="a", image=tmp_path / "image.png", label=path, group="a")
    step = Preprocessing(size=(20, 30), channels=1, label_map=((BLACK, 0), (WHITE if kind == "gray" else RED, 1)))
    np.testing.assert_array_equal(load_case(case, step).label, classes)
    other = Preprocessing(size=(20, 30), channels=1, label_map=((BLACK, 0), (COLOUR + 0x00FF00, 1)))
    wrong = "#ffffff" if kind == "gray" else "#ff0000"
    with pytest.raises(DataError, match=rf"label values {wrong} are not in the map .*#000000, #00ff00"):
        load_case(case, other)
    if kind == "rgb":
        with pytest.raises(DataError, match=r"found a colour image \(say what the colours mean in \[Data\] LabelMap"):
            load_case(case, Preprocessing(size=(20, 30), channels=1))


def test_colours_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9, 3), np.uint16), photometric="rgb")
    Image.fromarray(image(9, 9)).save(tmp_path / "image.png")
    case = Case(name="a", image=tmp_path / "image.png", label=tmp_path / "a.tif", group="a")
    with pytest.raises(DataError, match=r"needs red, green and blue of 8 bits, found 3 planes of uint16"):
        load_case(case, Preprocessing(size=(9, 9), channels=1, label_map=((BLACK, 0), (RED, 1))))


def test_the_grid_and_what_is_made_up() -> None:
    label = np.zeros((40, 40), np.int32)
    label[:, 20:] = 1
    label[:10] = IGNORE
    step = Preprocessing(size=(20, 20), channels=1, label_map=((0, 0), (1, 1), (9, IGNORE)))
    grid = step.label_to_grid(label)
    assert (grid[:5] == IGNORE).all()
    np.testing.assert_array_equal(grid[5:], np.broadcast_to(np.arange(20) >= 10, (15, 20)))
    made = filled(grid, 2)
    np.testing.assert_array_equal(made[5:], grid[5:])
    np.testing.assert_array_equal(made[:5], np.broadcast_to(2 + (np.arange(20) >= 10), (5, 20)))  # the nearest, and 2 more
    np.testing.assert_array_equal(filled(grid[5:], 2), grid[5:])


def test_outlines_need_whole_labels() -> None:
    step = Preprocessing(size=(3, 3), channels=1, label_map=((0, 0), (1, 1), (9, IGNORE)))
    case = prepare("a", scan_of(image(3, 3), "YX"), step, np.array([[0, 1, 9]] * 3))
    with pytest.raises(DataError, match=r"a: expected a label that is known everywhere, .*\[Model\] Outline = False"):
        label_on_grid(case, step, (3, 3), outline=True)
    assert case.outlined is not None and case.outlined.min() == 0


def test_no_metric_counts_it() -> None:
    rng = np.random.default_rng(2)
    mask, label = rng.integers(0, 2, (2, 12, 12))
    unknown = rng.random((12, 12)) < 0.4
    sparse = np.where(unknown, IGNORE, label)
    np.testing.assert_array_equal(dice(mask, sparse, 2), dice(mask[~unknown], label[~unknown], 2))
    # Whatever the mask has there changes no figure.
    other = np.where(unknown, 1 - mask, mask)
    assert class_scores(mask, sparse, 2, tolerance=1) == class_scores(other, sparse, 2, tolerance=1)
    assert evaluate(mask, sparse).mean == evaluate(other, sparse).mean
    assert evaluate(mask, sparse).mean["dice"] == pytest.approx(dice(mask, sparse, 2)[1])
    share = rng.random((12, 12, 2)).astype(np.float32)
    whole, part = Calibration(), Calibration()
    whole.add(share, share[..., 0], mask, sparse)
    part.add(share[~unknown], share[..., 0][~unknown], mask[~unknown], label[~unknown])
    assert whole.report() == part.report()
    assert whole.pixels == np.count_nonzero(~unknown)
    collapse = Collapse(("background", "a"), (1, 1))
    collapse.add(mask, sparse, (12, 12))
    assert collapse.kind in ("no", "noise")
