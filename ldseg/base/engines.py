"""The names of the engines that compute masks, and where each is. See ``ldseg.inference.engine`` for what one does."""

from __future__ import annotations

ENGINES: dict[str, str] = {
    "onnx": "ldseg.inference.onnx",
    "openvino": "ldseg.inference.openvino",
    "keras": "ldseg.inference.predictor",
}
"""The module of each engine by its name, as [GPU] Engine knows it; the light ones in the order of preference.

It has three functions: ``missing()`` says what it lacks here, or nothing; ``version()`` what it is;
``open_networks(folder, description, precision)`` gives a function from the options of ``Engine`` to an engine.
"""

KERAS = "keras"
"""The engine that can do everything, and takes longest to start."""
