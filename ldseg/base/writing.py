"""Files that are written whole or not at all, or removed, and folders that can be written to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from ldseg.errors import DataError, UnwrittenError

_UNFINISHED = re.compile(r"\.(.+\.)?[0-9a-f]{8}\.(tmp|old)")
"""Names under which files and folders are written before they are put in place."""
_LONGEST = 255
"""Bytes that the name of a file may have on most file systems."""
LOCK = ".lock"
"""A file that tells that a folder is one of LDSeg's, and whether a run writes to it now."""


def write_bytes(path: Path, content: bytes | memoryview) -> Path:
    """Write a file whole or not at all, see `write_file`."""
    return write_file(path, lambda stream: stream.write(content))


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write a file whole or not at all, and make its folder if needed.

    It is written under a temporary name in the same folder, then put in place. A link of its name is replaced, not followed.

    Args:
        path: of the file.
        write: what puts its content into a stream.

    Returns:
        the path.

    Raises:
        UnwrittenError: it cannot be written (no permission, no space, a folder in its place).
    """
    write_together({path: write})
    return path


def write_together(files: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """Write files that belong together, as `write_file` does: none is put in place before all have been written.

    Raises:
        UnwrittenError: one cannot be written.
    """
    staged: dict[Path, Path] = {}
    path = next(iter(files))
    try:
        for path, write in files.items():
            staged[path] = _beside(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Opened by name, not by `tempfile`, so that the file gets the permissions the user's umask asks for.
            with _opened(staged[path]) as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
        for path, temporary in staged.items():
            os.replace(temporary, path)
    except OSError as error:
        raise UnwrittenError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        for temporary in staged.values():
            with contextlib.suppress(OSError):  # its folder may not even exist
                temporary.unlink(missing_ok=True)


def _beside(path: Path, kind: str = "tmp") -> Path:
    """A temporary name for a file or a folder, beside it; `kind` is ``tmp``, or ``old`` for what it takes the place of."""
    token = secrets.token_hex(4)
    temporary = path.with_name(f".{path.name}.{token}.{kind}")
    return temporary if len(os.fsencode(temporary.name)) <= _LONGEST else path.with_name(f".{token}.{kind}")


def _opened(path: Path) -> BinaryIO:
    """A new file."""
    return path.open("xb")


def append_text(path: Path, text: str) -> None:
    """Put a text behind the content of a file, on disk when this returns; what cannot be written whole is taken back.

    Raises:
        UnwrittenError: it cannot be written.
    """
    try:
        with path.open("ab", buffering=0) as stream:
            end, content = stream.seek(0, os.SEEK_END), text.encode(errors="backslashreplace")
            try:
                while content:
                    content = content[stream.write(content) :]
                os.fsync(stream.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    stream.truncate(end)
                raise
    except OSError as error:
        raise UnwrittenError(f"{path}: cannot be written: {error.strerror or error}") from error


def move(source: Path, target: Path) -> None:
    """Give a file or a folder another name, in the place of a file that has it.

    Raises:
        UnwrittenError: it cannot be done.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
    except OSError as error:
        raise UnwrittenError(f"{target}: cannot be written: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> Path:
    """Write a text in UTF-8, its line ends as they are, as `write_bytes` does.

    Bytes of file names that are not UTF-8 become escapes such as ``\\udce9``, from which JSON makes the same name again.
    """
    return write_bytes(path, text.encode(errors="backslashreplace"))


@contextlib.contextmanager
def written_folder(path: Path) -> Iterator[Path]:
    """A folder that is filled under a temporary name beside its place, then put there, whole or not at all.

    What was there goes when the new one is complete; a link of its name is replaced, not followed.

    Raises:
        UnwrittenError: it cannot be written.
    """
    temporary, earlier = _beside(path), _beside(path, "old")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if os.path.lexists(path):
            os.replace(path, earlier)
        os.replace(temporary, path)
    except OSError as error:
        raise UnwrittenError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if os.path.lexists(earlier) and not os.path.lexists(path):  # whatever came in between, also Ctrl-C
            os.replace(earlier, path)
        for rest in (temporary, earlier):
            with contextlib.suppress(DataError):
                remove(rest)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there; of a link the link alone.

    Raises:
        DataError: it cannot be removed (no permission).
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be removed: {error.strerror or error}") from error


@contextlib.contextmanager
def held_folder(folder: Path, setting: str) -> Iterator[None]:
    """Make a folder and keep it for this process: another one that wants it gets an error instead.

    What is held is a lock of the system on the file ``.lock`` in it, which a process that is killed lets go of.

    Args:
        folder: its path.
        setting: that names it, as messages have it.

    Raises:
        DataError: it cannot be written, or another process holds it.
    """
    claim_folder(folder, setting)
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with os.fdopen(descriptor) as stream:
            process = stream.read(20).strip() or "unknown"
        raise DataError(
            f"{folder}: another run of LDSeg (process {process}) writes to it now; wait for it, or name another in {setting}"
        ) from None
    except OSError:  # a file system without locks
        os.close(descriptor)
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a full disk: the number is only for messages
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        _clear(folder)
        yield
    finally:
        os.close(descriptor)


def _clear(folder: Path) -> None:
    """Remove what runs that were killed left half-written in a folder that is held, and in its subfolders."""
    with contextlib.suppress(OSError, DataError):  # what cannot be removed does no harm
        for path in [*folder.glob(".*.tmp"), *folder.glob(".*.old"), *folder.glob("*/.*.tmp")]:
            if _UNFINISHED.fullmatch(path.name):
                remove(path)


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
        if isinstance(error, FileExistsError):
            reason = "a link that leads nowhere is there" if folder.is_symlink() else "a file is there"
        raise DataError(f"{folder}: expected a folder that can be written, see {setting}: {reason}") from error
