"""Files that are written whole or not at all, or removed, and folders that can be written to."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from ldseg.errors import DataError


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all, and make its folder if needed.

    It is written under a temporary name in the same folder, then put in place.

    Returns:
        the path.

    Raises:
        DataError: it cannot be written (no permission, no space, a folder in its place).
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened by name, not by `tempfile`, so that the file gets the permissions the user's umask asks for.
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # its folder may not even exist
            temporary.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text in UTF-8, its line ends as they are, as `write_bytes` does."""
    return write_bytes(path, text.encode())


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        DataError: it cannot be removed (no permission, a folder in its place).
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be removed: {error.strerror or error}") from error


def claim_folder(folder: Path, setting: str) -> None:
    """Make a folder, and find out before the work whether it can be written.

    Raises:
        DataError: it cannot, with the folder and the setting that it comes from.
    """
    probe = folder / f".{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{folder}: expected a folder that can be written, see {setting}: {reason}") from error
