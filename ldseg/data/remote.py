"""Cases in an object store: found by the names that lie there, and copied to this machine when their turn comes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ldseg.base.remote import fetch, is_remote, names_in, read_remote, start_of, store_of, url_of
from ldseg.data.cases import Case
from ldseg.errors import DataError
from ldseg.io.names import suffix_of

TABLES = (".csv", ".parquet", ".tsv")
"""What is read whole where cases are looked for: tables of pairs and patients."""

START = 132
"""Bytes by which files are known whose names say nothing."""

COMPANIONS = {
    ".mhd": (".raw", ".zraw", ".raw.gz"),
    ".nhdr": (".raw", ".raw.gz"),
    ".hdr": (".img", ".IMG", ".img.gz"),
    ".mrxs": ("",),
}
"""What stands beside a file that is but the header of an image: the extensions, or a folder of its name."""


@contextlib.contextmanager
def names_here(path: Path) -> Iterator[None]:
    """Let the names below a place be found on this machine, under the very same path, while cases are looked for.

    Layouts look at names, at tables, and at the first bytes of files whose names say nothing; so much is laid out in a
    temporary folder, which is the working folder meanwhile. Files with other names are empty there.

    Raises:
        DataError: there is nothing at the place, or it cannot be looked at.
    """
    names = names_in(path)
    if not names:
        raise DataError(f"{url_of(path)}: no such file or folder, expected an image or a data set")
    with tempfile.TemporaryDirectory(prefix="ldseg-names-") as top, contextlib.chdir(top):
        for name in names:
            place = path / name if name else path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_known_by(place))
        yield


def _known_by(place: Path) -> bytes:
    suffix = suffix_of(place)
    if suffix in TABLES:
        return read_remote(place)
    return start_of(place, START) if not suffix or suffix[1:].isdigit() else b""


@contextlib.contextmanager
def fetched(case: Case) -> Iterator[Case]:
    """A case whose files are on this machine: those that are not are copied to a temporary folder meanwhile.

    Raises:
        DataError: a file cannot be copied.
    """
    places = _places(case)
    if not any(place is not None and is_remote(place) for place in places):
        yield case
        return
    with tempfile.TemporaryDirectory(prefix="ldseg-case-") as top:
        # A folder for each: an image and its label may have one name.
        here = [_here(place, Path(top) / str(index)) for index, place in enumerate(places)]
        image, label, *more = here
        assert image is not None
        channels = tuple(path for path in more[: len(case.channels)] if path)
        annotations = tuple(path for path in more[len(case.channels) :] if path)
        yield replace(case, image=image, label=label, channels=channels, annotations=annotations)


def _places(case: Case) -> list[Path | None]:
    return [case.image, case.label, *case.channels, *case.annotations]


def _here(place: Path | None, folder: Path) -> Path | None:
    if place is None or not is_remote(place):
        return place
    target = folder / place.name
    fetch(place, target)
    for suffix in COMPANIONS.get(place.suffix.lower(), ()):
        beside = place.with_suffix(suffix)
        store, key = store_of(beside)
        if store.exists(key):
            fetch(beside, target.with_suffix(suffix))
    return target


def told_of(case: Case, here: Case, message: str) -> str:
    """A message about files on this machine as one about those that they were copied from."""
    for place, path in zip(_places(case), _places(here), strict=True):
        if place is not None and path is not None and place != path:
            message = message.replace(os.fspath(path), url_of(place))
    return message
