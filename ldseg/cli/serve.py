"""``ldseg serve``: the page and the requests of ``ldseg.serve``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ldseg.serve.settings import ServeSettings, check_installed


def run(paths: Sequence[Path], **options: Any) -> int:
    """Serve until interrupted.

    Args:
        paths: weights by name, or their folders; nothing for all that come with LDSeg.
        **options: of ``ServeSettings``; what is None takes its default.

    Returns:
        0: there is no problem that would not be an error.

    Raises:
        LDSegError: the server cannot start.
    """
    given = {name: value for name, value in options.items() if value is not None}
    settings = ServeSettings(weights=tuple(map(str, paths)), **given)
    check_installed()
    from ldseg.serve.app import run as serve

    serve(settings, lambda address: _say(address, settings))
    return 0


def _say(address: str, settings: ServeSettings) -> None:
    whom = "this machine alone" if settings.alone else "all who reach this machine: there is no password"
    print(f"LDSeg serves {whom} at {address} (Ctrl+C ends it, and removes what was sent)", flush=True)
