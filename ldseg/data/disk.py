"""Prepared cases on disk, for training on more than memory holds: mapped into memory, not decoded again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import mmap
import os
import re
import secrets
import shutil
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.data.cases import Case
from ldseg.io.names import suffix_of
from ldseg.version import __version__

logger = logging.getLogger(__name__)

FORMAT = 1
HEADER = 256
"""Bytes before the arrays, which are a line of JSON and blanks."""

ELSEWHERE = (".mhd", ".nhdr", ".hdr", ".img")
"""Headers, whose values lie in other files: what these hold is not told by them, so such cases are not kept."""

YOUNG = 2.0
"""Seconds in which a file may change twice without its times telling: what is that young is looked at again."""

ABANDONED = 3600.0
"""Seconds after which a file that is still half-written is that of a process that was killed."""

SPARE = 0.05
"""Share of a disk that is left free."""

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")

Prepared = tuple[np.ndarray, np.ndarray]
"""Image float32 ``(*S, c)`` in [0, 1] and label int32 ``(*S)`` on the grid of the network."""


@dataclass(frozen=True)
class Key:
    """What a case was made of when it was looked at.

    Attributes:
        digest: of the content of its files and of how they are prepared.
        state: of its files: a digest of their sizes, times and places on disk.
    """

    digest: str
    state: bytes


class DiskCache:
    """A folder of prepared cases that all trainings of a user share, of bounded size.

    A case is found by the content of its files, read once by each process, and by how it is prepared: a file that changes,
    is moved or copied gives the case that it holds now. What this process has not used goes first when the folder is full;
    when all of it was used, nothing more is kept, as every epoch goes through all cases. Processes need not know of each
    other: files appear whole, under names that tell their content, and one that has gone is made again.

    Args:
        folder: where; made when the first case is kept.
        most: bytes that all files in it may have.
        rules: how cases are prepared, in plain values.
    """

    def __init__(self, folder: Path, most: int, rules: Mapping[str, Any]) -> None:
        self.folder = folder
        self._most = most
        text = json.dumps([FORMAT, __version__, rules], sort_keys=True, default=str)
        self._rules = hashlib.sha256(text.encode()).hexdigest()
        self._keys: dict[str, Key] = {}
        self._trusted: set[str] = set()
        self._lock = threading.Lock()
        self._began = time.time()
        self._held = 0
        self._since_look = most  # look before the first is kept
        self._others: list[tuple[float, int, str]] = []
        self._closed = most <= 0

    def key(self, case: Case) -> Key | None:
        """What a case is made of now; None where that cannot be told, or is not to be kept."""
        paths = [path for path in (case.image, *case.channels, case.label) if path is not None]
        try:
            if any(suffix_of(path) in ELSEWHERE for path in paths):
                return None
            files = [(number, file) for number, path in enumerate(paths) for file in _files(path)]
            state, newest = _state(file for _, file in files)
            known = self._keys.get(case.name)
            if known is not None and known.state == state:
                return known
            digest = hashlib.sha256(self._rules.encode())
            for number, file in files:
                with file.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
                digest.update(f"{number} {file.name} {content}\n".encode(errors="surrogateescape"))
        except OSError:
            return None  # reading it tells what is wrong
        key = Key(digest.hexdigest(), state)
        if time.time() - newest > YOUNG:
            self._keys[case.name] = key
        return key

    def load(self, key: Key) -> Prepared | None:
        """A case that was kept; None where there is none, or one that was damaged."""
        path = self._path(key)
        try:
            with path.open("rb") as stream:
                content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            head = json.loads(content[:HEADER])
            if key.digest not in self._trusted:
                if zlib.crc32(memoryview(content)[HEADER:]) != head["crc"]:
                    raise ValueError("damaged")
                os.utime(path)  # used by this process
                self._trusted.add(key.digest)
            image = np.frombuffer(content, head["image"], offset=HEADER, count=int(np.prod(head["size"]) * head["channels"]))
            label = np.frombuffer(content, head["label"], offset=HEADER + image.nbytes)
            image = image.reshape(*head["size"], head["channels"])
            return _restored(image), label.reshape(head["size"]).astype(np.int32)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            with contextlib.suppress(OSError):
                path.unlink()
            return None

    def keep(self, case: Case, key: Key, prepared: Prepared) -> None:
        """Keep a case that was read after `key` was made; not if its files have changed since, nor if there is no room."""
        if self._closed:  # what was kept is still found
            return
        image, label = _narrow(prepared[0]), prepared[1]
        label = label.astype(np.min_scalar_type(int(label.max()))) if label.min() >= 0 else label
        arrays = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (image, label)]
        head = {
            "crc": zlib.crc32(arrays[1].data, zlib.crc32(arrays[0].data)),
            "size": list(label.shape), "channels": image.shape[-1], "image": image.dtype.str, "label": label.dtype.str,
        }  # fmt: skip
        needed = HEADER + sum(array.nbytes for array in arrays)
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with self._lock:
                if not self._room_for(needed):
                    return
            if self.key(case) != key:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as stream:
                    stream.write(json.dumps(head).encode().ljust(HEADER))
                    for array in arrays:
                        stream.write(array.data)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            self._close(f"nothing more is kept in {self.folder}: {error.strerror or error}")
            return
        self._trusted.add(key.digest)

    def _path(self, key: Key) -> Path:
        return self.folder / key.digest[:2] / f"{key.digest}.case"

    def _room_for(self, needed: int) -> bool:
        """Whether so many bytes may be written, which then count; what this process has not used makes way for them."""
        if self._since_look >= self._most // 16:  # other processes write as well
            self._look()
        while self._held + needed > self._most and self._others:
            _, size, name = self._others.pop()
            if os.path.basename(name).removesuffix(".case") not in self._trusted:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                self._held -= size
        self.folder.mkdir(parents=True, exist_ok=True)
        disk = shutil.disk_usage(self.folder)
        if self._held + needed > self._most or disk.free - needed < SPARE * disk.total:
            full = f"{self._most / 1e6:.0f} MB" if self._held + needed > self._most else "the disk"
            self._close(f"{self.folder} is full ({full}): further cases are decoded each time, see [Training] DiskCache")
            return False
        self._held += needed
        self._since_look += needed
        return True

    def _look(self) -> None:
        """Take stock of the folder, and remove what killed processes left half-written in it."""
        if not self.folder.is_dir():
            logger.info("cases that do not fit into memory are kept in %s, up to %.0f MB", self.folder, self._most / 1e6)
        self._held, self._since_look, self._others, now = 0, 0, [], time.time()
        for entry in _entries(self.folder):
            with contextlib.suppress(OSError):  # other processes remove files as well
                status = entry.stat(follow_symlinks=False)
                if _UNFINISHED.fullmatch(entry.name) and now - status.st_mtime > ABANDONED:
                    os.unlink(entry.path)
                    continue
                self._held += status.st_size
                if entry.name.endswith(".case") and status.st_mtime < self._began:
                    self._others.append((status.st_mtime, status.st_size, entry.path))
        self._others.sort(reverse=True)  # the oldest comes last, and goes first

    def _close(self, line: str) -> None:
        if not self._closed:
            logger.warning("%s", line)
        self._closed = True


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The files in the folders of a folder."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as places:
        for place in places:
            if place.is_dir(follow_symlinks=False) and len(place.name) == 2:
                with contextlib.suppress(FileNotFoundError), os.scandir(place.path) as entries:
                    yield from entries


def _files(path: Path) -> list[Path]:
    """The files of an image or a label: itself or, of a folder, all in it."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _state(files: Iterable[Path]) -> tuple[bytes, float]:
    """A digest of what the system says of files, and when the last of them changed, in seconds as `time.time` has them."""
    digest, newest = hashlib.blake2b(digest_size=16), 0.0
    for file in files:
        status = file.stat()
        newest = max(newest, status.st_ctime)
        told = file, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
        digest.update(repr(told).encode(errors="surrogateescape"))
    return digest.digest(), newest


def _narrow(image: np.ndarray) -> np.ndarray:
    """An image float32 in 8 bits where it is one of 8 bits over 255, value for value; else as it is."""
    found = np.rint(image * 255).astype(np.uint8)
    return found if np.array_equal(_restored(found), image) else np.asarray(image, np.float32)


def _restored(image: np.ndarray) -> np.ndarray:
    """The inverse of `_narrow`."""
    return image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image
