"""What a mask holds, counted by hand."""

import numpy as np
import pytest

from ldseg.evaluation.amounts import amounts


def test_a_picture() -> None:
    mask = np.zeros((6, 8), np.int32)
    mask[0, 0], mask[2:4, 2:5], mask[5, 7] = 1, 2, 1
    found = amounts(mask, 4, "YX")
    assert (found.counts, found.sizes, found.unit) == ((2, 1, 0), (2.0, 6.0, 0.0), "pixels")
    assert amounts(mask, 4, "YX", (0.5, 0.2)).sizes == pytest.approx((0.2, 0.6, 0.0))
    assert amounts(mask, 4, "YX", (0.5, 0.2)).unit == "mm²"


def test_objects_that_touch_are_counted_where_they_are_known() -> None:
    mask = np.ones((4, 4), np.int32)
    objects = np.repeat([[1, 1, 2, 3]], 4, axis=0)
    assert amounts(mask, 2, "YX").counts == (1,)
    assert amounts(mask, 2, "YX", objects=objects).counts == (3,)


def test_a_volume_and_a_video() -> None:
    mask = np.zeros((2, 4, 4), np.int32)
    mask[:, 1:3, 1:3] = 1
    mask[0, 0, 0] = 1
    volume = amounts(mask, 2, "ZYX", (10.0, 5.0, 2.0))
    assert (volume.counts, volume.sizes, volume.unit) == ((2,), (pytest.approx(0.9),), "ml")
    assert amounts(mask, 2, "ZYX").unit == "voxels"
    video = amounts(mask, 2, "TYX", (10.0, 5.0, 2.0))
    assert (video.counts, video.sizes, video.unit) == ((2,), (pytest.approx(45.0),), "mm²")
