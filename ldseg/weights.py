"""Folders of weights that describe themselves."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from ldseg.data.preprocess import Preprocessing
from ldseg.errors import LDSegError, WeightsError
from ldseg.paths import nearest_folder
from ldseg.segmenter import Segmenter, SegmenterSpec
from ldseg.version import __version__

FORMAT_VERSION = 1
WEIGHTS_FILE = "segmenter.weights.h5"
DESCRIPTION_FILE = "segmenter.json"
_ATTRIBUTE = "ldseg"


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a folder of weights says about itself.

    Attributes:
        spec: how to build the networks.
        preprocessing: from a case to their input.
        figures: what they reached in validation, and when.
        training: the settings of the training, by section and key.
        split: the manifest of the cases trained on and validated on.
        made: when, and by which versions.
    """

    spec: SegmenterSpec
    preprocessing: Preprocessing
    figures: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)

    def preprocessing_for(self, labels: str, label_map: tuple[tuple[int, int], ...] = ()) -> Preprocessing:
        """The preprocessing, with the rule of ``ldseg.data.labels`` that suits the labels at hand."""
        return replace(self.preprocessing, labels=labels, label_map=label_map)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "architecture": self.spec.architecture,
            "spec": self.spec.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
            "figures": self.figures,
            "training": self.training,
            "split": self.split,
            "made": self.made,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Description:
        return cls(
            spec=SegmenterSpec.from_dict(values["spec"]),
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            figures=values["figures"],
            training=values["training"],
            split=values["split"],
            made=values["made"],
        )


def save_weights(folder: Path, segmenter: Segmenter, description: Description) -> None:
    """Write a segmenter's weights and what they are, whole or not at all.

    The description is an attribute of the weights file, so that the two cannot come apart; ``segmenter.json`` is a copy
    for people to read.

    Raises:
        WeightsError: if the folder cannot be written.
    """
    made = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "ldseg": __version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "python": platform.python_version(),
    }
    values = replace(description, made=made).to_dict()
    temporary = folder / f".{secrets.token_hex(4)}.{WEIGHTS_FILE}"
    readable = folder / f".{secrets.token_hex(4)}.{DESCRIPTION_FILE}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        segmenter.save_weights(temporary)
        with h5py.File(temporary, "r+") as file:
            file.attrs[_ATTRIBUTE] = json.dumps(values)
        readable.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, folder / WEIGHTS_FILE)
        os.replace(readable, folder / DESCRIPTION_FILE)
    except OSError as error:
        raise WeightsError(f"{folder}: weights cannot be written: {error.strerror or error}") from error
    finally:
        for path in (temporary, readable):
            with contextlib.suppress(OSError):  # its folder may not even exist
                path.unlink(missing_ok=True)


def read_description(folder: Path) -> Description:
    """What the weights in a folder are.

    Raises:
        WeightsError: if there are none, or the file is empty, damaged, or of a version that this code does not know.
    """
    path = folder / WEIGHTS_FILE
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise WeightsError(
            f"{path}: no such file{nearest_folder(folder, WEIGHTS_FILE)}, expected trained weights; train some with "
            "[Parameters] Training = True, or name another folder in [Model] Weights"
        ) from None
    except NotADirectoryError:
        raise WeightsError(f"{folder}: expected a folder with {WEIGHTS_FILE}, got a file or what is below one") from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be looked at: {error.strerror}") from error
    if size == 0:
        raise WeightsError(f"{path}: expected weights, found an empty file")
    try:
        with h5py.File(path, "r") as file:
            stored = file.attrs[_ATTRIBUTE]
        values = json.loads(stored)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: expected weights written by LDSeg, found another or a damaged file") from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise WeightsError(f"{path}: expected weights of format version {FORMAT_VERSION}, found {version}")
    try:
        return Description.from_dict(values)
    except (KeyError, TypeError, ValueError, LDSegError) as error:
        raise WeightsError(f"{path}: its description is not complete: {error}") from error


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
    read_description(folder)
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
            "name another folder in [Model] Weights, or to train anew set [Parameters] Checkpoint = False"
        ) from error


def load_segmenter(folder: Path) -> tuple[Segmenter, Description]:
    """Build the segmenter that a folder describes, with its weights.

    Raises:
        WeightsError: see ``read_description`` and ``load_weights``.
    """
    description = read_description(folder)
    try:
        segmenter = Segmenter(description.spec)
    except ValueError as error:
        raise WeightsError(f"{folder / WEIGHTS_FILE}: its description is not of networks known here: {error}") from error
    load_weights(folder, segmenter)
    return segmenter, description
