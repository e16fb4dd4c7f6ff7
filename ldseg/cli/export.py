"""``ldseg export``: weights as files that segment without LDSeg."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ldseg.export.folder import export
from ldseg.published import find_weights


def run(paths: Sequence[Path], to: str, out: Path | None) -> int:
    """Write the networks of weights in another format, with a README that says how to use them.

    Raises:
        ConfigError: for an unknown format.
        WeightsError: the weights cannot be read or exported, or the folder cannot be written.
    """
    name = str(paths[0])
    folder = out if out is not None else Path(f"{Path(name).name}-{to}")
    export(find_weights(name), to, folder)
    print(f"{folder}: networks, schedule, preprocessing, and a README.md with the lines that segment with them")
    return 0
