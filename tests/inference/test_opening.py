"""Which engine opens a folder of weights, and that all of them give the same masks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from ldseg.data.cases import find_cases
from ldseg.description import WEIGHTS_FILE, Description, read_description
from ldseg.errors import WeightsError
from ldseg.export.networks import save_structure
from ldseg.export.structure import STRUCTURE_FILE, Structure
from ldseg.inference import graphs, opening, segment_cases
from ldseg.inference.opening import open_weights
from ldseg.models import PRESETS
from ldseg.segmenter import Segmenter
from ldseg.weights import save_weights

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.parent for path in (ROOT / "weights").glob("*/segmenter.weights.h5"))


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a few numbers, and a cache of its own."""
    monkeypatch.setenv("LDSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(opening, "gpus", lambda what: {})
    spec = tiny.spec()
    save_weights(tmp_path / "w", tiny.varied(Segmenter(spec)), Description(spec=spec, preprocessing=tiny.preprocessing()))
    return tmp_path / "w"


def test_the_light_engine_is_taken_on_a_processor(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert open_weights(folder).kind == "onnx"
    assert "engine onnx (ONNX Runtime" in caplog.text
    assert open_weights(folder, "keras").kind == "keras"


@pytest.mark.parametrize(
    ("augmentation", "axes"),
    [("anatomy", [(), (2,)]), ("histology", [(), (1,), (2,), (1, 2)]), ("", [(), (1,), (2,), (1, 2)]), ("none", [()])],
)
def test_copies_are_mirrored_as_the_samples_were(
    augmentation: str, axes: list[tuple[int, ...]], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learned = {"Training": {"Augmentation": augmentation}} if augmentation else {}
    opened = open_weights(folder, "onnx", description=replace(read_description(folder), training=learned))
    assert opened.engine(steps=1).mirrors == ((),)
    assert not caplog.text
    assert list(opened.engine(steps=1, flips=True).mirrors) == axes
    assert ("Sampler.Flips: no copies, as the training mirrored nothing" in caplog.text) == (len(axes) == 1)


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({"gpus": lambda what: {"0": "some GPU"}}, {}, "there is a GPU"),
        ({}, {"precision": "bfloat16"}, "GPU.Precision = bfloat16"),
        ({"_installed": lambda kind: kind == "keras"}, {}, "no light engine is installed"),
    ],
)
def test_when_keras_is_taken(
    changes: dict[str, Any], options: dict[str, Any], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    for name, value in changes.items():
        monkeypatch.setattr(opening, name, value)
    monkeypatch.setattr("ldseg.devices.set_precision", lambda precision: None)
    assert open_weights(folder, **options).kind == "keras"
    assert said in caplog.text


def test_an_own_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    own = replace(PRESETS["lean"], name="mine")
    spec = tiny.spec(preset=own)
    save_weights(tmp_path, Segmenter(spec), Description(spec=spec, preprocessing=tiny.preprocessing()))
    assert read_description(tmp_path).spec.preset == "mine"
    with pytest.raises(WeightsError, match="networks known here: .*'mine'; an own one is to be given as an object"):
        open_weights(tmp_path)
    with pytest.raises(WeightsError, match="expected the preset 'mine', got 'small'"):
        open_weights(tmp_path, preset=PRESETS["small"])
    monkeypatch.setattr(opening, "gpus", lambda what: {})
    assert open_weights(tmp_path, preset=own).kind == "keras"
    assert open_weights(tmp_path, "onnx", preset=own).kind == "onnx"


def test_graphs_are_made_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not (folder / STRUCTURE_FILE).exists()
    open_weights(folder, "onnx")
    (kept,) = (tmp_path / "cache").glob("*.graphs.zip")
    made = []
    monkeypatch.setattr("ldseg.export.networks.structure_of", lambda spec: made.append(spec))
    open_weights(folder, "onnx")
    kept.write_bytes(b"damaged")
    with pytest.raises(AttributeError):
        open_weights(folder, "onnx")
    assert len(made) == 1


def test_graphs_beside_the_weights_go_first(folder: Path, tmp_path: Path) -> None:
    spec = read_description(folder).spec
    save_structure(folder, spec)
    assert Structure.read(folder / STRUCTURE_FILE).networks == Structure.key(spec)
    open_weights(folder, "onnx")
    assert not [*(tmp_path / "cache").glob("*.graphs.zip")]


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
@pytest.mark.parametrize("sampler", ["DDIM", "DDPM"])
def test_engines_agree(kind: str, sampler: str, folder: Path, tmp_path: Path) -> None:
    """Whatever the batch and the order, to the bit for one engine and but for rounding among them."""
    pytest.importorskip({"onnx": "onnxruntime"}.get(kind, kind))
    cases = find_cases(tiny.phantoms(tmp_path / "data", 5) / "Set").cases
    step = tiny.preprocessing(fit="tile")

    def masks(kind: str, chosen: Any, batch_size: int) -> dict[str, np.ndarray]:
        engine = open_weights(folder, kind).engine(sampler=sampler, steps=3)
        found = segment_cases(engine, chosen, step, batch_size=batch_size, seed=1, states=True)
        return {item.case.name: item.mask for item in found}

    alone, expected = masks(kind, cases, 1), masks("keras", cases, 4)
    for chosen, size in ((cases, 4), (cases[::-1], 3), (cases[2:], 2)):
        for name, mask in masks(kind, chosen, size).items():
            np.testing.assert_array_equal(mask, alone[name])
    assert {mask.any() for mask in alone.values()} == {True}
    for name, mask in alone.items():
        assert (mask != expected[name]).mean() < 1e-3  # of so few pixels, one may be undecided


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_shipped_weights_have_their_graphs(folder: Path) -> None:
    description = read_description(folder)
    structure = Structure.read(folder / STRUCTURE_FILE)
    assert structure.networks == Structure.key(description.spec)
    assert (folder / STRUCTURE_FILE).stat().st_size < 50_000


ALONE = """
import sys
for name in ("keras", "tensorflow", "jax", "torch"):
    sys.modules[name] = None  # as if it were not installed
import ldseg, numpy as np
np.save(sys.argv[2], ldseg.load("GlaS").segment(sys.argv[1]).mask)
"""


def test_shipped_weights_segment_without_a_deep_learning_library(tmp_path: Path) -> None:
    image = ROOT / "data" / "GlaS" / "Image" / "Phantom1.png"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ALONE, str(image), str(tmp_path / "mask.npy")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert 0.1 < np.load(tmp_path / "mask.npy").mean() < 0.9


def test_completed_graphs_are_kept_by_what_they_are_made_from(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "_LARGE", 0)
    monkeypatch.setattr(graphs, "_MOST_KEPT", 2)
    description, place = read_description(folder), tmp_path / "cache" / "completed"
    made = graphs.complete(folder, description)
    (kept,) = place.iterdir()
    completed = Structure.completed
    monkeypatch.setattr(Structure, "completed", lambda *given: pytest.fail("made again"))
    assert graphs.complete(folder, description) == made
    monkeypatch.setattr(Structure, "completed", completed)
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2] + b"\1" + content[len(content) // 2 + 1 :])
    assert graphs.complete(folder, description) == made
    weights = folder / WEIGHTS_FILE
    for byte in b"ab":  # other weights, other graphs; no more than two are kept
        weights.write_bytes(weights.read_bytes() + bytes([byte]))
        assert graphs.complete(folder, description) == made
    assert len(list(place.iterdir())) == 2
    assert not kept.exists()
