import re

import numpy as np
import pytest

from ldseg.data.labels import to_classes, to_instances
from ldseg.errors import DataError


@pytest.mark.parametrize(
    ("rule", "num_classes", "values", "classes"),
    [
        ("auto", 2, [0, 1], [0, 1]),
        ("auto", 2, [0, 0], [0, 0]),
        ("auto", 2, [1, 1], [1, 1]),
        ("auto", 2, [0, 255], [0, 1]),
        ("auto", 2, [255, 255], [1, 1]),
        ("auto", 2, [0, 1, 2], [0, 1, 1]),
        ("auto", 2, [3, 1, 2, 2], [1, 1, 1, 1]),
        ("auto", 2, list(range(256)), [0] + [1] * 255),
        ("auto", 2, list(range(70000)), [0] + [1] * 69999),
        ("auto", 3, [0, 2], [0, 2]),
        ("auto", 7, [6, 0, 3], [6, 0, 3]),
        ("classes", 2, [0, 1], [0, 1]),
        ("classes", 4, [3, 1], [3, 1]),
        ("binary", 2, [0, 7], [0, 1]),
        ("binary", 2, [0, 65535], [0, 1]),
        ("binary", 2, [0, 0], [0, 0]),
        ("instances", 2, [0, 7, 9000], [0, 1, 1]),
    ],
)
def test_rules(rule: str, num_classes: int, values: list[int], classes: list[int]) -> None:
    result = to_classes(np.array([values], np.int32), rule, num_classes, "a.png")
    assert result.dtype == np.int32
    assert result.tolist() == [classes]


@pytest.mark.parametrize(
    ("rule", "num_classes", "values", "listed"),
    [
        ("auto", 2, [0, 2], "0, 2"),
        ("auto", 2, [0, 1, 3], "0, 1, 3"),
        ("auto", 2, [0, 1, 255], "0, 1, 255"),
        ("auto", 2, [-1, 0, 1], "-1, 0, 1"),
        ("auto", 2, [-1, 1, 2], "-1, 1, 2"),
        ("auto", 3, [0, 255], "0, 255"),
        ("auto", 3, [0, 1, 2, 3], "0, 1, 2, 3"),
        ("classes", 2, [0, 255], "0, 255"),
        ("classes", 2, [0, 1, 2], "0, 1, 2"),
        ("binary", 2, [0, 1, 2], "0, 1, 2"),
        ("binary", 2, [-3, 0], "-3, 0"),
        ("instances", 2, [-1, 4], "-1, 4"),
    ],
)
def test_everything_else_is_an_error_that_lists_the_values(
    rule: str, num_classes: int, values: list[int], listed: str
) -> None:
    with pytest.raises(DataError) as caught:
        to_classes(np.array(values), rule, num_classes, "folder/a.png")
    message = str(caught.value)
    assert message.startswith("folder/a.png: ")
    assert f"label values {listed} do not fit the rule '{rule}'" in message


def test_a_long_list_is_cut_short() -> None:
    with pytest.raises(DataError, match=r"0, 2, 4, .*38, \.\.\., 1998 do not fit"):
        to_classes(np.arange(0, 2000, 2), "auto", 2, "a.png")


@pytest.mark.parametrize(
    ("rule", "num_classes", "expected"),
    [("Auto", 2, "unknown label rule"), ("auto", 1, "2 classes"), ("binary", 3, "two classes")],
)
def test_rules_that_do_not_exist(rule: str, num_classes: int, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        to_classes(np.array([0, 1]), rule, num_classes, "a.png")


def test_any_rank() -> None:
    label = np.arange(24).reshape(2, 3, 4)
    assert to_classes(label, "auto", 2, "a").shape == (2, 3, 4)


def test_a_map_goes_before_the_rule() -> None:
    label = np.array([[0, 600, 600], [205, -1, 0]], np.int32)
    found = to_classes(label, "auto", 3, "a.nii", {0: 0, 205: 1, 600: 2, -1: 0, 7: 1})
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [[0, 2, 2], [1, 0, 0]])
    message = r"a\.nii: label values 600 are not in the map of \[Data\] LabelMap, which has -1, 0, 205"
    with pytest.raises(DataError, match=message):
        to_classes(label, "auto", 3, "a.nii", {0: 0, 205: 1, -1: 0})


@pytest.mark.parametrize(
    ("rule", "num_classes", "values", "holds"),
    [
        ("auto", 2, [0, 1, 2], True),
        ("auto", 2, [3, 1, 2, 2], True),
        ("auto", 2, [0, 1], False),  # a class, or one object
        ("auto", 2, [0, 255], False),
        ("auto", 2, [0, 0], False),
        ("auto", 2, list(range(256)), True),
        ("auto", 3, [0, 1, 2], False),
        ("classes", 2, [0, 1], False),
        ("binary", 2, [0, 7], False),
        ("instances", 2, [0, 7, 9000], True),
        ("instances", 2, [0, 1], True),
        ("instances", 2, [0, 0], True),
    ],
)
def test_ids_of_objects(rule: str, num_classes: int, values: list[int], holds: bool) -> None:
    label = np.array([values], np.int32)
    to_classes(label, rule, num_classes, "a.png")
    found = to_instances(label, rule, num_classes)
    assert (found is not None) == holds
    if found is not None:
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, label)
    assert to_instances(label, rule, num_classes, {0: 0, 7: 1}) is None


@pytest.mark.parametrize(
    ("values", "count", "remedy"),
    [
        ([0, 7], 2, "set [Data] Labels to binary or instances, or [Data] LabelMap, to say what they are"),
        ([0, 3, 7], 2, "set [Data] Labels to instances, or [Data] LabelMap, to say what they are"),
        ([0, 1, 255], 2, "if nobody was sure of 255, say so: [Data] LabelMap = 0:0, 1:1, 255:ignore"),
        ([0, 128, 255], 3, "say what others mean in [Data] LabelMap, such as 255:2"),
    ],
)
def test_the_remedy_fits_the_numbers(values: list[int], count: int, remedy: str) -> None:
    """By the rule binary three numbers would be refused again, and by that of instances 255 be an object."""
    with pytest.raises(DataError, match=re.escape(f"({remedy})")):
        to_classes(np.array(values), "auto", count, "a.png")
