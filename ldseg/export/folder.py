"""A folder that segments without LDSeg: networks in the format of a runtime, and all that it takes to use them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ldseg.base.writing import claim_folder, write_bytes, write_file, write_text
from ldseg.description import DESCRIPTION_FILE, WEIGHTS_FILE, Description, read_network
from ldseg.errors import ConfigError, DataError, WeightsError
from ldseg.export.readme import readme
from ldseg.export.structure import STRUCTURE_FILE, Structure
from ldseg.models import Preset

SCHEDULE_FILE, README = "schedule.npy", "README.md"
NETWORKS = ("encoder", "denoiser", "decoder")
"""Names of the networks of an export."""


def export(weights: Path, to: str, out: Path, *, preset: Preset | None = None) -> None:
    """Write networks with their weights for another runtime.

    Args:
        weights: the folder of weights.
        to: one of ``FORMATS``.
        out: the folder that is written: three networks, ``segmenter.json`` (the description, with the preprocessing),
            ``schedule.npy`` (the share of signal left at each time), and a README with ten lines that segment.
        preset: the preset of the weights, if it is an own one.

    Raises:
        ConfigError: for another format.
        WeightsError: if the weights cannot be read or exported, or the folder cannot be written.
    """
    if to not in FORMATS:
        raise ConfigError(f"expected a format of {', '.join(FORMATS)}, got {to!r}")
    description = read_network(weights, "an export", preset)
    claim_folder(out, "the exported networks")
    _check_own(out)
    try:
        # The first file tells the next export that this folder is one, also where this one is killed.
        write_file(out / SCHEDULE_FILE, lambda stream: np.save(stream, description.spec.schedule.alpha_bar))
        write_text(out / DESCRIPTION_FILE, json.dumps(description.to_dict(), indent=2) + "\n")
        FORMATS[to](weights, description, out)
        write_text(out / README, readme(description, to))
    except DataError as error:
        raise WeightsError(str(error)) from error
    except OSError as error:
        raise WeightsError(f"{out}: cannot be written: {error.strerror or error}") from error


def _check_own(out: Path) -> None:
    """Raises WeightsError for a folder where no export was, with files of the names that one writes."""
    if (out / SCHEDULE_FILE).is_file():
        return
    names = (DESCRIPTION_FILE, README, *(f"{name}{suffix}" for name in NETWORKS for suffix in (".onnx", ".xml", ".bin", "")))
    for name in names:
        if os.path.lexists(out / name):
            raise WeightsError(
                f"{out / name}: no export of LDSeg wrote it, and it would be overwritten; name another folder (--out)"
            )


def _graphs(weights: Path, description: Description) -> dict[str, bytes]:
    """The graphs with their weights; those that lie beside the weights, or new ones, which take Keras."""
    path, spec = weights / STRUCTURE_FILE, description.spec
    try:
        structure = Structure.read(path)
    except WeightsError:
        structure = None
    if structure is None or structure.networks != Structure.key(spec) or spec.own is not None:
        from ldseg.export.networks import structure_of

        structure = structure_of(spec)
    return structure.completed(weights / WEIGHTS_FILE)


def _onnx(weights: Path, description: Description, out: Path) -> None:
    for name, graph in _graphs(weights, description).items():
        write_bytes(out / f"{name}.onnx", graph)


def _openvino(weights: Path, description: Description, out: Path) -> None:
    try:
        import openvino
    except ModuleNotFoundError:
        raise WeightsError("export to openvino takes OpenVINO, which is not installed: pip install openvino") from None
    core = openvino.Core()
    for name, graph in _graphs(weights, description).items():
        # Whole precision: the rates of the latent span six orders of magnitude.
        openvino.save_model(core.read_model(io.BytesIO(graph)), out / f"{name}.xml", compress_to_fp16=False)


def _saved_model(weights: Path, description: Description, out: Path) -> None:
    from ldseg.export.saved_model import write

    write(weights, description, out)


FORMATS: dict[str, Callable[[Path, Description, Path], None]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "saved_model": _saved_model,
}
"""What writes the three networks, by the name of the format."""
