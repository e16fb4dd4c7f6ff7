"""``ldseg init``: a settings file to edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ldseg.base.shipped import shipped_file
from ldseg.base.writing import write_bytes
from ldseg.errors import ConfigError


def run(paths: Sequence[Path]) -> int:
    """Write ``cfg.ini`` as it ships.

    Raises:
        ConfigError: there is a file already.
        DataError: it cannot be written.
    """
    path = paths[0] if paths else Path("cfg.ini")
    path = path / "cfg.ini" if path.is_dir() else path
    if path.exists():
        raise ConfigError(f"{path}: is there already, and is not touched; name another file, or remove this one first")
    write_bytes(path, shipped_file("cfg.ini").read_bytes())
    read = "started beside it" if path.name == "cfg.ini" else f"with --config {path}"
    print(f"{path}: all settings with their defaults; `ldseg segment` and `ldseg train` {read} take them from there")
    return 0
