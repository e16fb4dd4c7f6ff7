"""What a training keeps in the folder of its weights, and what becomes of an earlier one's."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from ldseg.errors import WeightsError
from ldseg.training.checkpoint import CHECKPOINT_FILE
from ldseg.weights import DESCRIPTION_FILE, WEIGHTS_FILE

logger = logging.getLogger(__name__)

FOLDER = "training"
"""Where a training keeps its checkpoint and logs, inside the folder of its weights."""


def logs_of(folder: Path) -> Path:
    """The folder of checkpoint and logs of a training, by the folder of its weights."""
    return folder / FOLDER


def checkpoint_of(folder: Path) -> Path:
    """The checkpoint of a training, by the folder of its weights."""
    return folder / FOLDER / CHECKPOINT_FILE


def set_aside(folder: Path) -> None:
    """Move an earlier training's weights, checkpoint and logs into a folder of their own: a new one loses nothing.

    Raises:
        WeightsError: if they cannot be moved.
    """
    present = [folder / name for name in (WEIGHTS_FILE, DESCRIPTION_FILE, FOLDER) if (folder / name).exists()]
    if not present:
        return
    aside = folder / f"before-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        aside.mkdir()
        for path in present:
            os.replace(path, aside / path.name)
    except OSError as error:
        raise WeightsError(f"{folder}: earlier weights cannot be set aside: {error.strerror or error}") from error
    logger.info("earlier weights are kept in %s", aside)
