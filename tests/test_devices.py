import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ldseg import devices
from ldseg.devices import together
from ldseg.errors import ConfigError
from ldseg.group import Group

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {name: text for name, text in os.environ.items() if "CUDA" not in name})


def nvidia_smi(monkeypatch: pytest.MonkeyPatch, answer: str | Exception) -> None:
    def run(command: list[str], **_: Any) -> Any:
        assert command[0] == "nvidia-smi"
        if isinstance(answer, Exception):
            raise answer
        return subprocess.CompletedProcess(command, 0, stdout=answer)

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", run)


THREE = "0, 11019, GPU-aa\n1, 24000, GPU-bb\n2, 512, GPU-cc\n"


@pytest.mark.parametrize(
    ("answer", "visible", "expected"),
    [
        (THREE, None, {"0": 11019, "1": 24000, "2": 512}),
        (THREE, "2, 0", {"0": 11019, "2": 512}),
        (THREE, "GPU-b", {"1": 24000}),
        (THREE, "", {}),
        (THREE, "-1", {}),
        ("0, [N/A], GPU-aa\n1, 5, GPU-bb\n", None, {"1": 5}),
        ("No devices were found\n", None, {}),
        ("", None, {}),
        (FileNotFoundError(2, "nvidia-smi"), None, {}),
        (subprocess.CalledProcessError(9, "nvidia-smi"), None, {}),
        (subprocess.TimeoutExpired("nvidia-smi", 30), None, {}),
    ],
)
def test_free_memory(
    answer: str | Exception, visible: str | None, expected: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(monkeypatch, answer)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    assert devices.free_memory() == expected


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux lets the peak begin anew")
def test_peak_memory_begins_anew() -> None:
    if devices.peak_memory()[1] == "GPU":
        pytest.skip("that of a GPU is counted")
    mb = 2**20
    held = devices.forget_peak()
    assert 0 <= devices.peak_memory()[0] - held < 20 * mb
    array = np.ones(100 * mb, np.uint8)
    assert 95 * mb < devices.peak_memory()[0] - held < 125 * mb
    del array
    assert 95 * mb < devices.peak_memory()[0] - held
    held = devices.forget_peak()
    assert devices.peak_memory()[0] - held < 20 * mb


def test_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(monkeypatch, "0, NVIDIA H100, GPU-aa\n")
    machine = devices.machine()
    assert machine["gpus"] == ["NVIDIA H100"]
    assert machine["system"] and machine["processor"] and machine["cores"] >= 1


@pytest.mark.parametrize(
    ("answer", "multiple", "told", "visible"),
    [
        (THREE, False, "GPU 1", "1"),
        (THREE, True, "GPUs 0, 1, 2: all of them", None),
        ("", False, "CPU", None),
        ("", True, "CPU", None),
    ],
)
def test_the_choice_of_a_gpu(
    answer: str, multiple: bool, told: str, visible: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(monkeypatch, answer)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    line = devices.choose(multiple)
    assert told in line
    assert "\n" not in line
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"


def test_what_the_environment_says_of_onednn_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(monkeypatch, "")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    devices.choose(False)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


class Six(Group):
    """Six processes: the first three on this machine with its three GPUs, a fourth bound to one of them, two elsewhere."""

    def __init__(self, index: int) -> None:
        self.index, self.count = index, 6

    def gather(self, what: str, value: Any) -> list[Any]:
        here = [platform.node(), ["GPU-aa", "GPU-bb", "GPU-cc"]]
        found = [here] * 3 + [[platform.node(), ["GPU-aa"]], ["other", here[1]], ["other", here[1]]]
        assert value == found[self.index]
        return found


@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize(("index", "visible"), [(0, "0"), (1, "1"), (2, "2")])
def test_processes_share_the_gpus_of_a_machine(
    index: int, visible: str, multiple: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(monkeypatch, THREE)
    monkeypatch.setattr(devices, "gpus", lambda what: dict(zip("012", ("GPU-aa", "GPU-bb", "GPU-cc"), strict=True)))
    monkeypatch.setattr(devices, "free_memory", lambda: {"0": 11019, "1": 24000, "2": 512})
    os.environ["KERAS_BACKEND"] = "jax"
    devices.choose(multiple, Six(index))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_a_process_bound_to_a_gpu_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpus", lambda what: {"0": "GPU-aa"})
    monkeypatch.setattr(devices, "free_memory", lambda: {"0": 5})
    os.environ["KERAS_BACKEND"] = "jax"
    assert "GPU 0" in devices.choose(False, Six(3))


def test_several_processes_train_on_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(monkeypatch, "")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with pytest.raises(ConfigError, match=r"GPU\.Hosts: expected KERAS_BACKEND=jax, .* got tensorflow"):
        devices.choose(False, Six(3))
    del os.environ["KERAS_BACKEND"]
    monkeypatch.setattr(devices, "gpus", lambda what: {"0": "GPU-aa"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'GPU\.Hosts: .* not installed: pip install "ldseg\[jax\]"'):
        devices.choose(False, Six(3))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    devices.choose(False, Six(3))
    assert os.environ["KERAS_BACKEND"] == "jax"


@pytest.mark.skipif(bool(devices.gpus("name")), reason="there is a GPU")
def test_gpus_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.unused_gpus() == ""
    nvidia_smi(monkeypatch, "0, NVIDIA H100, GPU-aa\n")
    assert devices.unused_gpus().startswith(f"NVIDIA H100 is not used, as {keras.backend.backend()} is installed without")


@pytest.mark.skipif(bool(devices.gpus("name")) or sys.platform != "linux", reason="a processor that Linux describes")
def test_a_precision_that_the_processor_does_not_have_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_flags", lambda: {"avx2"})
    assert devices.slow_precision("float32") == ""
    for precision, flag in (("bfloat16", "avx512_bf16"), ("float16", "avx512_fp16")):
        monkeypatch.setattr(devices, "_flags", lambda: {"avx2"})
        assert devices.slow_precision(precision).startswith(f"[GPU] Precision = {precision}: this processor has no")
        for known in ({"avx2", flag}, set()):  # it has, and nothing tells
            monkeypatch.setattr(devices, "_flags", lambda known=known: known)
            assert devices.slow_precision(precision) == ""


@pytest.mark.parametrize(
    ("precision", "computed"), [("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "float16")]
)
def test_precision(precision: str, computed: str) -> None:
    try:
        devices.set_precision(precision)
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    assert (layer.compute_dtype, layer.kernel.dtype) == (computed, "float32")


@pytest.mark.parametrize(
    ("flags", "gpus", "expected"),
    [("fpu avx512_bf16", {}, "bfloat16"), ("fpu avx512f", {}, "float32"), ("amx_bf16", {"0": "A100"}, "float32")],
)
def test_precision_of_a_training(
    flags: str, gpus: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    opened = open
    monkeypatch.setattr(
        "builtins.open", lambda file, *a, **k: opened(tmp_path / "cpuinfo" if file == "/proc/cpuinfo" else file, *a, **k)
    )
    monkeypatch.setattr(devices, "gpus", lambda _: gpus)
    if keras.backend.backend() != "tensorflow":
        expected = "float32"
    assert devices.training_precision("auto") == expected
    assert devices.training_precision("float16") == "float16"


def test_one_device_is_trained_on_as_it_is() -> None:
    assert together.data_parallel(False) == together.Parallel(count=1)
    assert together.own_devices(False) == [""]


SCRIPT = """
import json, sys
sys.path[:0] = sys.argv[1:3]
import conftest, keras, tiny
from pathlib import Path
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [half, half])
import numpy as np
from ldseg.data.cases import find_cases
from ldseg.devices.together import data_parallel
from ldseg.errors import ConfigError
from ldseg.inference import segment_cases
from ldseg.inference.opening import open_weights
from ldseg.inference.predictor import Predictor
from ldseg.training.prepare import train_config

class Stopped(Exception):
    pass

def stop(result):
    if result.history[-1]["epoch"] == 2:
        raise Stopped

data, found = tiny.phantoms(Path(sys.argv[3])), {}
found["devices"] = data_parallel(True).count
runs = []
run = Predictor.run
Predictor.run = lambda self, inputs, **asked: runs.append(len(inputs["image"])) or run(self, inputs, **asked)
# BatchNorm would see the half of a batch on each device.
with tiny.tiny_networks(stateful=False, eager=False):
    for multiple in (False, True):
        config = tiny.settings(data, data / str(multiple), GPU_Multiple=multiple, Parameters_BatchSize=4)
        try:
            train_config(config, watch=stop if multiple else None)
        except Stopped:
            pass
        found[str(multiple)] = train_config(config).history
        found[f"validated{multiple}"], runs[:] = list(runs), []
    for multiple in (False, True):
        opened = open_weights(data / "True", "keras", multiple=multiple)
        engine = opened.engine(samples=2)
        step = opened.description.preprocessing
        cases = find_cases(data / "Set").cases[:5]
        masks = [item.probabilities for item in segment_cases(engine, cases, step, batch_size=4, seed=0)]
        found[f"runs{multiple}"], runs[:] = list(runs), []
        found[f"masks{multiple}"] = np.stack(masks).tolist()
    try:
        train_config(tiny.settings(data, data / "odd", GPU_Multiple=True, Parameters_BatchSize=3))
    except ConfigError as error:
        found["odd"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.integration)])
def test_two_devices_train_as_one_does(backend: str, tmp_path: Path) -> None:
    """The same losses and figures with the same batch, an interruption in between included; and segment as one does.

    Each device segments its share of the cases.
    """
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", SCRIPT, str(TESTS), str(TESTS.parent), str(tmp_path)]
    run = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=240)
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["devices"] == 2
    assert "Parameters.BatchSize" in found["odd"]
    one, two = found["False"], found["True"]
    assert [row["updates"] for row in two] == [1, 2, 3, 4]
    for name in ("loss", "segmentation", "diffusion", "autoencoder"):
        np.testing.assert_allclose([row[name] for row in two], [row[name] for row in one], rtol=1e-5)
    for name in ("val_dice", "val_iou"):
        assert two[1][name] == pytest.approx(one[1][name], abs=1e-3)
        assert two[3][name] == pytest.approx(one[3][name], abs=1e-3)
    # A call of each training compiles what validates, and each of two validations takes four cases. A device takes
    # its share; the training that was stopped compiles twice, and validates once more.
    assert sum(found["validatedFalse"]) == 4 + 2 * 4
    assert found["validatedTrue"] == [2] * 2 * (2 + 3)
    assert found["runsFalse"] == [2, 2, 2]  # two members each; the last one padded
    assert found["runsTrue"] == [2, 2, 2, 2]
    np.testing.assert_array_equal(found["masksTrue"], found["masksFalse"])
