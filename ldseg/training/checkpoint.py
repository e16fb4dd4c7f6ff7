"""The state of a training in one file: stop it anywhere, and it goes on as if nothing had happened."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.base.later import Later
from ldseg.base.text import times
from ldseg.base.untrusted import check_archive, parsed
from ldseg.base.writing import write_file
from ldseg.devices.together import from_first
from ldseg.errors import DataError, WeightsError
from ldseg.group import Group
from ldseg.spec import SegmenterSpec

if TYPE_CHECKING:
    import keras
else:
    keras = Later("keras")  # what a checkpoint says is read without

CHECKPOINT_FILE = "last.npz"
_META = "meta"
_KINDS: dict[str, type] = {
    "epoch": int, "history": list, "split": dict, "chosen": dict, "settings": dict, "networks": str, "validated": int,
}  # fmt: skip
_COUNTED = re.compile(r"_\d+(?=[/_]|$)")
"""What Keras adds to names that a process has used before: it differs from one run to the next."""


def networks_of(spec: SegmenterSpec) -> str:
    """In words, of which networks a checkpoint is; its ``meta`` keeps it, to be told where others were expected."""
    classes = f"{spec.classes} classes with outlines" if spec.outline else f"{spec.classes} classes"
    grid = f"{spec.channels} channels, {classes} and size {times(spec.size)}"
    return f"{spec.architecture} (preset {spec.preset!r}) for {grid}"


def _variables(trainer: keras.Model) -> dict[str, Any]:
    """Weights, moving averages and the states of random layers and of the optimiser, by position and path."""
    metrics = {id(variable) for variable in trainer.metrics_variables}
    own = [variable for variable in trainer.variables if id(variable) not in metrics]
    named = {f"model/{index}/{variable.path}": variable for index, variable in enumerate(own)}
    # The step size follows from the plan and the time: with or without it, what a state is made of is the same.
    kept = [variable for variable in trainer.optimizer.variables if variable.path.split("/")[-1] != "learning_rate"]
    for index, variable in enumerate(kept):
        named[f"optimizer/{index}/{variable.path.split('/')[-1]}"] = variable
    return {_COUNTED.sub("", name): variable for name, variable in named.items()}


def save_checkpoint(path: Path, trainer: keras.Model, meta: dict[str, Any]) -> None:
    """Write the state of a compiled, built trainer and plain ``meta`` values, whole or not at all.

    Raises:
        WeightsError: if the file cannot be written.
    """
    arrays: dict[str, Any] = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(trainer).items()}
    arrays[_META] = np.array(json.dumps(meta))
    try:
        write_file(path, lambda stream: np.savez(stream, allow_pickle=False, **arrays))
    except DataError as error:
        raise WeightsError(f"the checkpoint {error}") from error


def read_meta(path: Path) -> dict[str, Any]:
    """The plain values of a checkpoint.

    Raises:
        WeightsError: if the file is unreadable or no checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path.stat().st_size)
        with np.load(path) as stored:
            meta = parsed(str(stored[_META]))
        for name, kind in _KINDS.items():
            if not isinstance(meta.get(name, kind()), kind):
                raise ValueError(f"its {name} is of another type")
        return meta
    except Exception as error:  # of zip and NumPy, on bytes that nobody has checked
        said = f": {error}" if type(error) is ValueError else ""
        raise WeightsError(f"{path}: expected a checkpoint of a training, found another or a damaged file{said}") from error


def load_checkpoint(path: Path, trainer: keras.Model, group: Group | None = None) -> dict[str, Any]:
    """Set a compiled, built trainer to the state in a file and return its ``meta``.

    Of a group of processes the first one reads the file, and tells the others.

    Raises:
        WeightsError: if the file is no checkpoint, or one of other networks; the trainer is then as it was.
    """
    group = group or Group()
    meta, found = _read(path, trainer) if group.first else ({}, None)
    variables = _variables(trainer)
    shapes = {name: np.zeros(variable.shape, variable.dtype) for name, variable in variables.items()}
    found = from_first(shapes if found is None else found, group)
    for name, variable in variables.items():
        variable.assign(found[name])
    return dict(group.share("the checkpoint", meta))


def _read(path: Path, trainer: keras.Model) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    meta = read_meta(path)
    variables = _variables(trainer)
    try:
        with np.load(path) as stored:
            found = {_COUNTED.sub("", name): stored[name] for name in stored.files if name != _META}
    except Exception as error:
        raise WeightsError(f"{path}: expected a checkpoint of a training, found a damaged file") from error
    if {name: array.shape for name, array in found.items()} != {name: tuple(own.shape) for name, own in variables.items()}:
        expected, held = networks_of(trainer.segmenter.spec), meta.get("networks", "others")
        held = "others" if held == expected else held
        raise WeightsError(
            f"{path}: expected a checkpoint of {expected}, found one of {held}; "
            "name another folder in [Model] Weights, or set [Parameters] Checkpoint = False, which begins anew and keeps "
            "the earlier training in a folder before-<date>"
        )
    return meta, found
