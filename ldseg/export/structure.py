"""Graphs without weights: a small file, which the weights of a folder complete. Needs no Keras."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.untrusted import check_archive, parsed
from ldseg.base.writing import write_bytes
from ldseg.errors import WeightsError
from ldseg.export import proto
from ldseg.export.recipes import cooked
from ldseg.spec import SegmenterSpec

STRUCTURE_FILE = "segmenter.graphs.zip"
FORMAT_VERSION = 1
_META = "structure.json"
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The same file for the same networks, whenever it is written."""


@dataclass(frozen=True, kw_only=True)
class Structure:
    """The graphs of a segmenter's networks.

    ``encoder``: ``image (B, *S, ci)`` to ``condition0, …``, maps with channels first; the last are the maps of the image
    encoder, and before them is what the denoiser's first convolution makes of them, where that is the same at every step.
    ``denoiser``: ``state (B, *L, c)``, those maps that it takes and ``time`` int32 ``(B,)`` to ``prediction (B, *L, c)``.
    ``decoder``: ``latent (B, *L, c)`` to ``probabilities (B, *S, P)``, see ``SegmenterSpec.parts``.

    Attributes:
        networks: tells of which networks they are, see ``key``.
        graphs: a file of ONNX each, without what the recipes make.
        recipes: for each graph, by the name of an array, how it is made: ``recipe``, ``from`` and ``with``.
    """

    networks: str
    graphs: Mapping[str, bytes]
    recipes: Mapping[str, Mapping[str, Mapping[str, Any]]]

    @staticmethod
    def key(spec: SegmenterSpec) -> str:
        """A digest of all that the graphs depend on."""
        values = {name: value for name, value in spec.to_dict().items() if name not in ("schedule", "prediction")}
        text = json.dumps({"version": FORMAT_VERSION, "networks": values}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """The content of a file."""
        stream = io.BytesIO()
        meta = json.dumps({"format_version": FORMAT_VERSION, "networks": self.networks, "recipes": self.recipes}, indent=1)
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
            for name, content in ((_META, meta.encode()), *((f"{n}.onnx", graph) for n, graph in self.graphs.items())):
                entry = zipfile.ZipInfo(name, _WHEN)
                entry.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(entry, content)
        return stream.getvalue()

    def write(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            DataError: if it cannot be written.
        """
        write_bytes(path, self.to_bytes())

    @classmethod
    def read(cls, path: Path) -> Structure:
        """The inverse of ``write``.

        Raises:
            WeightsError: if there is none, or it is damaged or of another version.
        """
        try:
            with zipfile.ZipFile(path) as file:
                check_archive(file, path.stat().st_size)
                meta = parsed(file.read(_META))
                if meta["format_version"] != FORMAT_VERSION:
                    found = meta["format_version"]
                    raise WeightsError(f"{path}: expected graphs of format version {FORMAT_VERSION}, found {found}")
                graphs = {name: file.read(f"{name}.onnx") for name in meta["recipes"]}
        except WeightsError:
            raise
        except Exception as error:  # on bytes that nobody has checked
            raise WeightsError(f"{path}: expected the graphs of networks, found none or a damaged file") from error
        return cls(networks=meta["networks"], graphs=graphs, recipes=meta["recipes"])

    def completed(self, weights: Path) -> dict[str, bytes]:
        """The graphs with the weights of a file, each a whole file of ONNX.

        Raises:
            WeightsError: if the weights are of other networks, or too large for files of ONNX.
        """
        wanted = {path for recipes in self.recipes.values() for entry in recipes.values() for path in entry["from"]}
        arrays: dict[str, np.ndarray] = {}
        import h5py  # here, as the graphs of most runs are complete already

        try:
            with h5py.File(weights, "r") as file:
                for path in wanted:
                    arrays[path] = file[path][()]
            return {
                name: proto.completed(
                    graph,
                    {
                        array: cooked(entry["recipe"], [arrays[path] for path in entry["from"]], entry["with"])
                        for array, entry in self.recipes[name].items()
                    },
                )
                for name, graph in self.graphs.items()
            }
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"{weights}: does not complete the graphs of its networks: {reason}") from error
