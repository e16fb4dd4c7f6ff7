"""Places in object stores, and in other file systems that fsspec knows, spelt as paths: ``s3:/bucket/folder``.

A path keeps one slash of the two that an address has. So all that works on names of files works on them, too.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ldseg.errors import DataError, UnwrittenError

WHOLE = ("abfs", "abfss", "az", "gcs", "gs", "memory", "s3", "s3a")
"""Kinds of places where a file is there whole or not at all, so that results can be written to them."""

NEEDED = "pip install 'ldseg[archive]'"

_KIND = re.compile(r"([a-z][a-z0-9+.-]+):")


def is_remote(path: Path) -> bool:
    """Whether a path is a place that is reached by fsspec, and not one of this machine."""
    return len(path.parts) > 1 and _KIND.fullmatch(path.parts[0]) is not None


def url_of(path: Path) -> str:
    """The address of a place, as others spell it; of a path of this machine its text."""
    return f"{path.parts[0]}//{'/'.join(path.parts[1:])}" if is_remote(path) else str(path)


def spelt(text: str) -> str:
    """A message in which places have their addresses."""
    return re.sub(r"(?<![\w/])(s3a?|gs|gcs|abfss?|az|memory|https?|hdfs|sftp):/(?=[^/])", r"\1://", text)


def store_of(path: Path) -> tuple[Any, str]:
    """The file system that a place lies in, and its name there.

    What it needs to be let in, such as keys and the address of a server of one's own, the libraries behind fsspec take from
    the environment and the files of their makers.

    Raises:
        DataError: there is no such kind of file system, or what reaches it is not installed.
    """
    url = url_of(path)
    if path.parts[0] == "file:":
        raise DataError(f"{url}: expected an address of a file of this machine, such as file:///folder/a.png")
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise DataError(f"{url}: places in object stores need fsspec, which is not installed: {NEEDED}") from error
    try:
        store, key = url_to_fs(url)
    except ImportError as error:
        raise DataError(f"{url}: {_line(error)}") from error
    except ValueError as error:
        raise DataError(
            f"{url}: expected a kind of place that fsspec knows, such as s3:// or gs://: {_line(error)}"
        ) from error
    return store, str(key)


@contextlib.contextmanager
def _told(path: Path, what: str, kind: type[DataError] = DataError) -> Iterator[None]:
    """Errors of any library as one line that names the place."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # each library has errors of its own
        raise kind(f"{url_of(path)}: cannot be {what}: {_line(error) or type(error).__name__}") from error


def names_in(path: Path) -> list[str]:
    """The names of all files below a place, from it on; of a file an empty name alone; nothing where there is nothing.

    Keys that end in a slash mark folders and are no files.

    Raises:
        DataError: it cannot be looked at, or a name would lead out of a folder that it is joined to.
    """
    store, key = store_of(path)
    with _told(path, "looked at"):
        store.invalidate_cache()
        found = store.find(key)
    start = key.strip("/")
    below = (str(name).lstrip("/") for name in found if not str(name).endswith("/"))
    names = sorted(name.removeprefix(start).removeprefix("/") for name in below if f"{name}/".startswith(f"{start}/"))
    for name in names:
        # Any text is a key of a store, but not a path below a folder of this machine.
        if ".." in (*path.parts, *Path(name).parts) or Path(name).is_absolute():
            url = f"{url_of(path)}/{name}" if name else url_of(path)
            raise DataError(f"{url}: expected a name below its folder, without '..' and '//', found another")
    return names


def start_of(path: Path, count: int) -> bytes:
    """The first bytes of a file; fewer where it has fewer."""
    store, key = store_of(path)
    with _told(path, "read"):
        found: bytes = store.cat_file(key, start=0, end=count)
    return found


def read_remote(path: Path) -> bytes:
    """What a file holds.

    Raises:
        DataError: it cannot be read.
    """
    store, key = store_of(path)
    with _told(path, "read"):
        found: bytes = store.cat_file(key)
    return found


def fetch(path: Path, target: Path) -> None:
    """Copy a file, or a folder with all that is in it, to this machine.

    Raises:
        DataError: it is not there, or cannot be read or copied.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    store, key = store_of(path)
    # A file as a rule; some stores make an empty folder of a folder, others say that there is no such file.
    with _told(path, "copied to this machine"), contextlib.suppress(FileNotFoundError, IsADirectoryError):
        store.get_file(key, str(target))
    if target.is_file():
        return
    names = [name for name in names_in(path) if name]
    if not names:
        raise DataError(f"{url_of(path)}: no such file or folder, expected an image or a label")
    for name in names:
        place, here = path / name, target / name
        with _told(place, "copied to this machine"):
            here.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(store_of(place)[1], str(here))


def write_remote(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        UnwrittenError: it cannot be written.
    """
    store, key = store_of(path)
    with _told(path, "written", UnwrittenError):
        store.pipe_file(key, content)


def send(source: Path, target: Path) -> None:
    """Copy a file of this machine to a place, whole or not at all.

    Raises:
        UnwrittenError: it cannot be written.
    """
    store, key = store_of(target)
    with _told(target, "written", UnwrittenError):
        store.put_file(str(source), key)


def remove_remote(paths: Iterable[Path]) -> None:
    """Remove files that are there.

    Raises:
        DataError: one cannot be removed.
    """
    for path in paths:
        store, key = store_of(path)
        with _told(path, "removed"):
            store.rm_file(key)


def check_written_whole(path: Path, setting: str) -> None:
    """Make sure that results can be written to a place.

    Raises:
        DataError: it is of a kind where a file may be there in part.
    """
    kind = path.parts[0].rstrip(":")
    if kind not in WHOLE:
        wanted = f"expected a folder, or a place of kind {', '.join(WHOLE)}, where files are written whole or not at all"
        raise DataError(f"{setting}: {wanted}, got {url_of(path)}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
