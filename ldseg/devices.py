"""Which devices a run uses, and in which precision. What differs between the backends of Keras stands here.

``choose`` acts through environment variables that the backends read when they are imported, so it comes before any import
of Keras; ``connect``, ``data_parallel`` and ``set_precision`` come after.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import math
import os
import platform
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldseg.errors import ConfigError
from ldseg.group import Group
from ldseg.options import AUTO, PRECISIONS
from ldseg.untrusted import parsed

BACKENDS = ("tensorflow", "jax", "torch")


def gpus(what: str) -> dict[str, str]:
    """What nvidia-smi says of each NVIDIA GPU that this process may use, by its index; empty where there is none."""
    query = ["nvidia-smi", f"--query-gpu=index,{what},uuid", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines() if line.count(",") == 2]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # By index, or by the beginning of the name.
        allowed = [entry.strip() for entry in visible.split(",") if entry.strip()]
        rows = [row for row in rows if row[0] in allowed or any(row[2].startswith(entry) for entry in allowed)]
    return {index: value for index, value, _ in rows}


def free_memory() -> dict[str, int]:
    """Free memory of each GPU in MiB by its index."""
    return {index: int(free) for index, free in gpus("memory.free").items() if free.isdigit()}


def machine() -> dict[str, Any]:
    """The machine in plain words: its system, processor, cores that this process may use, and GPUs."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as listed:
        processor = next((line.partition(":")[2].strip() for line in listed if line.startswith("model name")), processor)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": platform.platform(), "processor": processor, "cores": cores, "gpus": list(gpus("name").values())}


def choose(multiple: bool, group: Group | None = None) -> str:
    """Prepare the environment for the GPU with the most free memory, or for all of them, with memory growth on.

    Processes of a group that are on one machine and see the same GPUs share them out.

    Args:
        multiple: whether to take all.
        group: the processes that train together, where there are several.

    Returns:
        one line that says what the run will use.

    Raises:
        ConfigError: the environment asks for a backend that Keras does not have, or that a group cannot train on.
    """
    group = group or Group()
    os.environ["KERAS_BACKEND"] = _backend() if group.count == 1 else _backend_of_groups()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # Indices as nvidia-smi counts them, not by speed.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    memory = _shared_out(free_memory(), group)
    if not memory:
        return "no GPU found: running on the CPU"
    if multiple:
        if group.count > 1:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(memory)
        return f"GPUs {', '.join(memory)}: all of them"
    best = max(memory, key=lambda index: memory[index])
    os.environ["CUDA_VISIBLE_DEVICES"] = best
    return f"GPU {best}: {memory[best]} MiB free"


def _shared_out(memory: dict[str, int], group: Group) -> dict[str, int]:
    """Of the GPUs those of this process; others of the group on this machine may see the same ones."""
    if group.count == 1:
        return memory
    said = group.gather("GPUs", [platform.node(), sorted(gpus("uuid").values())])
    alike = [index for index, one in enumerate(said) if one == said[group.index]]
    place, indices = alike.index(group.index), list(memory)
    mine = indices[place :: len(alike)] or indices[place % len(indices) :][:1] if indices else []
    return {index: memory[index] for index in mine}


def _backend_of_groups() -> str:
    """The backend of Keras on which several processes can train: JAX. MultiWorkerMirroredStrategy does not know Keras 3."""
    named = os.environ.get("KERAS_BACKEND", "jax")
    if named != "jax":
        raise ConfigError(f"GPU.Hosts: expected KERAS_BACKEND=jax, on which several processes can train, got {named}")
    if importlib.util.find_spec("jax") is None:
        raise ConfigError('GPU.Hosts: several processes train on JAX, which is not installed: pip install "ldseg[jax]"')
    return "jax"


def _backend() -> str:
    """The backend of Keras: that of KERAS_BACKEND or of ``keras.json``, else the first that is installed."""
    named = os.environ.get("KERAS_BACKEND")
    if named:
        if named not in BACKENDS:
            raise ConfigError(f"KERAS_BACKEND: expected one of {', '.join(BACKENDS)}, got {named!r}")
        return named
    settings = Path(os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))) / "keras.json"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        wanted = parsed(settings.read_bytes()).get("backend")
        if wanted in BACKENDS and importlib.util.find_spec(wanted):
            return str(wanted)
    return next((name for name in BACKENDS if importlib.util.find_spec(name)), BACKENDS[0])


def unused_gpus() -> str:
    """One line if there are NVIDIA GPUs that the backend of Keras, as it is installed, cannot use; else nothing."""
    import keras

    names = ", ".join(sorted(set(gpus("name").values())))
    if not names or peak_memory()[1] == "GPU":
        return ""
    backend = keras.backend.backend()
    return f"{names} is not used, as {backend} is installed without support for it: running on the CPU"


def set_precision(precision: str) -> None:
    """Set the arithmetic of every layer built from now on: float32, or mixed bfloat16 or float16 on float32 weights.

    What a ``keras.json`` of another project says of layouts and numbers does not count.
    """
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_dtype_policy(PRECISIONS[precision])


def training_precision(precision: str) -> str:
    """The arithmetic of a training: what was asked for, or, for ``auto``, the fastest that was seen to learn as well.

    That is bfloat16 on TensorFlow and a processor with instructions for it, float32 elsewhere.
    """
    import keras

    if precision != AUTO:
        return precision
    here = keras.backend.backend() == "tensorflow" and not gpus("name") and _processor_knows(("avx512_bf16", "amx_bf16"))
    return "bfloat16" if here else "float32"


def _processor_knows(instructions: tuple[str, ...]) -> bool:
    """Whether the processor has one of these, as Linux names them."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as listed:
        flags = next((line.partition(":")[2].split() for line in listed if line.startswith("flags")), [])
        return not set(flags).isdisjoint(instructions)
    return False


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled with XLA where TensorFlow traces it for a CPU; unchanged when it runs eagerly and elsewhere.

    Everything that JAX compiles is compiled with XLA, and what TensorFlow compiles for a GPU, by Keras. On a CPU, XLA's
    convolutions of large maps are slower than TensorFlow's, so Keras leaves it off. With small maps, starting an operation
    costs more than computing it, and XLA starts fewer.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    # A strategy runs the function on devices, too, that do not hold the weights: XLA cannot reach them there.
    if tf.executing_eagerly() or tf.distribute.has_strategy() or tf.config.list_logical_devices("GPU"):
        return function
    compiled: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
    return compiled


def distributed() -> bool:
    """Whether what is done now is done on several devices of TensorFlow at once, see ``data_parallel``."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.distribute.has_strategy())


def adam_in_one() -> Callable[..., Any] | None:
    """TensorFlow's own Adam update of one variable, a single operation in place of fifteen; None on other backends.

    It takes the variable, its momentum and velocity, the powers of both betas, the step size, the betas, epsilon and the
    gradient, and does what ``keras.optimizers.Adam.update_step`` does (Kingma and Ba 2015, the end of section 2).
    """
    import keras

    if keras.backend.backend() != "tensorflow" or distributed():
        return None
    import tensorflow as tf

    def update(variable: Any, momentum: Any, velocity: Any, *numbers: Any) -> None:
        handles = [
            getattr(one, "value", one) if isinstance(one, keras.Variable) else one for one in (variable, momentum, velocity)
        ]
        tf.raw_ops.ResourceApplyAdam(
            **dict(zip(("var", "m", "v"), (one.handle for one in handles), strict=True)),
            **dict(zip(("beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon", "grad"), numbers, strict=True)),
        )

    return update


def batch_norm_in_one(x: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any] | None:
    """TensorFlow's own BatchNorm of a batch in training, with its gradient; None where it has none that may be taken.

    One operation forwards and one backwards, in place of some ten passes over the map each.

    Args:
        x: ``(B, *S, c)``, float32 or bfloat16.
        gamma, beta: float32 ``(c,)``.
        epsilon: added to the variance.

    Returns:
        the map in the type of x; mean and (biased) variance of the batch, float32 ``(c,)``.
    """
    import keras

    if keras.backend.backend() != "tensorflow" or keras.backend.standardize_dtype(x.dtype) not in ("float32", "bfloat16"):
        return None
    import tensorflow as tf

    flat = tf.reshape(x, (-1, math.prod(x.shape[1:-1]), 1, x.shape[-1]))
    weights = (tf.convert_to_tensor(gamma, tf.float32), tf.convert_to_tensor(beta, tf.float32))
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(flat, *weights, epsilon=epsilon, is_training=True)
    count = tf.cast(tf.size(flat) / x.shape[-1], tf.float32)
    return tf.reshape(y, tf.shape(x)), mean, variance * (count - 1) / tf.maximum(count, 1)


def peak_memory() -> tuple[int, str]:
    """The most memory that this process has had since ``forget_peak``, in bytes, and which.

    That of its first GPU, or, where there is none or its backend does not count, the resident memory of the process.
    """
    if "keras" not in sys.modules:  # nothing that would use a GPU
        return _peak_resident(), "process"
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        if tf.config.list_logical_devices("GPU"):
            return int(tf.config.experimental.get_memory_info("GPU:0")["peak"]), "GPU"
    elif backend == "jax":
        import jax

        counted = jax.local_devices()[0].memory_stats()  # none on the CPU
        if counted:
            return int(counted["peak_bytes_in_use"]), "GPU"
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            return int(torch.cuda.max_memory_allocated()), "GPU"
    return _peak_resident(), "process"


def forget_peak() -> int:
    """Let ``peak_memory`` begin anew, where the backend (not JAX) and the system (not macOS) can.

    Returns:
        what is held now and is not to be counted, in bytes: the libraries, weights and programs of a process that are
        resident; nothing of a GPU.
    """
    on_gpu = peak_memory()[1] == "GPU"
    backend = ""
    if on_gpu:
        import keras

        backend = keras.backend.backend()
    if on_gpu and backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.reset_memory_stats("GPU:0")
    elif on_gpu and backend == "torch":
        import torch

        torch.cuda.reset_peak_memory_stats()
    elif not on_gpu:
        gc.collect()
        with contextlib.suppress(AttributeError, OSError):  # glibc keeps what was freed, and the peak would not show
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # sets VmHWM to what is resident now: proc(5)
            file.flush()
            return _peak_resident()
    return 0


def _peak_resident() -> int:
    # The kernel's account of this program alone: that of `resource` begins with what started it.
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def connect(group: Group) -> None:
    """Make the devices of all processes of a group those of one run; before anything else is done with Keras.

    Raises:
        ConfigError: JAX does not come together.
    """
    if group.count == 1:
        return
    # Those that ``choose`` left. Said here, so that JAX does not look for a launcher and take one by its own count.
    os.environ["JAX_LOCAL_DEVICE_IDS"] = ",".join(map(str, range(max(len(gpus("name")), 1))))
    import keras

    keras.utils.set_random_seed(0)  # else all would agree on one, which takes an exchange
    with socket.create_server(("", 0)) as server:  # a port that is free
        port = server.getsockname()[1]
    host = f"[{group.host}]" if ":" in group.host else group.host
    address = group.share("the address of JAX", f"{host}:{port}")
    try:
        keras.distribution.initialize(address, group.count, group.index)
    except RuntimeError as error:
        raise ConfigError(f"GPU.Hosts: JAX has not come together at {address}: {' '.join(str(error).split())}") from error


def from_first(arrays: dict[str, Any], group: Group) -> dict[str, Any]:
    """Arrays of the first process of a group; the others give some of the same names, shapes and types."""
    if group.count == 1:
        return arrays
    from jax.experimental import multihost_utils

    found: dict[str, Any] = multihost_utils.broadcast_one_to_all(arrays, is_source=group.first)
    return found


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """Devices on which a training runs, each on its share of every batch.

    Attributes:
        count: how many there are, with those of other processes.
        building: a scope for whatever makes weights: networks, the trainer, its optimiser.
        running: a scope for their training.
        apart: a scope within that one, for what a process computes by itself.
    """

    count: int = 1
    building: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    running: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    apart: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


def data_parallel(multiple: bool, group: Group | None = None) -> Parallel:
    """The devices of a training: one, or every one of this machine; and those of all processes of a group.

    The devices are the GPUs, or the logical CPU devices where there is no GPU. On PyTorch, whose models Keras does not
    distribute, there is one. On TensorFlow, BatchNorm sees the share of a device, and gradients are clipped before they are
    added up; apart from that the training is the same as on one device. On JAX it is the same.
    """
    import keras

    backend = keras.backend.backend()
    if multiple and backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(devices) > 1:
            strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
            # A model knows the strategy that it was built with; what else is computed between its updates does not.
            return Parallel(count=len(devices), building=strategy.scope)
    elif backend == "jax" and (multiple or (group is not None and group.count > 1)):
        import jax

        found = jax.devices()
        if not multiple:
            found = list({device.process_index: device for device in reversed(found)}.values())[::-1]
        if len(found) > 1:
            names = [f"{device.platform}:{device.id}" for device in found]
            # Every process makes its own share of a batch.
            distribution = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
            return Parallel(count=len(found), building=distribution.scope, running=distribution.scope, apart=_undistributed)
    return Parallel()


@contextlib.contextmanager
def _undistributed() -> Iterator[None]:
    import keras

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def own_devices(multiple: bool) -> list[str]:
    """Devices of this process to segment on, as Keras names them; one without a name, the usual one, where it is alone."""
    import keras

    backend = keras.backend.backend()
    names: list[str] = []
    if multiple and backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        names = [device.name.removeprefix("/device:") for device in found]
    elif multiple and backend == "jax":
        import jax

        names = [f"{device.platform}:{device.id}" for device in jax.local_devices()]
    elif multiple:
        import torch

        names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return names if len(names) > 1 else [""]


def on_device(name: str) -> contextlib.AbstractContextManager[Any]:
    """A scope, of this thread, in which Keras computes on a device of ``own_devices``."""
    import keras

    return keras.device(name) if name else contextlib.nullcontext()
