"""Films: GIF through Pillow, AVI and MP4 through OpenCV."""

import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageSequence

from ldseg.errors import DataError
from ldseg.io.integrity import check_film
from ldseg.io.names import suffix_of
from ldseg.io.pictures import DECODER_ERRORS

GIF_SUFFIX = ".gif"
FILM_SUFFIXES = (GIF_SUFFIX, ".avi", ".mp4", ".m4v", ".mov")

# What is wrong goes into the DataError, not to the screen. Read by OpenCV when it first opens a film.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def read_film(path: Path) -> np.ndarray:
    """Read a film as uint8 (T, H, W, 3), red first.

    Raises DataError for a file that is missing, damaged, cut short, or without frames.
    """
    try:
        check_film(path)
        frames = _read_gif(path) if suffix_of(path) == GIF_SUFFIX else _read_video(path)
    except DECODER_ERRORS as error:
        text = (error.strerror if isinstance(error, OSError) else None) or error
        raise DataError(f"{path}: not a readable film (damaged, cut short or not supported): {text}") from error
    if not frames:
        raise DataError(f"{path}: expected a film, found no frame in it")
    return np.stack(frames)


def _read_gif(path: Path) -> list[np.ndarray]:
    with Image.open(path, formats=("GIF",)) as film:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]


def _read_video(path: Path) -> list[np.ndarray]:
    level = cv2.utils.logging.setLogLevel(0)
    try:
        film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        try:
            if not film.isOpened():
                raise ValueError("it cannot be opened as a video")
            film.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # a label has the pixel order of its image
            declared, frames = int(film.get(cv2.CAP_PROP_FRAME_COUNT)), []
            while True:
                done, frame = film.read()
                if not done:
                    break
                frames.append(np.ascontiguousarray(frame[..., ::-1]))
        finally:
            film.release()
    finally:
        cv2.utils.logging.setLogLevel(level)
    if 0 < len(frames) < declared:
        raise ValueError(f"{len(frames)} of {declared} frames can be read")
    return frames
