"""The state of a training in one file: stop it anywhere, and it goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ldseg.errors import WeightsError
from ldseg.spec import SegmenterSpec
from ldseg.text import times

CHECKPOINT_FILE = "last.npz"
_META = "meta"
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
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays, **{_META: np.array(json.dumps(meta))})
        os.replace(temporary, path)
    except OSError as error:
        raise WeightsError(f"{path}: the checkpoint cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # its folder may not even exist
            temporary.unlink(missing_ok=True)


def read_meta(path: Path) -> dict[str, Any]:
    """The plain values of a checkpoint.

    Raises:
        WeightsError: if the file is unreadable or no checkpoint.
    """
    try:
        with np.load(path) as stored:
            return json.loads(str(stored[_META]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: expected a checkpoint of a training, found another or a damaged file") from error


def load_checkpoint(path: Path, trainer: keras.Model) -> dict[str, Any]:
    """Set a compiled, built trainer to the state in a file and return its ``meta``.

    Raises:
        WeightsError: if the file is no checkpoint, or one of other networks; the trainer is then as it was.
    """
    meta = read_meta(path)
    variables = _variables(trainer)
    with np.load(path) as stored:
        found = {_COUNTED.sub("", name): stored[name] for name in stored.files if name != _META}
    if {name: array.shape for name, array in found.items()} != {name: tuple(own.shape) for name, own in variables.items()}:
        expected, held = networks_of(trainer.segmenter.spec), meta.get("networks", "others")
        held = "others" if held == expected else held
        raise WeightsError(
            f"{path}: expected a checkpoint of {expected}, found one of {held}; "
            "name another folder in [Model] Weights, or set [Parameters] Checkpoint = False, which begins anew and keeps "
            "the earlier training in a folder before-<date>"
        )
    for name, variable in variables.items():
        variable.assign(found[name])
    return meta
