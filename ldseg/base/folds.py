"""Names of what a training of several folds leaves in the folder of its weights."""

from __future__ import annotations

import re
from pathlib import Path

FOLDS_FILE = "folds.json"
"""What the folds say together."""

MEASURED = "validation"
"""The folder with the record of all that they held back."""

_NAME = re.compile(r"fold-([1-9]\d{0,2})")


def fold_folder(folder: Path, fold: int) -> Path:
    """The folder of a fold, from 1 on: weights, checkpoint and logs like those of any training."""
    return folder / f"fold-{fold}"


def fold_of(name: str) -> int | None:
    """The fold that a folder of this name is of; None of any other name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def fold_folders(folder: Path) -> list[Path]:
    """The folders of folds that a training has begun, in their order."""
    found = {fold: path for path in folder.glob("fold-*") if (fold := fold_of(path.name))}
    return [found[fold] for fold in sorted(found)]


def is_folds(folder: Path) -> bool:
    """Whether a folder holds folds that are trained and measured, to segment with as one ensemble."""
    try:
        return (folder / FOLDS_FILE).is_file()
    except OSError:  # what may not be looked at; whoever reads the weights says so
        return False
