import io
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from ldseg.io.huffman import check_coded

GRAY = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (61, 93)).astype(np.uint8), (0, 0), 1)
COLOUR = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=-1)


def by_pillow(pixels: np.ndarray, mode: str = "", **options: Any) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, "JPEG", **options)
    return stream.getvalue()


CODED = {
    "gray": by_pillow(GRAY),
    "thinned colours": by_pillow(COLOUR),
    "whole colours": by_pillow(COLOUR, subsampling=0),
    "half colours": by_pillow(COLOUR, subsampling=1, optimize=True),
    "four planes": by_pillow(COLOUR, "CMYK"),
    "restart marks": cv2.imencode(".jpg", COLOUR, [cv2.IMWRITE_JPEG_RST_INTERVAL, 4])[1].tobytes(),
    "twelve bits": imagecodecs.jpeg_encode(GRAY.astype(np.uint16) * 16, bitspersample=12),
    "colours of twelve bits": imagecodecs.jpeg_encode(COLOUR.astype(np.uint16) * 16, bitspersample=12),
}


@pytest.mark.parametrize("kind", CODED)
def test_coded_pixels_are_as_many_as_there_should_be(kind: str) -> None:
    content = CODED[kind]
    check_coded(content)
    check_coded(content[:-2] + b"\xff\xff\xd9")  # filled before the mark
    start = content.index(b"\xff\xda") + 20
    for length in (len(content) // 3, len(content) - start - 60):
        for place in (start, len(content) - 20 - length):
            with pytest.raises(ValueError, match="the JPEG file (lacks|has|holds)"):
                check_coded(content[:place] + content[place + length :])


def test_what_is_not_looked_at() -> None:
    check_coded(by_pillow(COLOUR, progressive=True)[:-900])
    check_coded(imagecodecs.ljpeg_encode(GRAY) if imagecodecs.LJPEG.available else b"\xff\xd8")
