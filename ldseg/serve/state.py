"""What a running server has: its folder, its networks, its results; and how an image goes through it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from fastapi.concurrency import run_in_threadpool

from ldseg.errors import LDSegError
from ldseg.model import Model
from ldseg.serve.datastore import Sessions
from ldseg.serve.results import Kept, Shelf, Wish, keep, segment_to
from ldseg.serve.settings import ServeSettings
from ldseg.serve.uploads import image_in, own_folder, save
from ldseg.serve.worker import Worker

T = TypeVar("T")

Upload = Sequence[tuple[str, IO[bytes]]]


class Told(LDSegError):
    """An error as it is told to who asked: without the folders of the server."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A running server.

    Attributes:
        settings: what it was told.
        folder: of all that it writes.
        worker: the networks.
        shelf: the results that are kept.
        sessions: the images that viewers sent.
    """

    settings: ServeSettings
    folder: Path
    worker: Worker
    shelf: Shelf
    sessions: Sessions = field(default_factory=Sessions)

    async def kept(self, files: Upload, wish: Wish) -> Kept:
        """Segment the image of a request and keep the result, not the image.

        Raises:
            LDSegError: it cannot be segmented.
        """

        def work(image: Path, folder: Path, model: Model) -> Kept:
            return keep(folder, image, wish, model)

        found = await self._with(files, wish, work, leave=True)
        self.shelf.add(found)
        return found

    async def files(self, given: Upload | Path, wish: Wish) -> tuple[dict[str, Path], Path]:
        """Segment the image of a request, or one that is there, and write it.

        Returns:
            the files by format, and the folder that has to be removed when they were sent.

        Raises:
            LDSegError: it cannot be segmented.
        """

        def work(image: Path, folder: Path, model: Model) -> tuple[dict[str, Path], Path]:
            return segment_to(folder / "files", image, wish, model), folder

        return await self._with(given, wish, work, leave=True)

    async def with_image(self, given: Upload | Path, wish: Wish, work: Callable[[Path, Path, Model], T]) -> T:
        """Do something with the image of a request and the networks; nothing stays.

        Args:
            given: the files of the request, or an image that is there.
            wish: the weights.
            work: is given the image, a folder of its own, and the networks.

        Raises:
            LDSegError: it cannot be done.
        """
        return await self._with(given, wish, work, leave=False)

    async def _with(self, given: Upload | Path, wish: Wish, work: Callable[[Path, Path, Model], T], *, leave: bool) -> T:
        axes = self.worker.description(wish.weights).spec.axes
        folder = own_folder(self.folder / "work")
        done = False
        try:
            if isinstance(given, Path):
                # A session of several files is a folder, and so is a series among the images.
                image = await run_in_threadpool(image_in, given, axes) if given.is_dir() else given
            else:
                upload = folder / "upload"
                upload.mkdir()
                inner = await run_in_threadpool(save, given, upload)
                image = await run_in_threadpool(image_in, inner, axes)
            found = await asyncio.wrap_future(self.worker.submit(wish.weights, lambda model: work(image, folder, model)))
            done = True
            return found
        except LDSegError as error:
            raise Told(self.told(error, folder)) from error
        finally:
            # What was sent goes at once, whatever came of it.
            gone = folder / "upload" if done and leave else folder
            await run_in_threadpool(shutil.rmtree, gone, ignore_errors=True)

    def told(self, error: Exception, folder: Path | None = None) -> str:
        """An error in one line, files by their name: where they lie for a moment is nobody's business."""
        line = " ".join(str(error).split())
        inner = list((folder / "upload").glob("*")) if folder else []
        for path in (*inner, *((folder,) if folder else ()), self.folder):
            line = line.replace(f"{path}/", "").replace(f"{path}:", f"{path.name}:")
        return line
