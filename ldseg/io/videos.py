"""Videos: GIF through Pillow, AVI and MP4 through OpenCV."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ldseg.base.later import Later
from ldseg.base.scratch import copy_into, release, scratch
from ldseg.io import apart
from ldseg.io.apart import said_by_decoder
from ldseg.io.codecs import gif_size
from ldseg.io.contract import Content, Format, Refused, check_size, one_line
from ldseg.io.names import suffix_of
from ldseg.io.streams import check_jpeg, colours_of, is_lossless, is_padded

if TYPE_CHECKING:
    from PIL import GifImagePlugin, ImageSequence
else:
    GifImagePlugin, ImageSequence = Later("PIL.GifImagePlugin"), Later("PIL.ImageSequence")

GIF_SUFFIX = ".gif"
VIDEO_SUFFIXES = (GIF_SUFFIX, ".avi", ".mp4", ".m4v", ".mov")
MOST_FRAMES = 1 << 16
"""Frames that a video may have."""
_HELD = 64
"""Frames that are in memory while it is decoded."""
_EXACT = (
    *("ffv1", "hfyu", "ffvh", "ulrg", "ulra", "m8rg", "m8ra", "lags", "mpng", "png", "png1", "8bps"),
    *("mrle", "rle", "zlib", "mszh", "zmbv", "rgba", "dib", "raw", ""),
)
"""Codings of frames, by their letters in small (programs write either), that keep their values."""
_STRICT = {"VP90": "libvpx-vp9", "vp09": "libvpx-vp9"}
"""Decoders that notice where coded bytes do not end where they should; FFmpeg's own give the same frames, and do not."""
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
"""The environment variable by which OpenCV lets a decoder be chosen."""
_ERROR = 16
"""The level of FFmpeg's errors; what is less has higher numbers."""
_CONCEALED = "concealing "
"""What decoders say, not as an error, as they fill in blocks that they did not find."""
_HARMLESS = ("APP fields", "mmco: unref", "co located POC", "codec parameters")
"""What FFmpeg calls an error and passes over without loss."""
_BOXES = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"udta",
    b"uuid",
    b"meta",
    b"moof",
    b"mfra",
    b"sidx",
    b"pdin",
)

# What is wrong goes into the DataError, not to the screen. OpenCV reads this when it first opens a video; the other process
# of `ldseg.io.apart` asks for errors and reads them.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class _OtherDecoderError(ValueError):
    """More than 8 bits, which the strict decoder may have been built without."""


def read_video(path: Path, axes: str, label: bool = False) -> Content:
    """Read a video as `Format.read` asks: uint8 (T, H, W, 3), red first."""
    frames, lossy = (_read_gif(path), "") if suffix_of(path) == GIF_SUFFIX else _read_frames(path)
    if not len(frames):
        raise ValueError("found no frame in it")
    return Content(values=frames, lossy=lossy)


def _read_gif(path: Path) -> np.ndarray:
    check_size((path.stat().st_size,), 1)
    with path.open("rb") as stream:
        count, height, width = gif_size(stream)
        _check_count(max(count, 1), height, width)
        frames, read = scratch((count, height, width, 3), np.uint8), 0
        stream.seek(0)
        with GifImagePlugin.GifImageFile(stream) as video:
            for read, frame in enumerate(ImageSequence.Iterator(video), start=1):
                if read <= count:
                    frames[read - 1] = frame.convert("RGB")
                if read % _HELD == 0:
                    release(frames)
    if read != count:
        raise ValueError(f"{read} of {count} frames can be read")
    return frames


def _check_count(frames: int, height: int, width: int) -> None:
    """Raises Refused for more frames than are read."""
    check_size((frames, height, width, 3), 1)
    if frames > MOST_FRAMES:
        raise Refused(f"more than {MOST_FRAMES} frames; cut it into parts")


def _read_frames(path: Path) -> tuple[np.ndarray, str]:
    """The frames, and the coding that has changed their values, if any."""
    edited = _check_boxes(path)
    apart.needed()
    level = cv2.utils.logging.setLogLevel(0)
    try:
        frames, declared, coding = _decoded(path)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if 0 < len(frames) < declared and not edited and len(frames) != pictures_in_avi(path):
        raise ValueError(f"{len(frames)} of {declared} frames can be read")
    return frames, "" if coding.lower() in _EXACT else f"video ({coding})"


def _decoded(path: Path) -> tuple[np.ndarray, int, str]:
    """The frames (T, H, W, 3), few of them in memory at a time, how many the file declares, and the coding."""
    video = _opened(path)
    try:
        if not video.isOpened():
            raise ValueError("it cannot be opened as a video")
        coding = _coding_of(video)
        if coding in _STRICT and (other := _opened(path, _STRICT[coding])).isOpened():
            video = other
        height, width = (int(video.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        declared = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        # As a video is opened its sound is tried too, and of that decoders tell what is no matter here.
        with said_by_decoder() as said:
            try:
                frames = _frames_of(video, height, width, said)
            except _OtherDecoderError:
                video = _opened(path)
                said()
                frames = _frames_of(video, height, width, said)
        if coding == "MJPG":
            _check_jpegs(path)
        return frames, declared, coding
    finally:
        video.release()


def _opened(path: Path, decoder: str = "", coded: bool = False) -> cv2.VideoCapture:
    """A video that FFmpeg reads, with its usual decoder or another one, or whose frames it leaves coded."""
    before = os.environ.get(_OPTIONS)
    if decoder:
        os.environ[_OPTIONS] = f"video_codec;{decoder}"
    try:
        # In several threads what is damaged comes out as it happens, and at times nobody tells of it.
        told = [cv2.CAP_PROP_N_THREADS, 1, *((cv2.CAP_PROP_FORMAT, -1) if coded else ())]
        return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, told)
    finally:
        if decoder:
            os.environ.pop(_OPTIONS)
            os.environ |= {} if before is None else {_OPTIONS: before}


def _coding_of(video: cv2.VideoCapture) -> str:
    """The letters of its coding."""
    letters = int(video.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    return letters.to_bytes(4, "little").decode("latin-1").strip("\0 ")


def _frames_of(video: cv2.VideoCapture, height: int, width: int, said: Callable[[], list[str]]) -> np.ndarray:
    frames, count = np.empty((0, height, width, 3), np.uint8), 0
    while True:
        _check_count(count + 1, height, width)
        done, frame = video.read()
        _check_said(said(), count + 1)
        if not done:
            return frames[:count]
        if count == len(frames):
            frames = _grown(frames, frame.shape)
        if frame.shape != frames.shape[1:]:
            raise ValueError(f"frames of two sizes, {frames.shape[1:3]} and {frame.shape[:2]}")
        frames[count] = frame[..., ::-1]
        count += 1
        if count % _HELD == 0:
            release(frames)


def _grown(frames: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The frames in twice as much room."""
    found = scratch((max(2 * len(frames), _HELD), *shape), np.uint8)
    if len(frames):
        copy_into(found, frames)
    return found


def _check_said(said: list[str], frame: int) -> None:
    """Decoders hide what is damaged behind what was before, and tell of it.

    Args:
        said: the lines that came since the frame before.
        frame: the number of the frame, from 1, that was asked for: decoders of frames that refer to later ones read ahead.

    Raises:
        Refused: frames that OpenCV cannot turn to colours: it gives whatever was in memory.
        ValueError: a frame was not decoded as it was stored.
    """
    lines = [found.groups() for line in said if (found := re.match(r"\[OPENCV:FFMPEG:(\d+)\] (.*)", line))]
    errors = [text for level, text in lines if int(level) <= _ERROR or _CONCEALED in text]
    if any("hardware accelerated AV1" in text for text in errors):
        raise Refused("it is coded in AV1, which is not read; code it anew (ffmpeg -i IN -c:v libx264 -crf 12 OUT)")
    if any("interlaced" in text for text in errors):
        raise Refused("its frames are interlaced, which is not read; make them whole first (ffmpeg -i IN -vf yadif OUT)")
    if frame == 1 and any("Unsupported bitstream profile" in text for text in errors):
        raise _OtherDecoderError
    told = next((text for text in errors if not any(word in text for word in _HARMLESS)), "")
    if told:
        raise ValueError(f"near frame {frame} its decoder says: {told}")


def _check_jpegs(path: Path) -> None:
    """Frames that are JPEGs, each for itself, have all of their pixels: FFmpeg tells of fewer gaps than TurboJPEG does.

    Raises:
        ValueError: one has not.
    """
    video, number = _opened(path, coded=True), 0
    try:
        while (frame := video.read())[0]:
            number += 1
            # Cameras leave out the end mark, and add a few bytes before it.
            content = frame[1].tobytes() + b"\xff\xd9"
            try:
                if content.startswith(b"\xff\xd8") and not is_lossless(content) and colours_of(content):
                    check_jpeg(content)
            except ValueError as error:
                if not is_padded(error):
                    raise ValueError(f"frame {number}: {one_line(error)}") from error
    finally:
        video.release()


def _check_boxes(path: Path) -> bool:
    """The outermost parts of an AVI or MP4 end where the file does, or before.

    Returns:
        whether a list of edits may leave out frames that are in the file.
    """
    end = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        if head.startswith(b"RIFF"):
            _check_end(8 + struct.unpack_from("<I", head, 4)[0], end)
        elif head[4:8] == b"ftyp":
            place, edited, media = 0, False, False
            while place + 8 <= end:
                stream.seek(place)
                size, kind = struct.unpack(">I4s", stream.read(8))
                if size == 1:
                    (size,) = struct.unpack(">Q", stream.read(8).ljust(8, b"\0"))
                if kind not in _BOXES and not (kind.isalnum() and 8 <= size <= end - place):
                    break  # bytes behind the last part, which no player looks at
                if size == 0:  # to the end of the file
                    size = end - place
                _check_end(place + size, end)
                if kind == b"moov":
                    told = stream.read(min(size, 1 << 26))
                    edited = b"elst" in told
                    _check_upright(told)
                media = media or kind in (b"mdat", b"moof")
                place += max(size, 8)
            if not media:
                raise ValueError(f"the file ends early, at byte {end}")
            return edited
    return False


def _check_upright(told: bytes) -> None:
    """Raises Refused for frames that players mirror, by the matrix of a track (ISO 14496-12, 8.3.2): OpenCV only turns."""
    place = told.find(b"tkhd")
    while place >= 0:
        start = place + (44 if told[place + 4 : place + 5] == b"\0" else 56)
        if start + 20 <= len(told):
            across, down, _, back, up = struct.unpack_from(">5i", told, start)
            if across * up - down * back < 0:
                raise Refused("its frames are to be mirrored, which is not done; write them so (ffmpeg -i IN OUT)")
        place = told.find(b"tkhd", place + 4)


def pictures_in_avi(path: Path) -> int:
    """The frames that an AVI holds, without those that are empty: there the frame before stays; -1 for another file."""
    found, end = 0, path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(4) != b"RIFF":
            return -1
        place = 12
        while place + 12 <= end:
            stream.seek(place)
            kind, size, inside = struct.unpack("<4sI4s", stream.read(12))
            if kind == b"LIST" and inside in (b"movi", b"rec "):
                place += 12
                continue
            found += kind[2:] in (b"dc", b"db") and size > 0
            place += 8 + size + size % 2
    return found


def _check_end(declared: int, end: int) -> None:
    if declared > end:
        raise ValueError(f"the file ends at byte {end}, what it holds at byte {declared}")


VIDEO = Format(
    thing="video",
    suffixes=VIDEO_SUFFIXES,
    axes=("TYX",),
    read=read_video,
    masks=dict.fromkeys(VIDEO_SUFFIXES, ".tif"),
    maps=".tif",
)
