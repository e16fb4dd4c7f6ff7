"""The engine of ONNX Runtime."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.description import Description
from ldseg.inference.cores import THREADS, cores
from ldseg.inference.graphs import GraphEngine, complete, told
from ldseg.spec import SegmenterSpec

_LIGHT, _POSITIONS = ("lean", "small"), 512 * 512
"""Presets, and positions of a tile up to which one core takes no longer for it than two."""


class OnnxEngine(GraphEngine):
    """Networks in ONNX Runtime, on the processor."""

    kind = "onnx"


class OnnxRuntime:
    """Three sessions of ONNX Runtime.

    Args:
        graphs: files of ONNX by name.
        light: whether each call keeps to one core, which suits small networks, even where only one call is made at a time.
    """

    parallel = cores()

    def __init__(self, graphs: Mapping[str, bytes], light: bool = False) -> None:
        onnxruntime = _library()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong goes into the error
        # Memory that one map has held serves the next: to get each anew takes up to a third of the time.
        options.add_session_config_entry("session.use_env_allocators", "1" if _one_arena() else "0")
        # Threads that wait for work sleep: else they take the cores from those that read, draw and write.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if light or os.environ.get(THREADS):
            options.intra_op_num_threads = 1 if light else cores()
        kind = partial(onnxruntime.InferenceSession, sess_options=options, providers=["CPUExecutionProvider"])
        with ThreadPoolExecutor(len(graphs), "sessions") as pool:  # the weights of each are laid out anew, which takes time
            self._sessions = dict(zip(graphs, pool.map(kind, graphs.values()), strict=True))
        self._inputs = {name: {given.name for given in session.get_inputs()} for name, session in self._sessions.items()}

    def run(self, graph: str, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See ``Runtime``."""
        wanted = self._inputs[graph]
        given = {name: np.ascontiguousarray(array) for name, array in feeds.items() if name in wanted}
        with told(f"the graph of the {graph}"):
            found: list[np.ndarray] = self._sessions[graph].run(None, given)
        return found


def is_light(spec: SegmenterSpec) -> bool:
    """Whether a second core would not help, see ``benchmarks/README.md``.

    The networks alone decide it, not how many images there are, so that no rounding depends on that.
    """
    return spec.preset in _LIGHT and math.prod(spec.size) <= _POSITIONS


@cache
def _one_arena() -> bool:
    """Give all sessions of this process one pool of memory, in place of one for each; whether that was possible."""
    onnxruntime = _library()
    kinds, levels = onnxruntime.OrtAllocatorType, onnxruntime.OrtMemType
    place = onnxruntime.OrtMemoryInfo("Cpu", kinds.ORT_ARENA_ALLOCATOR, 0, levels.DEFAULT)
    try:
        onnxruntime.create_and_register_allocator(place, None)
    except RuntimeError:  # another library of this process was first
        return False
    return True


def _library() -> Any:
    """ONNX Runtime, told not to collect usage data for its maker, which newer versions do on Linux as well."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def missing() -> str:
    """What is to be installed, if anything is."""
    return "" if importlib.util.find_spec("onnxruntime") else "ONNX Runtime is not installed: pip install onnxruntime"


def version() -> str:
    """The runtime and its version, in words."""
    return f"ONNX Runtime {_library().__version__}"


def open_networks(folder: Path, description: Description, precision: str) -> Callable[..., GraphEngine]:
    """From the options of ``Engine`` to an engine on the weights in a folder, see ``ldseg.base.engines``."""
    graphs = complete(folder, description)
    with told(f"{folder}: its graphs"):
        runtime = OnnxRuntime(graphs, light=is_light(description.spec))

    def make(**options: Any) -> GraphEngine:
        return OnnxEngine(description.spec, runtime, **options)

    return make
