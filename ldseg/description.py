"""What a folder of weights says about itself. Needs no Keras."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py

from ldseg.data.preprocess import Preprocessing
from ldseg.errors import LDSegError, WeightsError
from ldseg.evaluation.familiarity import Familiarity
from ldseg.evaluation.quality import Quality
from ldseg.models import Preset
from ldseg.paths import nearest_folder
from ldseg.shipped import shipped_weights
from ldseg.spec import SegmenterSpec

FORMAT_VERSION = 1
WEIGHTS_FILE = "segmenter.weights.h5"
DESCRIPTION_FILE = "segmenter.json"
ATTRIBUTE = "ldseg"
"""The attribute of the weights file that holds the description."""


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
        quality: what tells the Dice of a mask without a label, fitted in validation; None where there were too few cases.
        familiarity: what tells an image that is unlike those of training, fitted after it; None where there were too few.
    """

    spec: SegmenterSpec
    preprocessing: Preprocessing
    figures: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    quality: Quality | None = None
    familiarity: Familiarity | None = None

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
            **({} if self.quality is None else {"quality": self.quality.to_dict()}),
            **({} if self.familiarity is None else {"familiarity": self.familiarity.to_dict()}),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], preset: Preset | None = None) -> Description:
        """The inverse of ``to_dict``; ``preset`` is that of the networks, if it is an own one."""
        return cls(
            spec=SegmenterSpec.from_dict(values["spec"], preset),
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            figures=values["figures"],
            training=values["training"],
            split=values["split"],
            made=values["made"],
            quality=Quality.from_dict(values["quality"]) if values.get("quality") else None,
            familiarity=Familiarity.from_dict(values["familiarity"]) if values.get("familiarity") else None,
        )


def find_weights(name: str | Path) -> Path:
    """The folder of weights that come with LDSeg, or one of the user's own.

    Args:
        name: a name of ``ldseg.available()``, or the path of a folder; a folder of that name goes first where it holds
            weights.

    Raises:
        WeightsError: neither is there.
    """
    folder, shipped = Path(name).expanduser(), shipped_weights()
    if str(name) in shipped and not (folder / WEIGHTS_FILE).is_file():
        return shipped[str(name)]
    if folder.is_dir() or folder.name != str(name):  # what is wrong with a path is said when it is read
        return folder
    raise WeightsError(
        f"{name}: expected a folder with {WEIGHTS_FILE}, or the name of weights that come with LDSeg: {', '.join(shipped)}"
    )


def read_description(folder: Path, preset: Preset | None = None) -> Description:
    """What the weights in a folder are.

    Args:
        folder: with the weights.
        preset: their preset, if it is an own one.

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
            stored = file.attrs[ATTRIBUTE]
        values = json.loads(stored)
    except PermissionError as error:
        raise WeightsError(f"{path}: may not be read: {error.strerror or 'permission denied'}") from error
    except BlockingIOError as error:
        raise WeightsError(f"{path}: in use by another program, which writes to it; try again when that is done") from error
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: expected weights written by LDSeg, found another or a damaged file") from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise WeightsError(f"{path}: expected weights of format version {FORMAT_VERSION}, found {version}")
    try:
        return Description.from_dict(values, preset)
    except (KeyError, TypeError, ValueError, LDSegError) as error:
        raise WeightsError(f"{path}: its description is not complete: {error}") from error
