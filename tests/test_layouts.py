"""Data sets as they are downloaded, in tiny: what is found, and what comes out of it."""

from pathlib import Path

import numpy as np

from ldseg.data.cases import find_cases
from ldseg.data.files import write_mask
from ldseg.data.splits import split_by_group


def test_images_of_one_ddti_case_stay_together(tmp_path: Path) -> None:
    names = ["101_1(1)", "101_1(2)", "102_1", "102_2", "11_3"]
    for name in names:
        write_mask(tmp_path / "Image" / f"{name}.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
        write_mask(tmp_path / "Label" / f"{name}.png", np.zeros((8, 8), np.uint8))
    found = find_cases(tmp_path, training=True).cases
    assert {case.name: case.group for case in found} == {name: name.split("_")[0] for name in names}
    for seed in range(8):
        training, validation = split_by_group(found, 0.4, seed)
        assert {case.group for case in training}.isdisjoint(case.group for case in validation)


def test_names_that_are_not_those_of_ddti_say_nothing_of_patients(tmp_path: Path) -> None:
    for name in ("1_1", "1_2"):
        write_mask(tmp_path / "Image" / f"{name}.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert [case.group for case in find_cases(tmp_path).cases] == ["1_1", "1_2"]
