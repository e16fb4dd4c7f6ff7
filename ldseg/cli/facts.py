"""What a run was made with."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import sys
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ldseg.cli.task import Task
from ldseg.devices import machine
from ldseg.version import __version__
from ldseg.weights import WEIGHTS_FILE


def facts_of(task: Task) -> dict[str, Any]:
    """Time, versions, machine, settings and weights, by name, in plain types.

    ``backend`` is that of Keras, or the engine where Keras took no part.
    """
    config, description = task.config, task.description
    keras = sys.modules["keras"] if task.opened.kind == "keras" else None  # other engines do without it
    with (config.weights_folder / WEIGHTS_FILE).open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "ldseg": __version__,
        "keras": _version_of("keras"),
        "backend": keras.backend.backend() if keras else task.opened.kind,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": machine(),
        "config": config.to_dict(),
        "weights": str(config.weights_folder),
        "weights_figures": description.figures,
        "weights_made": description.made,
        "weights_sha256": fingerprint,
    }


def _version_of(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
