"""The shipped weights on the samples, in ONNX Runtime and in Keras."""

from pathlib import Path

import numpy as np
import pytest

from ldseg.cli.task import begin
from ldseg.config import Config
from ldseg.inference import segment_cases

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GlaS", "Volume", "Cine"])
def test_shipped_weights_give_the_same_masks_with_either_engine(name: str) -> None:
    dimensions = {"GlaS": "2D", "Volume": "3D", "Cine": "2D+t"}[name]
    values = {"Data.Root": str(ROOT / "data"), "Data.Dataset": name, "Data.Dimensions": dimensions}
    config = Config().with_values({**values, "Model.Weights": str(ROOT / "weights" / name), "Sampler.Sampling_Steps": 5})
    found: dict[str, dict[str, np.ndarray]] = {}
    seen: dict[str, np.ndarray] = {}
    for kind in ("onnx", "keras"):
        task = begin(config, engine=kind)
        common = {"batch_size": 2, "seed": 0}
        drawn = list(segment_cases(task.predictor(), task.cases[:2], task.preprocessing, **common, recognise=True))
        found[kind] = {item.case.name: item.mask for item in drawn}
        seen[kind] = np.array([item.signature["features"] for item in drawn if item.signature])
    np.testing.assert_allclose(seen["onnx"], seen["keras"], rtol=1e-3, atol=1e-4)
    assert seen["onnx"].std(axis=0).max() > 1e-3  # of two images, they are not the same
    for case, mask in found["onnx"].items():
        other = found["keras"][case]
        assert (mask != other).mean() <= 1e-5
        ours, theirs = mask == 1, other == 1
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 1 - 1e-4
