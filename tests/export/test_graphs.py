"""Graphs of networks in ONNX Runtime, beside the networks in Keras."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tiny
from helpers import as_numpy

from ldseg.diffusion import Schedule
from ldseg.errors import WeightsError
from ldseg.export import proto
from ldseg.export.networks import structure_of
from ldseg.export.structure import Structure
from ldseg.inference.onnx import OnnxEngine, OnnxRuntime
from ldseg.inference.predictor import Predictor
from ldseg.models import Networks, Preset
from ldseg.segmenter import Segmenter
from ldseg.spec import SegmenterSpec
from ldseg.weights import WEIGHTS_FILE

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

pytest.importorskip("onnxruntime")


def spec_of(preset: str, axes: str, size: tuple[int, ...], **changes: Any) -> SegmenterSpec:
    values: dict[str, Any] = {"channels": 3, "classes": 2, "prediction": "x0", "schedule": Schedule(), **changes}
    return SegmenterSpec(preset=preset, axes=axes, size=size, **values)


def trained(spec: SegmenterSpec, path: Path) -> tuple[Segmenter, OnnxRuntime]:
    """Networks whose every weight has a value of its own, and the same in ONNX Runtime."""
    keras.utils.set_random_seed(0)  # first weights are drawn by Keras
    segmenter, rng = Segmenter(spec), np.random.default_rng(0)
    first = [as_numpy(weight).copy() for weight in segmenter.weights]
    structure = structure_of(spec, segmenter)  # the weights are lost
    for weight, begun in zip(segmenter.weights, first, strict=True):
        value = begun + rng.normal(0, 0.1, weight.shape)
        weight.assign(np.abs(value) + 0.1 if "variance" in weight.path else value)
    segmenter.save_weights(path / WEIGHTS_FILE)
    structure.write(path / "graphs.zip")
    assert Structure.read(path / "graphs.zip") == structure
    return segmenter, OnnxRuntime(structure.completed(path / WEIGHTS_FILE))


def compare(segmenter: Segmenter, runtime: OnnxRuntime, **options: Any) -> None:
    spec = segmenter.spec
    ours = Predictor(segmenter, **{"steps": 2, **options})
    light = OnnxEngine(spec, runtime, **{"steps": 2, **options})
    ours.compile(run_eagerly=True)
    rng = np.random.default_rng(1)
    inputs = {
        "image": rng.random((2, *spec.size, spec.channels), dtype=np.float32),
        "noise": np.stack([ours.draw_noise(0, name) for name in "ab"]),
    }
    np.testing.assert_array_equal(light.draw_noise(0, "b"), inputs["noise"][1])
    expected, found = ours.run(inputs, states=True), light.run(inputs, states=True)
    assert found.states is not None
    assert expected.states is not None
    assert np.abs(found.probabilities - expected.probabilities).mean() < 1e-4  # random decoders amplify what is rounded
    agreed = np.argmax(found.probabilities, -1) == np.argmax(expected.probabilities, -1)
    assert agreed.mean() > 0.999  # of so few positions one may be undecided
    np.testing.assert_allclose(found.states, expected.states, atol=2e-3)
    assert np.ptp(expected.probabilities) > 0.1  # there is something to compare
    np.testing.assert_array_equal(light.run(inputs).probabilities, found.probabilities)
    alone = {name: array[1:] for name, array in inputs.items()}
    np.testing.assert_array_equal(light.run(alone).probabilities, found.probabilities[1:])


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec_of("lean", "YX", (64, 32)), id="lean 2D"),
        pytest.param(spec_of("small", "YX", (32, 32), outline=True), id="outlines"),
        pytest.param(spec_of("small", "TYX", (3, 32, 64), channels=1), id="small 2D+t"),
        pytest.param(spec_of("small", "ZYX", (16, 32, 16), channels=2, classes=4), id="small 3D"),
        pytest.param(spec_of("ldseg", "YX", (64, 128), prediction="ldseg"), id="ldseg 2D"),
        pytest.param(spec_of("ldseg", "TYX", (2, 64, 64), prediction="eps", channels=1), id="ldseg 2D+t"),
        pytest.param(spec_of("lean", "YX", (32, 64), control=True), id="control"),
        pytest.param(spec_of("tiny", "YX", (16, 24), prediction="eps"), id="MedSegDiff"),
        pytest.param(spec_of("tiny", "ZYX", (8, 8, 16), prediction="v", classes=3, channels=1), id="MedSegDiff 3D"),
        pytest.param(spec_of("tiny", "YX", (16, 16), dynamic_conditioning=False), id="MedSegDiff, static"),
        pytest.param(spec_of("tiny", "TYX", (3, 8, 8), ff_parser=False), id="MedSegDiff 2D+t, no FF-Parser"),
    ],
)
def test_graphs_are_the_networks(spec: SegmenterSpec, tmp_path: Path) -> None:
    compare(*trained(spec, tmp_path))


@pytest.fixture(scope="module")
def small_ones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Segmenter, OnnxRuntime]]:
    with tiny.tiny_networks():
        yield trained(tiny.spec(), tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("sampler", ["DDIM", "DDPM", "DPM-Solver++"])
@pytest.mark.parametrize("options", [{}, {"flips": True}, {"samples": 5, "at_once": 2}, {"samples": 3, "flips": True}])
def test_every_way_of_drawing(sampler: str, options: dict[str, Any], small_ones: tuple[Segmenter, OnnxRuntime]) -> None:
    compare(*small_ones, sampler=sampler, steps=4, **options)


def test_what_is_the_same_at_every_step_is_worked_out_once() -> None:
    structure = structure_of(spec_of("small", "YX", (32, 32)))
    kernels = [entry["with"] for entry in structure.recipes["denoiser"].values() if entry["recipe"] == "conv"]
    once = [entry["with"] for entry in structure.recipes["encoder"].values() if "start" in entry["with"]]
    assert [given["stop"] for given in kernels if "stop" in given] == [4]  # the channels of the state
    assert [given["start"] for given in once] == [4]
    assert b"condition1" in structure.graphs["encoder"]  # the map itself, which tells how familiar an image is
    assert b"condition1" not in structure.graphs["denoiser"]


@pytest.mark.parametrize("prediction", ["eps", "v", "ldseg"])
def test_every_prediction(prediction: str, small_ones: tuple[Segmenter, OnnxRuntime]) -> None:
    segmenter, runtime = small_ones
    spec = segmenter.spec
    # What a prediction means is a matter of the spec alone: the networks are the same.
    segmenter.spec = replace(spec, prediction=prediction, schedule=Schedule(name="linear"))
    try:
        compare(segmenter, runtime, steps=3)
    finally:
        segmenter.spec = spec


def test_what_has_no_place_in_a_graph() -> None:
    def build(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
        built = tiny.networks(size, channels, classes, axes, stateful=False)
        given = built.image_encoder.output
        odd = keras.Model(built.image_encoder.input, keras.layers.Softmax(name="odd")(given), name="image_encoder")
        return replace(built, image_encoder=odd)

    stride = {"YX": tiny.STRIDE}
    own = Preset(
        name="mine", stride=stride, multiple=stride, any_size=True, prediction="x0", build=build, latent=lambda classes: 2
    )
    with pytest.raises(WeightsError, match="cannot be exported: layer 'odd' .Softmax.: a layer of this kind is not known"):
        structure_of(tiny.spec(preset=own))


def test_weights_of_other_networks(small_ones: Any, tmp_path: Path) -> None:
    segmenter, _ = small_ones
    segmenter.save_weights(tmp_path / WEIGHTS_FILE)
    structure = structure_of(spec_of("small", "YX", (32, 32)))
    with pytest.raises(WeightsError, match=f"{WEIGHTS_FILE}: does not complete the graphs"):
        structure.completed(tmp_path / WEIGHTS_FILE)


def test_a_file_can_be_too_large() -> None:
    vast = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (proto.LARGEST // 4 // 1024 + 1, 1024), (0, 0))
    small = proto.tensor("a", np.zeros((3, 2), np.float32))
    assert len(small) < 60
    with pytest.raises(ValueError, match="at most 2 GiB.*2.0"):
        proto.completed(b"", {"vast": vast})


@pytest.mark.parametrize(("content", "said"), [(b"", "damaged"), (b"PK no zip", "damaged")])
def test_graphs_that_cannot_be_read(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "graphs.zip"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{path}.*{said}"):
        Structure.read(path)
