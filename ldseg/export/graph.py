"""A graph of ONNX as it is written, node by node. Channels come first in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ldseg.export import proto


class Graph:
    """A graph that grows.

    Args:
        path_of: from a variable of Keras to the path of its array in a file of weights.
    """

    def __init__(self, path_of: Callable[[Any], str]) -> None:
        self.path_of = path_of
        self.recipes: dict[str, dict[str, Any]] = {}
        self._known: dict[str, str] = {}
        self._content: list[bytes] = []
        self._values: list[bytes] = []
        self._count = 0

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: proto.Attribute) -> Any:
        """An operation on values; returns the name of what comes out, or a list of several."""
        names = [self._name(kind) for _ in range(outputs)]
        self._content.append(proto.node(kind, inputs, names, attributes))
        return names[0] if outputs == 1 else names

    def weight(self, recipe: str, *variables: Any, **arguments: Any) -> str:
        """An array that is made from weights, see ``recipes``."""
        entry = {"recipe": recipe, "from": [self.path_of(variable) for variable in variables], "with": arguments}
        key = json.dumps(entry, sort_keys=True)
        if key not in self._known:
            self._known[key] = self._name(recipe)
            self.recipes[self._known[key]] = entry
        return self._known[key]

    def constant(self, values: Any, dtype: str = "float32") -> str:
        """A small array that stands in the graph."""
        array = np.asarray(values, dtype)
        key = f"{dtype} {array.shape} {array.tolist()}"
        if key not in self._known:
            self._known[key] = self._name("constant")
            self._content.append(proto.tensor(self._known[key], array))
        return self._known[key]

    def enter(self, name: str, dtype: str, shape: Sequence[int]) -> str:
        """A value that goes in, of any batch."""
        self._values.append(proto.value(11, name, dtype, ("batch", *shape)))
        return name

    def leave(self, value: str, name: str, shape: Sequence[int]) -> None:
        """A value that comes out under a name, of any batch."""
        self._content.append(proto.node("Identity", [value], [name], {}))
        self._values.append(proto.value(12, name, "float32", ("batch", *shape)))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """The batch stays as it is."""
        return self.add("Reshape", x, self.constant((0, *shape), "int64"))

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """The axes in another order."""
        return self.add("Transpose", x, perm=tuple(order))

    def channels_first(self, x: str, rank: int) -> str:
        """``(B, *S, c)`` to ``(B, c, *S)``."""
        return self.transpose(x, (0, rank + 1, *range(1, rank + 1)))

    def channels_last(self, x: str, rank: int) -> str:
        """``(B, c, *S)`` to ``(B, *S, c)``."""
        return self.transpose(x, (0, *range(2, rank + 2), 1))

    def model(self) -> bytes:
        """The file, without what ``recipes`` make."""
        graph = proto.text(2, "ldseg") + b"".join(self._content) + b"".join(self._values)
        return proto.model(graph)
