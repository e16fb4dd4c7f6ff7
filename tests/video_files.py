"""Small videos, and files of them."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = (6, 32, 48)  # t, y, x
CODECS = {".avi": "FFV1", ".mp4": "mp4v", ".mov": "mp4v"}


def video(size: tuple[int, ...] = (*SIZE, 3)) -> np.ndarray:
    """A gray square that moves over a ramp in colour."""
    frames = np.zeros(size, np.uint8)
    frames += np.linspace(0, 90, size[2]).astype(np.uint8)[:, np.newaxis] * np.arange(1, size[3] + 1, dtype=np.uint8)
    frames //= 2
    for index, frame in enumerate(frames):
        frame[8:20, 4 + 4 * index : 16 + 4 * index] = 200
    return frames


def moving() -> np.ndarray:
    return (video()[..., 0] == 200).astype(np.int32)


def save_video(path: Path, frames: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        first, *rest = [Image.fromarray(frame).quantize(64) for frame in frames]
        first.save(path, save_all=True, append_images=rest, duration=40)
    else:
        code = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 25, frames.shape[2:0:-1])
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
    return path
