"""Numbers in labels that can be read in two ways are never read in one of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ldseg.cli.validate import run as validate
from ldseg.config import Config
from ldseg.data.reading import check_reading
from ldseg.errors import DataError


def check(numbers: list[int], classes: str = "", labels: str = "auto", label_map: tuple[tuple[int, int], ...] = ()) -> None:
    check_reading(numbers, tuple(classes.split()), labels, label_map, "data/Mine")


@pytest.mark.parametrize(
    ("numbers", "classes", "lines"),
    [
        ([0, 1, 2], "", ("3 classes: write [Data] Classes = background, NAME1, NAME2;", "[Data] Labels = instances")),
        ([1, 2], "", ("3 classes: write [Data] Classes = background, NAME1, NAME2;", "[Data] Labels = instances")),
        (list(range(38)), "", ("38 classes: write [Data] Classes = background, NAME1, NAME2, ..., NAME37;", "instances")),
        ([0, 128, 255], "", ("Classes = background, NAME1, NAME2 and LabelMap = 0:0, 128:1, 255:2", "instances")),
        ([0, 1, 255], "", ("Classes = background, NAME1, NAME2 and LabelMap = 0:0, 1:1, 255:2", "instances")),
        ([0, 7], "", ("one class: write [Data] Labels = binary", "Classes = background, NAME1 and LabelMap = 0:0, 7:1")),
        ([0, 1, 2], "disc cup", ("Classes = background, disc, cup;", "numbered objects of cup on disc", "instances")),
        ([1, 2], "disc cup", ("Classes = background, disc, cup;", "Labels = instances")),
        (
            [0, 1, 2, 3],
            "a b c",
            ("Classes = background, a, b, c;", "0 is a, and 3 one more class", "Classes = a, b, c, NAME"),
        ),
    ],
)
def test_two_readings_are_an_error_with_the_line_for_each(numbers: list[int], classes: str, lines: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        check(numbers, classes)
    message = str(caught.value)
    assert message.startswith("data/Mine: the labels hold the numbers ")
    assert "\n" not in message
    for line in lines:
        assert line in message


@pytest.mark.parametrize(
    ("numbers", "classes", "labels"),
    [
        ([], "", "auto"),
        ([0], "", "auto"),
        ([0, 1], "", "auto"),
        ([0, 255], "", "auto"),
        ([0, 1, 2], "", "instances"),
        ([0, 7], "", "binary"),
        ([0, 1, 2], "background disc cup", "auto"),
        ([0, 1, 2], "background gland", "auto"),  # all that is not background is gland
        ([0, 1], "artery vein", "auto"),
        ([0, 1, 2, 3], "stroma gland", "auto"),  # two names cannot be four classes
        ([0, 1, 2, 3], "background a b", "auto"),  # of a case that holds a 3, its own line tells
        ([0, 1, 2], "tissue a b", "auto"),
    ],
)
def test_one_reading_is_taken(numbers: list[int], classes: str, labels: str) -> None:
    check(numbers, classes, labels)


def test_a_map_says_what_numbers_are() -> None:
    check([0, 128, 255], "", "auto", ((0, 0), (128, 1), (255, 1)))


def test_validate_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, name in (("Image", "a"), ("Label", "a_label"), ("Image", "b"), ("Label", "b_label")):
        path = tmp_path / "Mine" / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.arange(64, dtype=np.uint8).reshape(8, 8)
        # Neither case alone has all numbers.
        cv2.imwrite(str(path), values if kind == "Image" else values // 32 + (name == "b_label"))
    config = Config().with_values({"Data.Root": str(tmp_path), "Data.Dataset": "Mine", "Data.Size": (32, 32)})
    assert validate(config) == 1
    told = capsys.readouterr().out
    assert f"problem: {tmp_path / 'Mine'}: the labels hold the numbers 0, 1, 2, which can be read in two ways: " in told
    assert validate(config.with_values({"Data.Labels": "instances"})) == 0
