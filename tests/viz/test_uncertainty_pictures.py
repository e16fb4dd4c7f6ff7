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
    assert {"case", "predictive entropy", "variance between members", "0.5", f"{variance[plane].max():.2g}"} <= set(words)
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
