"""Volumes and videos, whose images and probabilities are not held whole. Needs no networks."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ldseg.data.cases import Case, prepare
from ldseg.data.preprocess import Preprocessing
from ldseg.evaluation.quality import signs_of
from ldseg.inference import cases, predictive_entropy, segment_each, tiled
from ldseg.inference.engine import Drawn
from ldseg.io.scans import scan_of


class Painter:
    """Gives probabilities that follow from the image."""

    strides, whole_batches, parallel = (1, 1, 1), False, 2
    spec = SimpleNamespace(size=(4, 8, 8), outline=False)

    def together(self, batch_size: int) -> int:
        return batch_size

    def draw_noise(self, seed: int, content: str, grid: tuple[int, ...]) -> np.ndarray:
        return np.zeros((1, 1, 1, *grid, 1), np.float32)

    def run(self, inputs: Mapping[str, np.ndarray], **asked: bool) -> Drawn:
        image = inputs["image"][..., 0]
        return Drawn(probabilities=np.stack([1 - image, 0.7 * image, 0.3 * image], axis=-1)[:, np.newaxis])


@pytest.mark.parametrize(("axes", "fit"), [("ZYX", "resize"), ("ZYX", "tile"), ("TYX", "resize")])
def test_in_slabs_comes_out_what_the_whole_would_say(axes: str, fit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Preprocessing(size=(4, 8, 8), axes=axes, channels=1, classes=("a", "b", "c"), intensity="percentile", fit=fit)
    values = np.random.default_rng(1).integers(0, 900, (21, 20, 18)).astype(np.int16)
    loaded = prepare("a", scan_of(values, axes), step)
    np.testing.assert_array_equal(loaded.part(slice(2, 4)), loaded.image[2:4])
    monkeypatch.setattr(cases, "SLAB_VALUES", 3000)
    monkeypatch.setattr(tiled, "SLAB", 5)
    case, engine = Case(name="a", image=Path("a"), label=None, group="a"), Painter()
    wanted: Any = engine
    (found,) = segment_each(wanted, [(case, lambda: loaded)], step, batch_size=2, seed=0)
    assert found.problem == ""
    assert found.probabilities is not None
    assert found.probabilities.shape == (21, 20, 18, 3)
    np.testing.assert_array_equal(found.mask, found.probabilities.argmax(-1))
    np.testing.assert_array_equal(found.entropy, predictive_entropy(found.probabilities))
    assert found.mean_entropy == pytest.approx(found.entropy.mean(), rel=1e-5)
    whole = signs_of(found.probabilities, found.mask, found.entropy)
    assert (found.signs.expected, found.signs.doubt) == pytest.approx((whole.expected, whole.doubt), rel=1e-9)
