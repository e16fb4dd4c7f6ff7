"""What a run was made with."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ldseg.config import Config
from ldseg.description import fingerprint
from ldseg.devices import machine
from ldseg.inference.opening import Opened
from ldseg.version import __version__


def facts_of(config: Config, opened: Opened, digest: str = "") -> dict[str, Any]:
    """Time, versions, machine, settings and weights, by name, in plain types; ``doubts`` where the weights raise any.

    Args:
        config: the settings.
        opened: the weights.
        digest: of the weights, where they are not those of ``config.weights_folder``.
    """
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
        "weights_sha256": digest or fingerprint(config.weights_folder),
        **({"doubts": list(opened.description.doubts)} if opened.description.doubts else {}),
    }
