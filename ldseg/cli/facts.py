"""What a run was made with."""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ldseg.config import Config
from ldseg.description import WEIGHTS_FILE
from ldseg.devices import machine
from ldseg.inference.opening import Opened
from ldseg.version import __version__


def facts_of(config: Config, opened: Opened) -> dict[str, Any]:
    """Time, versions, machine, settings and weights, by name, in plain types."""
    with (config.weights_folder / WEIGHTS_FILE).open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "ldseg": __version__,
        "engine": opened.version,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": machine(),
        "config": config.to_dict(),
        "weights": str(config.weights_folder),
        "weights_figures": opened.description.figures,
        "weights_made": opened.description.made,
        "weights_sha256": fingerprint,
    }
