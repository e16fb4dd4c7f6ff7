"""Exported folders, used as their README says: with NumPy and the runtime alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from helpers import as_numpy

from ldseg.data.preprocess import Preprocessing
from ldseg.description import Description
from ldseg.diffusion import Schedule
from ldseg.errors import ConfigError, WeightsError
from ldseg.export.folder import FORMATS, export
from ldseg.export.networks import save_structure
from ldseg.inference.parts import classes_of
from ldseg.inference.predictor import Predictor
from ldseg.segmenter import Segmenter
from ldseg.spec import SegmenterSpec
from ldseg.weights import save_weights

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino", "saved_model": "tensorflow"}
STEPS = 3
"""In place of the fifteen of the README, which says that any number will do."""

SPECS = {
    "lean": {"preset": "small", "size": (32, 64), "prediction": "x0"},
    "published": {"preset": "ldseg", "size": (64, 64), "prediction": "ldseg"},
    "MedSegDiff": {"preset": "tiny", "size": (16, 16), "prediction": "v", "dynamic_conditioning": False},
    "outlines": {"preset": "small", "size": (32, 32), "prediction": "x0", "outline": True},
    "control": {"preset": "small", "size": (32, 32), "prediction": "x0", "control": True},
}


def weights_of(name: str, folder: Path) -> Segmenter:
    values: dict[str, Any] = {"axes": "YX", "channels": 3, "classes": 2, "schedule": Schedule(), **SPECS[name]}
    spec = SegmenterSpec(**values)
    keras.utils.set_random_seed(0)  # first weights are drawn by Keras
    segmenter, rng = Segmenter(spec), np.random.default_rng(0)
    first = [as_numpy(weight).copy() for weight in segmenter.weights]
    if name != "control":  # else the networks are built once more, to be exported
        folder.mkdir()
        save_structure(folder, spec, segmenter)  # the weights are lost
    for weight, begun in zip(segmenter.weights, first, strict=True):
        value = begun + rng.normal(0, 0.1, weight.shape)
        weight.assign(np.abs(value) + 0.1 if "variance" in weight.path else value)
    step = Preprocessing(size=spec.size, classes=("background", "gland"))
    save_weights(folder, segmenter, Description(spec=spec, preprocessing=step))
    return segmenter


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "to"),
    [
        *((name, "onnx") for name in SPECS),
        pytest.param("published", "openvino", marks=pytest.mark.integration),
        pytest.param("MedSegDiff", "openvino", marks=[pytest.mark.integration, pytest.mark.smoke]),
        pytest.param("published", "saved_model", marks=pytest.mark.integration),
        pytest.param("MedSegDiff", "saved_model", marks=[pytest.mark.integration, pytest.mark.smoke]),
    ],
)
def test_the_lines_of_the_readme_reproduce_a_mask(name: str, to: str, tmp_path: Path) -> None:
    pytest.importorskip(RUNTIMES[to])
    segmenter = weights_of(name, tmp_path / "weights")
    out = tmp_path / "out"
    export(tmp_path / "weights", to, out)
    engine = Predictor(segmenter, steps=STEPS)
    engine.compile(run_eagerly=True)  # a few steps take less time than to compile one
    rng = np.random.default_rng(1)
    image = rng.random((2, *segmenter.spec.size, 3), dtype=np.float32)
    noise = np.stack([engine.draw_noise(0, case) for case in "ab"])
    parts = engine.run({"image": image, "noise": noise}).probabilities[:, 0]
    expected = classes_of(parts, segmenter.spec.outline).argmax(-1)
    np.save(out / "image.npy", image)
    np.save(out / "noise.npy", noise[:, 0, 0, 0])
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 12  # an import, and ten lines, one more to keep OpenVINO exact and ONNX Runtime quiet
    code, changed = re.subn(r"\b15 \+ 1\b", f"{STEPS} + 1", code)
    assert changed == (name != "control")  # the control has one step
    own = {"ldseg"} if to == "saved_model" else {"ldseg", "keras"}  # TensorFlow imports Keras by itself
    watch = f"\nimport sys; assert not {own} & set(sys.modules)\nnp.save('mask.npy', mask)\n"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" not in path)}
    done = subprocess.run([sys.executable, "-c", code + watch], cwd=out, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[W:onnxruntime" not in done.stderr, done.stderr
    found = np.load(out / "mask.npy")
    assert 0.01 < expected.mean() < 0.99  # there is something to compare
    assert (found == expected).mean() > 0.999
    described = json.loads((out / "segmenter.json").read_text("utf-8"))
    assert described["preprocessing"]["size"] == list(segmenter.spec.size)


def test_another_format(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"a format of {', '.join(FORMATS)}, got 'tflite'"):
        export(tmp_path, "tflite", tmp_path / "out")


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        export(tmp_path / "none", "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    """An export goes to a folder of its own, or to that of an earlier one; not into the folder of the weights."""
    weights_of("lean", tmp_path / "weights")
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("mine", "utf-8")
    with pytest.raises(WeightsError, match=r"README\.md: no export of LDSeg wrote it, and it would be overwritten"):
        export(tmp_path / "weights", "onnx", out)
    assert [path.name for path in out.iterdir()] == ["README.md"]
    with pytest.raises(WeightsError, match=r"segmenter\.json: no export of LDSeg wrote it"):
        export(tmp_path / "weights", "onnx", tmp_path / "weights")
    for _ in range(2):
        export(tmp_path / "weights", "onnx", tmp_path / "new")
    assert (tmp_path / "new" / "README.md").is_file()
