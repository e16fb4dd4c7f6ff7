"""Maps of uncertainty beside the image."""

from typing import Any

import numpy as np
import pytest

from ldseg import viz
from ldseg.errors import DataError
from ldseg.viz.canvas import Canvas


def _unsure(size: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.random((*size, 1)).astype(np.float32), "mask": rng.integers(0, 2, size),
        "entropy": rng.random(size).astype(np.float32), "variance": rng.random(size).astype(np.float32) / 4,
    }  # fmt: skip


@pytest.mark.parametrize(("size", "axes", "plane"), [((40, 56), "YX", ()), ((6, 40, 20), "ZYX", 1), ((6, 20, 40), "TYX", 3)])
def test_uncertainty_of_every_rank(size: tuple[int, ...], axes: str, plane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _unsure(size)
    entropy, variance = given.pop("entropy"), given.pop("variance")
    if axes == "ZYX":
        given["mask"][:] = 0
        given["mask"][1] = 1
    words: list[str] = []
    write = Canvas.write
    monkeypatch.setattr(Canvas, "write", lambda paper, x, y, text, *more, **how: words.append(text) or write(
        paper, x, y, text, *more, **how
    ))  # fmt: skip
    view = viz.CaseView(**given, true=given["mask"], spacing=(2.0,) * len(size), title="case")
    picture = viz.uncertainty_picture(view, entropy, variance, axes=axes)
    assert {"case", "predictive entropy", "deviation between members", "0.5", "0.25"} <= set(words)
    named = {"YX": "image and mask", "ZYX": "image and mask, plane 2 of 6", "TYX": "image and mask, frame 4 of 6"}
    assert named[axes] in words
    assert picture.std() > 10
    # The entropy that is drawn is that of the plane.
    values = np.zeros(size, np.float32)
    values[plane] = 1.0
    bright, dark = (viz.uncertainty_picture(view, each, variance, axes=axes).astype(int) for each in (values, 0 * values))
    changed = np.abs(bright - dark).max(-1) > 30
    assert changed.sum() > 10_000


@pytest.mark.parametrize("name", ["entropy", "variance"])
def test_uncertainty_of_another_size(name: str) -> None:
    given = _unsure((8, 9))
    maps = {each: given.pop(each) for each in ("entropy", "variance")}
    maps[name] = maps[name][:, :5]
    with pytest.raises(DataError, match=f"{name}: expected the image's size"):
        viz.uncertainty_picture(viz.CaseView(**given), **maps, axes="YX")


def test_a_certain_case_is_drawn_too() -> None:
    given = _unsure((8, 9))
    entropy, variance = given.pop("entropy"), given.pop("variance")
    assert viz.uncertainty_picture(viz.CaseView(**given), entropy, 0 * variance, axes="YX").size


def test_pictures_of_all_cases_have_one_scale() -> None:
    """Where members deviate as much, the colour is the same, however much they do elsewhere in the case."""
    given = _unsure((8, 9))
    entropy = 0 * given.pop("entropy")
    del given["variance"]
    calm = np.full((8, 9), 0.04, np.float32)
    stormy = calm.copy()
    stormy[:, 5:] = 0.25
    pictures = [viz.uncertainty_picture(viz.CaseView(**given), entropy, each, axes="YX") for each in (calm, stormy)]
    apart = (pictures[0] != pictures[1]).any(axis=-1)
    assert apart.any()
    # They differ in the right part of the third map alone, and not in its left part, nor in the bars.
    rows, columns = np.nonzero(apart)
    width = pictures[0].shape[1]
    assert columns.min() > 2 * width / 3 + width / 9
    assert rows.max() < 0.85 * pictures[0].shape[0]
