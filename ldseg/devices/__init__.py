"""Which devices a run uses, and in which precision. What differs between the backends of Keras stands in this package.

``choose`` acts through environment variables that the backends read when they are imported, so it comes before any import
of Keras; ``set_precision`` comes after, as does all of ``together`` and ``operations``.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import os
import platform
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldseg.base.options import AUTO, PRECISIONS
from ldseg.base.untrusted import parsed
from ldseg.errors import ConfigError

if TYPE_CHECKING:
    from ldseg.group import Group

BACKENDS = ("tensorflow", "jax", "torch")
INSTRUCTIONS = {"bfloat16": {"avx512_bf16", "amx_bf16"}, "float16": {"avx512_fp16", "amx_fp16"}}
"""Those of a processor for a precision, as Linux names them."""


def gpus(what: str) -> dict[str, str]:
    """What nvidia-smi says of each NVIDIA GPU that this process may use, by its index; empty where there is none."""
    if shutil.which("nvidia-smi") is None:
        return {}
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
    several = group if group is not None and group.count > 1 else None
    os.environ["KERAS_BACKEND"] = _backend_of_groups() if several else _backend()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # On processors without AVX-512 TensorFlow leaves oneDNN off, though a training is twice as fast with it there, too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # Indices as nvidia-smi counts them, not by speed.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    memory = _shared_out(free_memory(), several) if several else free_memory()
    if not memory:
        return "no GPU found: running on the CPU"
    if multiple:
        if several:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(memory)
        return f"GPUs {', '.join(memory)}: all of them"
    best = max(memory, key=lambda index: memory[index])
    os.environ["CUDA_VISIBLE_DEVICES"] = best
    return f"GPU {best}: {memory[best]} MiB free"


def _shared_out(memory: dict[str, int], group: Group) -> dict[str, int]:
    """Of the GPUs those of this process; others of the group on this machine may see the same ones."""
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
    here = keras.backend.backend() == "tensorflow" and not gpus("name")
    here = here and not INSTRUCTIONS["bfloat16"].isdisjoint(_flags())
    return "bfloat16" if here else "float32"


def slow_precision(precision: str) -> str:
    """One line if this precision slows a training down where it runs, else nothing.

    Without instructions for them a processor makes such numbers one by one: an update takes tens of times as long.
    """
    known, wanted = _flags(), INSTRUCTIONS.get(precision)
    if wanted is None or not known or known & wanted or peak_memory()[1] == "GPU":
        return ""
    return f"[GPU] Precision = {precision}: this processor has no instructions for it; float32 is many times faster"


def _flags() -> set[str]:
    """What the processor has, as Linux names it; nothing where that is not told, as by those of ARM."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as listed:
        return next((set(line.partition(":")[2].split()) for line in listed if line.startswith("flags")), set())
    return set()


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
