"""What a page shows of a result: planes of small arrays, drawn when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ldseg.errors import DataError
from ldseg.result import Result
from ldseg.viz import latent_to_rgb, overlay
from ldseg.viz.overlays import colour_of, fit, fit_labels
from ldseg.viz.style import CLASS_COLOURS, class_bytes
from ldseg.viz.uncertainty import heat
from ldseg.viz.view import largest_plane, stretched, to_uint8

SIDE = 1400
"""Most pixels along a side of what is shown; files have the full size."""

SMALLEST = 384
"""Pixels along the longer side that small pictures are enlarged to, so that outlines are fine lines."""

KINDS = ("image", "overlay", "mask", "uncertainty")
STEP_KINDS = ("latent", "step")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A result as it is shown, its planes along the first axis; one of a picture.

    Attributes:
        image: uint8 ``(P, h, w, 1 or 3)``.
        mask: classes ``(P, h, w)``.
        entropy: uint8 ``(P, h, w)``, 255 for the highest there is.
        colours: red, green and blue of each class.
        aspect: width by height of a plane in the world.
        trace: the arrays of `trace_arrays`.
    """

    image: np.ndarray
    mask: np.ndarray
    entropy: np.ndarray
    colours: tuple[tuple[int, int, int], ...]
    aspect: float
    trace: Mapping[str, np.ndarray]

    @property
    def planes(self) -> int:
        """How many planes there are."""
        return len(self.mask)

    @property
    def largest(self) -> int:
        """The plane with the largest object."""
        return largest_plane(self.mask, 0)

    @property
    def _hex(self) -> tuple[str, ...]:
        return tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in self.colours)

    def write(self, folder: Path, trace: Mapping[str, np.ndarray]) -> None:
        """Put it into a folder, with the arrays of a trace."""
        own = {"image": self.image, "mask": self.mask, "entropy": self.entropy, "colours": np.array(self.colours)}
        for name, array in {**own, "aspect": np.array(self.aspect), **trace}.items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def read(cls, folder: Path) -> Shown:
        """From a folder; the arrays stay on the disk."""
        found: dict[str, Any] = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
        own = {name: found.pop(name) for name in ("image", "mask", "entropy")}
        colours = tuple(tuple(int(part) for part in colour) for colour in found.pop("colours"))
        return cls(colours=colours, aspect=float(found.pop("aspect")), trace=found, **own)  # type: ignore[arg-type]

    def plane(self, kind: str, at: int) -> np.ndarray:
        """A picture ``(h, w, 3)`` of a plane: one of `KINDS`.

        Raises:
            DataError: there is no such plane or kind.
        """
        _within("plane", at, self.planes)
        size = _enlarged(self.mask.shape[1:])
        if kind == "image":
            return _resized(np.asarray(self.image[at]), size)
        if kind == "uncertainty":
            return heat(np.asarray(self.entropy[at], np.float32) / 255, 1.0, size)
        mask = fit_labels(np.asarray(self.mask[at], np.int32), size[1], size[0])
        if kind == "mask":
            return _painted(mask, self.colours)
        if kind == "overlay":
            image = _resized(np.asarray(self.image[at]), size)
            return overlay(image.astype(np.float32) / 255, mask, colours=self._hex)
        raise DataError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")

    def step(self, kind: str, number: int, at: int) -> np.ndarray:
        """A picture ``(h, w, 3)`` of a step of the diffusion: its ``latent``, or the mask that is decoded from it.

        Raises:
            DataError: there is no such step, plane or kind.
        """
        if "steps" not in self.trace:
            raise DataError("step: the states of this result were not kept")
        _within("plane", at, self.planes)
        masks, latents = self.trace["steps"], self.trace["latents"]
        _within("step", number, len(masks))
        size = _enlarged(masks.shape[2:])
        if kind == "latent":
            plane = latents[number, at * latents.shape[1] // self.planes]
            return fit(np.asarray(plane), size[1], size[0], smooth=False)
        if kind == "step":
            place = at * masks.shape[1] // self.planes
            image = _resized(np.asarray(self.trace["step_image"][place]), size)
            mask = fit_labels(np.asarray(masks[number, place], np.int32), size[1], size[0])
            return overlay(image.astype(np.float32) / 255, mask, colours=self._hex)
        raise DataError(f"kind: expected one of {', '.join(STEP_KINDS)}, got {kind!r}")


def shown_of(result: Result) -> Shown:
    """What is shown of a result."""
    colours = class_bytes(len(result.classes), result.colours or CLASS_COLOURS)
    spacing = (1.0, 1.0) if result.spacing is None else result.spacing[-2:]
    tall, wide = result.mask.shape[-2:]
    size = _bounded((tall, wide))
    mask = _stack(result.mask)
    small = np.stack([fit_labels(plane, size[1], size[0]) for plane in mask]) if size != (tall, wide) else mask
    return Shown(
        image=_small(_visible(result.image), size),
        mask=small.astype(np.uint8 if len(colours) <= 256 else np.uint16),
        entropy=_small(to_uint8(np.array(_stack(result.entropy), np.float32))[..., np.newaxis], size)[..., 0],
        colours=colours,
        aspect=wide * spacing[1] / (tall * spacing[0]),
        trace={},
    )


def trace_arrays(result: Result) -> tuple[dict[str, np.ndarray], list[int]]:
    """The steps of the diffusion as small arrays, and the time of each; nothing where states were not kept."""
    trace = result.trace
    if trace is None:
        return {}, []
    masks, latents = np.asarray(trace.masks), latent_to_rgb(trace.latents)
    if masks.ndim == 3:
        masks, latents = masks[:, np.newaxis], latents[:, np.newaxis]
    image = _small(_visible(np.asarray(trace.image)), masks.shape[2:])
    steps = masks.astype(np.uint8 if len(result.classes) <= 256 else np.uint16)
    return {"steps": steps, "latents": latents, "step_image": image}, [int(time) for time in np.asarray(trace.times)]


def png(picture: np.ndarray) -> bytes:
    """A picture ``(h, w, 3)`` as a file."""
    done, content = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return content.tobytes()


def _visible(image: np.ndarray) -> np.ndarray:
    """``(*S, c)`` in [0, 1] to uint8 ``(P, h, w, 1 or 3)``; of channels that are no colours the first."""
    stack = image if image.ndim == 4 else image[np.newaxis]
    if stack.shape[-1] == 3:
        return to_uint8(np.clip(np.nan_to_num(stack), 0, 1))
    gray = np.nan_to_num(stack[..., :1])
    return to_uint8(np.clip(stretched(gray) if image.ndim == 4 else gray, 0, 1))


def _stack(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 3 else values[np.newaxis]


def _small(stack: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    if stack.shape[1:3] == tuple(size):
        return stack
    return np.stack([fit(plane, size[1], size[0], smooth=True).reshape(*size, stack.shape[-1]) for plane in stack])


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, SIDE / max(size))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def _enlarged(size: tuple[int, ...]) -> tuple[int, int]:
    scale = max(1, SMALLEST // max(size))
    return size[0] * scale, size[1] * scale


def _resized(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 ``(h, w, 1 or 3)`` to uint8 ``(*size, 3)``."""
    found = plane if plane.shape[:2] == size else fit(plane, size[1], size[0], smooth=True).reshape(*size, plane.shape[-1])
    return np.repeat(found, 3, axis=-1) if found.shape[-1] == 1 else found


def _painted(mask: np.ndarray, colours: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    return np.asarray(colour_of(mask, np.array(colours, np.uint8)), np.uint8)


def _within(name: str, value: int, count: int) -> None:
    if not 0 <= value < count:
        raise DataError(f"{name}: expected 0 to {count - 1}, got {value}")
