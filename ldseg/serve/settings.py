"""What a server is told."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ldseg.base.options import AUTO
from ldseg.base.paths import require_folder
from ldseg.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses at which nobody but this machine is heard."""


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """What a server is told.

    Attributes:
        host: the address that it listens on.
        port: of it.
        weights: names of weights that come with LDSeg, or folders; nothing for all that come with it.
        images: a folder with images that viewers may ask for by their name; None for none.
        origins: other web pages that may ask, such as ``http://localhost:3000``.
        upload: MiB that one request may have.
        kept: results that are kept for looking at.
        waiting: requests that may wait for the networks, their uploads on the disk.
        engine: what computes, see ``ldseg.load``.

    Raises:
        ConfigError: a number is out of range.
        DataError: there is no such folder of images.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    weights: tuple[str, ...] = ()
    images: Path | None = None
    origins: tuple[str, ...] = ()
    upload: int = 1024
    kept: int = 20
    waiting: int = 32
    engine: str = AUTO

    def __post_init__(self) -> None:
        object.__setattr__(self, "origins", tuple(self.origins))
        if self.images is not None:
            require_folder(self.images, "one with images")
        for name, low, high in (("port", 0, 65535), ("upload", 1, 1 << 20), ("kept", 1, 10_000), ("waiting", 1, 10_000)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"--{name}: expected {low} to {high}, got {getattr(self, name)}")

    @property
    def alone(self) -> bool:
        """Whether nobody but this machine is heard."""
        return self.host in LOOPBACK


def check_installed() -> None:
    """Make sure that what a server needs is there.

    Raises:
        ConfigError: it is not; with what to install.
    """
    for module in ("fastapi", "uvicorn", "python_multipart"):
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"ldseg serve needs {module}: pip install 'ldseg[serve]'")
