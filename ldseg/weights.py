"""Writing and reading the folders of weights that ``ldseg.description`` describes. Keras is imported when one is loaded."""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ldseg.base.folds import FOLDS_FILE
from ldseg.base.options import PRECISIONS
from ldseg.base.writing import write_text, write_together
from ldseg.description import (
    ATTRIBUTE,
    DESCRIPTION_FILE,
    FORMAT_VERSION,
    WEIGHTS_FILE,
    Description,
    read_description,
    read_network,
)
from ldseg.errors import DataError, WeightsError
from ldseg.models import Preset
from ldseg.version import __version__

if TYPE_CHECKING:
    from ldseg.segmenter import Segmenter


def save_weights(folder: Path, segmenter: Segmenter, description: Description) -> None:
    """Write a segmenter's weights and what they are, whole or not at all.

    The description is an attribute of the weights file, so that the two cannot come apart; ``segmenter.json`` is a copy
    for people to read.

    Raises:
        WeightsError: if the folder cannot be written.
    """
    values = replace(description, made=_made()).to_dict()
    stream = stored(segmenter)
    _write(folder, stream, values)


def _made() -> dict[str, Any]:
    """When, and by which versions."""
    import keras

    arithmetic = keras.config.dtype_policy().name
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "ldseg": __version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "precision": next((name for name, policy in PRECISIONS.items() if policy == arithmetic), arithmetic),
        "python": platform.python_version(),
    }


def save_folds(folder: Path, folds: Sequence[Path], **joint: Any) -> None:
    """Make the weights of several folds one ensemble.

    Args:
        folder: that holds the folders of the folds.
        folds: these, in their order.
        joint: plain values of ``figures``, ``split``, ``quality`` and ``sampling`` of all folds together.

    Raises:
        WeightsError: if the folder cannot be written.
    """
    values = {"format_version": FORMAT_VERSION, "folds": [fold.name for fold in folds], "made": _made(), **joint}
    try:
        write_text(folder / FOLDS_FILE, json.dumps(values, indent=2) + "\n")
    except DataError as error:
        raise WeightsError(str(error)) from error


def change_description(folder: Path, preset: Preset | None = None, **changes: Any) -> None:
    """Change what weights say of themselves, and not their numbers.

    Args:
        folder: with the weights.
        preset: of the networks, if it is an own one.
        changes: attributes of ``Description``.

    Raises:
        WeightsError: see ``read_description`` and ``save_weights``.
    """
    values = replace(read_description(folder, preset), **changes).to_dict()
    try:
        stream = io.BytesIO((folder / WEIGHTS_FILE).read_bytes())
    except OSError as error:
        raise WeightsError(f"{folder / WEIGHTS_FILE}: cannot be read: {error.strerror or error}") from error
    _write(folder, stream, values)


def _write(folder: Path, stream: io.BytesIO, values: dict[str, Any]) -> None:
    """Write the content of a file of weights with its description, and the copy of that for people."""
    with h5py.File(stream, "r+") as file:
        file.attrs[ATTRIBUTE] = json.dumps(values)
    try:
        readable = json.dumps(values, indent=2) + "\n"
        write_together(
            {
                folder / WEIGHTS_FILE: lambda file: file.write(stream.getbuffer()),
                folder / DESCRIPTION_FILE: lambda file: file.write(readable.encode()),
            }
        )
    except DataError as error:
        raise WeightsError(str(error)) from error


class _Memory(io.BytesIO):
    """A file in memory for Keras, which asks that the name of what it writes to ends so."""

    def __str__(self) -> str:
        return f"memory.{WEIGHTS_FILE}"


def stored(segmenter: Segmenter) -> io.BytesIO:
    """The content of a file of weights, made in memory: HDF5 crashes where a disk is full."""
    stream = _Memory()
    segmenter.save_weights(stream)
    return stream


def _digest(array: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    """The shape and a hash of an array's values, whatever precision it is stored in."""
    return array.shape, hashlib.sha256(array.astype(np.float32).tobytes()).digest()


def _arrays(path: Path) -> Counter[tuple[tuple[int, ...], bytes]]:
    """How often a file of weights holds each array."""
    found: Counter[tuple[tuple[int, ...], bytes]] = Counter()

    def count(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[_digest(item[()])] += 1

    with h5py.File(path, "r") as file:
        file.visititems(count)
    return found


def load_weights(folder: Path, segmenter: Segmenter) -> None:
    """Set a segmenter's weights from a folder.

    Raises:
        WeightsError: if they are missing, damaged, or of another architecture.
    """
    import keras

    read_description(folder, segmenter.spec.own)
    path = folder / WEIGHTS_FILE
    try:
        segmenter.load_weights(path)
        # Keras says nothing of arrays that a file has too many, and leaves a layer that it lacks as it is.
        stored = _arrays(path)
        loaded = Counter(_digest(keras.ops.convert_to_numpy(weight)) for weight in segmenter.weights)
        if stored != loaded:
            raise ValueError(f"{(stored - loaded).total()} arrays too many, {(loaded - stored).total()} too few")
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{path}: expected weights of preset {segmenter.spec.preset!r} for {segmenter.spec.channels} channels and "
            f"{segmenter.spec.classes} classes, found others: {reason}; "
            "name another folder in [Model] Weights"
        ) from error


def load_segmenter(folder: Path, preset: Preset | None = None) -> tuple[Segmenter, Description]:
    """Build the segmenter that a folder describes, with its weights.

    Args:
        folder: with the weights.
        preset: their preset, if it is an own one.

    Raises:
        WeightsError: see ``read_description`` and ``load_weights``.
    """
    from ldseg.segmenter import Segmenter

    description = read_network(folder, "this", preset)
    try:
        segmenter = Segmenter(description.spec)
    except ValueError as error:
        raise WeightsError(f"{folder / WEIGHTS_FILE}: its description is not of networks known here: {error}") from error
    load_weights(folder, segmenter)
    return segmenter, description
