"""The engine of OpenVINO."""

from __future__ import annotations

import functools
import importlib.util
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.paths import cache_folder
from ldseg.description import Description
from ldseg.inference.graphs import GraphEngine, complete, told


class OpenVinoEngine(GraphEngine):
    """Networks in OpenVINO, on the processor."""

    kind = "openvino"


class OpenVinoRuntime:
    """Three models of OpenVINO. What it compiles is kept in the cache.

    Args:
        graphs: files of ONNX by name.
        precision: of the arithmetic: ``float32``, or ``bfloat16`` or ``float16`` where the processor has them.
    """

    parallel = 1

    def __init__(self, graphs: Mapping[str, bytes], precision: str = "float32") -> None:
        import openvino

        kinds = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16, "float16": openvino.Type.f16}
        settings = {"CACHE_DIR": str(cache_folder() / "openvino"), "INFERENCE_PRECISION_HINT": kinds[precision]}
        core = _core()
        self._models = {
            name: core.compile_model(core.read_model(io.BytesIO(graph)), "CPU", settings) for name, graph in graphs.items()
        }
        self._inputs = {name: {port.get_any_name() for port in model.inputs} for name, model in self._models.items()}

    def run(self, graph: str, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See ``Runtime``."""
        wanted, model = self._inputs[graph], self._models[graph]
        given = {name: np.ascontiguousarray(array) for name, array in feeds.items() if name in wanted}
        with told(f"the graph of the {graph}"):
            # Copied: inputs that it shares it lets go of without Python's lock, which crashes where other threads run.
            found = model(given, share_inputs=False)
        return [np.asarray(found[port]) for port in model.outputs]


@functools.cache
def _core() -> Any:
    """One for the process, which lasts as long: a model that is compiled while another core is taken down can crash."""
    import openvino

    return openvino.Core()


def missing() -> str:
    """What is to be installed, if anything is."""
    return "" if importlib.util.find_spec("openvino") else "OpenVINO is not installed: pip install openvino"


def version() -> str:
    """The runtime and its version, in words."""
    import openvino

    return f"OpenVINO {openvino.__version__}"


def open_networks(folder: Path, description: Description, precision: str) -> Callable[..., GraphEngine]:
    """From the options of ``Engine`` to an engine on the weights in a folder, see ``ldseg.base.engines``."""
    graphs = complete(folder, description)
    with told(f"{folder}: its graphs"):
        runtime = OpenVinoRuntime(graphs, precision)

    def make(**options: Any) -> GraphEngine:
        return OpenVinoEngine(description.spec, runtime, **options)

    return make
