"""Names of classes beside their colours."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ldseg import viz
from ldseg.errors import DataError


def test_a_legend_adds_a_strip_with_every_class_but_the_background() -> None:
    picture = np.full((40, 300, 3), 90, np.uint8)
    out = viz.legend(picture, ["background", "bone", "cartilage"], true_colour=viz.TRUE_COLOUR)
    np.testing.assert_array_equal(out[:40], picture)
    below = out[40:].astype(float) / 255
    for colour, seen in ((viz.CLASS_COLOURS[1], True), (viz.CLASS_COLOURS[2], True), (viz.TRUE_COLOUR, True)):
        assert (np.abs(below - to_rgb(colour)).max(-1) < 0.01).sum() > 10 and seen
    assert not (np.abs(below - to_rgb(viz.CLASS_COLOURS[3])).max(-1) < 0.01).any()
    assert 10 < len(below) < 40


def test_many_names_take_rows_and_a_long_one_widens_the_picture() -> None:
    picture = np.zeros((40, 160, 3), np.uint8)
    few, many = (viz.legend(picture, ["", *["structure"] * k]) for k in (1, 9))
    assert len(many) - 40 > 3 * (len(few) - 40 - 8) and many.shape[1] == 160
    wide = viz.legend(picture, ["", "a structure whose name is longer than the picture"])
    assert wide.shape[1] > 160
    np.testing.assert_array_equal(wide[:40, 160:], 255)


def test_colours_may_be_names_and_start_again() -> None:
    picture = np.zeros((10, 400, 3), np.uint8)
    below = viz.legend(picture, ["", "a", "b", "c"], ("black", "red", "#0000FF"))[10:]
    assert (below == [255, 0, 0]).all(-1).sum() > 1.7 * (below == [0, 0, 255]).all(-1).sum() > 0


@pytest.mark.parametrize(
    ("picture", "names", "words"),
    [
        (np.zeros((9, 9, 3)), ["", "a"], "picture: expected uint8"),
        (np.zeros((9, 9), np.uint8), ["", "a"], "picture: expected uint8"),
        (np.zeros((9, 9, 3), np.uint8), ["a"], "names: expected"),
    ],
)
def test_bad_legends_are_named(picture: np.ndarray, names: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        viz.legend(picture, names)
