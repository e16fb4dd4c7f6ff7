"""What a training keeps in the folder of its weights, and what becomes of an earlier one's.

Weights and checkpoint are one state: a training writes a checkpoint before its first update, so that weights without one are
never those of a training that was killed. At every moment of a kill the next start finds either the earlier training, or
the state that the new one began with.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ldseg.base.folds import FOLDS_FILE, MEASURED, fold_folder, fold_folders, is_folds
from ldseg.base.writing import move
from ldseg.config import Config
from ldseg.description import holds_weights
from ldseg.errors import DataError, WeightsError
from ldseg.export.structure import STRUCTURE_FILE
from ldseg.training.checkpoint import CHECKPOINT_FILE, read_meta
from ldseg.weights import DESCRIPTION_FILE, WEIGHTS_FILE

logger = logging.getLogger(__name__)

FOLDER = "training"
"""Where a training keeps its checkpoint and logs, inside the folder of its weights."""

BEGINNING = "training.begin.npz"
"""The first checkpoint of a training, until what an earlier one left is set aside."""

PARTIAL = "before.partial"
"""Where what an earlier training left is gathered, until all of it is there."""


def logs_of(folder: Path) -> Path:
    """The folder of checkpoint and logs of a training, by the folder of its weights."""
    return folder / FOLDER


def checkpoint_of(folder: Path) -> Path:
    """Where a training writes its checkpoint, by the folder of its weights."""
    return folder / FOLDER / CHECKPOINT_FILE


def checkpoint_to_go_on(folder: Path) -> Path | None:
    """The checkpoint that a training in a folder goes on from, if there is one."""
    beginning, checkpoint = folder / BEGINNING, checkpoint_of(folder)
    return next((path for path in (beginning, checkpoint) if path.is_file()), None)


def first_checkpoint(config: Config) -> Path | None:
    """The checkpoint that tells what the training in ``config.weights_folder`` began with, if it is to go on.

    Raises:
        WeightsError: the folder holds folds and one training is asked for, or the other way round.
    """
    folder, folds = config.weights_folder, config.training.folds
    if not folds:
        if is_folds(folder) or fold_folders(folder):
            raise WeightsError(
                f"{folder}: holds a training of several folds; {_goes_on(_dealt(folder))}, or name another folder in "
                "[Model] Weights"
            )
        return checkpoint_to_go_on(folder) if config.parameters.checkpoint else None
    if (folder / WEIGHTS_FILE).exists() or checkpoint_to_go_on(folder):
        raise WeightsError(
            f"{folder}: holds one training, expected none or one of {folds} folds; it goes on without --folds ([Training] "
            "Folds = 0), or name another folder in [Model] Weights"
        )
    return checkpoint_to_go_on(fold_folder(folder, 1)) if config.parameters.checkpoint else None


def check_folds(config: Config, before: Mapping[str, Any]) -> None:
    """Raise WeightsError where a training that goes on has another number of folds than the settings."""
    folds, dealt = config.training.folds, len(before.get("split", {}).get("folds", ()))
    if before and folds != dealt:
        raise WeightsError(
            f"{config.weights_folder}: holds a training of {dealt} folds, got Training.Folds = {folds}; {_goes_on(dealt)}, "
            "or name another folder in [Model] Weights, or set [Parameters] Checkpoint = False, which begins anew"
        )


def _goes_on(folds: int) -> str:
    return f"it goes on with --folds {folds} ([Training] Folds = {folds})"


def _dealt(folder: Path) -> int:
    """Folds of the training of a folder: as many as its cases were dealt into, or, without a checkpoint, as there are."""
    with contextlib.suppress(WeightsError):
        if (checkpoint := checkpoint_to_go_on(fold_folder(folder, 1))) is not None:
            return len(read_meta(checkpoint).get("split", {}).get("folds", ())) or len(fold_folders(folder))
    return len(fold_folders(folder))


def begin(folder: Path, save: Callable[[Path], None]) -> None:
    """Begin a training: write its first checkpoint, then set aside what an earlier one left, then put it in place."""
    save(folder / BEGINNING)
    settle(folder)


def settle(folder: Path) -> None:
    """Finish what ``begin`` was killed in; without that, change nothing.

    Raises:
        WeightsError: if something cannot be moved.
    """
    beginning, checkpoint = folder / BEGINNING, checkpoint_of(folder)
    if not beginning.is_file():
        return
    set_aside(folder)
    _move(beginning, checkpoint)


def set_aside(folder: Path) -> None:
    """Move an earlier training's weights, checkpoint and logs into a folder of their own: a new one loses nothing.

    Killed in between, the next call gathers the rest with what was moved: the earlier training stays whole.

    Raises:
        WeightsError: if they cannot be moved.
    """
    own = (WEIGHTS_FILE, DESCRIPTION_FILE, STRUCTURE_FILE, FOLDER, FOLDS_FILE, MEASURED)
    # Folds first: without the first of them, the next start sets the rest aside, whatever was moved.
    present = [*fold_folders(folder), *(folder / name for name in own if (folder / name).exists())]
    partial = folder / PARTIAL
    if not present and not partial.exists():
        return
    name = f"before-{time.strftime('%Y%m%d-%H%M%S')}"
    # A start may follow another within the second.
    numbered = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    aside = next(folder / name for name in numbered if not (folder / name).exists())
    for path in present:
        _move(path, partial / path.name)
    _move(partial, aside)
    go_on = "; [Model] Start goes on from them" if holds_weights(aside) and not (aside / FOLDS_FILE).exists() else ""
    logger.info("earlier weights are kept in %s%s", aside, go_on)


def _move(source: Path, target: Path) -> None:
    try:
        move(source, target)
    except DataError as error:
        raise WeightsError(str(error)) from error
