"""Pictures inside a page: scaled down, as data URIs, and no more of them than a page can carry."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ldseg.base.later import Later
from ldseg.errors import DataError
from ldseg.io.pictures import read_image

if TYPE_CHECKING:
    from PIL import Image
else:
    Image = Later("PIL.Image")

logger = logging.getLogger(__name__)


COLOURS = 4096
"""A picture of more colours is a photograph, not a chart."""

KEPT = 16
"""Pictures that are kept in memory."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a page: its data URI, its size in pixels, and the file that it was made from."""

    uri: str
    width: int
    height: int
    path: Path


class Pictures:
    """Makes pictures until their bytes are used up; from the first for which there is no room, none is looked at.

    Attributes:
        left_out: files for which there were no bytes left.

    Args:
        max_bytes: what all of them may take in the page.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._seen: dict[Path, Image.Image] = {}
        self.left_out: list[Path] = []

    def take(self, path: Path, width: int) -> Picture | None:
        """The picture, at most that many pixels wide, or twice as many if it is more than twice as wide as high.

        None where there is no such file, a damaged one, or no room for it.
        """
        if self.left_out:
            if path.is_file():
                self.left_out.append(path)
            return None
        image = self._read(path)
        if image is None:
            return None
        image = image.copy()
        if image.width > 2 * image.height:
            width *= 2  # several panels side by side
        image.thumbnail((width, 3 * width))
        uri = _uri(image)
        if len(uri) > self._left:
            self.left_out.append(path)
            return None
        self._left -= len(uri)
        return Picture(uri=uri, width=image.width, height=image.height, path=path)

    def _read(self, path: Path) -> Image.Image | None:
        """The picture of a file; the first are kept, as they are shown large and small. None where there is none."""
        if path not in self._seen:
            if not path.is_file():
                return None
            try:
                pixels = read_image(path)
            except DataError as error:
                logger.warning("not in the report: %s", error)
                return None
            image = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.uint8))
            if len(self._seen) == KEPT:
                return image
            self._seen[path] = image
        return self._seen[path]


def _uri(image: Image.Image) -> str:
    """Charts as PNG, which keeps lines and words sharp, photographs as JPEG, which takes less than half of it."""
    stream = BytesIO()
    photograph = image.getcolors(COLOURS) is None
    if photograph:
        image.save(stream, "JPEG", quality=82)
    else:
        image.save(stream, "PNG")
    kind = "jpeg" if photograph else "png"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
