"""Image and labels as OME-Zarr (NGFF 0.5), a pyramid of each: for napari, Fiji and viewers in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.writing import written_folder
from ldseg.outputs import ZARR
from ldseg.writers.contract import Segmentation, Writer

SUFFIX = f"_segmentation{ZARR}"
VERSION = "0.5"
SMALLEST = 256
"""Pixels along the longer side of the last level, at most."""
_CHUNK = 512


def write_omezarr(folder: Path, case: Segmentation) -> Path:
    """Write ``<case>_segmentation.ome.zarr``, as `Writer.write` asks.

    It holds the image as its file stores it, and two images of labels that lie on it: ``segmentation``, the classes with
    their names and colours, and ``objects``, a number for each object.
    """
    import zarr  # here, as few runs write it

    path = folder / f"{case.name}{SUFFIX}"
    with written_folder(path) as place:
        root = zarr.open_group(place, mode="w", zarr_format=3)
        image = np.moveaxis(case.image, -1, case.image.ndim - 1 - len(_space(case.axes)))
        _pyramid(root, image, case, channels=True, name=case.name)
        root.attrs["ome"] = dict(root.attrs["ome"]) | {"omero": {"channels": _channels(case.image)}}
        labels = root.create_group("labels")
        labels.attrs["ome"] = {"version": VERSION, "labels": ["segmentation", "objects"]}
        _labels(labels, "segmentation", case.mask, case, {k: k for k in range(1, len(case.classes))})
        numbered = case.objects.labels
        classes = {int(k): int(case.objects.classes[k]) for k in np.unique(numbered) if k}
        _labels(labels, "objects", numbered, case, classes)
    return path


def _labels(group: Any, name: str, numbers: np.ndarray, case: Segmentation, classes: dict[int, int]) -> None:
    """Write an image of labels, with the class of each number and its colour."""
    own = group.create_group(name)
    small = np.min_scalar_type(int(numbers.max(initial=0)))
    _pyramid(own, numbers.astype(small), case, channels=False, name=name)
    described: dict[str, Any] = {"source": {"image": "../../"}}
    if classes:
        described["colors"] = [{"label-value": k, "rgba": [*case.colours[of], 255]} for k, of in classes.items()]
        described["properties"] = [{"label-value": k, "class": case.classes[of]} for k, of in classes.items()]
    own.attrs["ome"] = dict(own.attrs["ome"]) | {"image-label": described}


def _pyramid(group: Any, values: np.ndarray, case: Segmentation, *, channels: bool, name: str) -> None:
    """Write an image and its smaller copies; of labels the numbers are kept, of an image the mean is taken."""
    axes = case.axes if not channels else f"{'T' if case.axes[0] == 'T' else ''}C{_space(case.axes)}"
    spacing = dict(zip(case.axes, case.spacing or (), strict=False))
    first, datasets = values.shape[-2:], []
    for level, smaller in enumerate(_levels(values, labels=not channels)):
        group.create_array(
            str(level),
            data=np.ascontiguousarray(smaller),
            chunks=(1,) * (smaller.ndim - 2) + tuple(min(_CHUNK, length) for length in smaller.shape[-2:]),
            dimension_names=[axis.lower() for axis in axes],
        )
        ratio = dict(zip("YX", (whole / part for whole, part in zip(first, smaller.shape[-2:], strict=True)), strict=True))
        scale = [spacing.get(axis, 1.0) * ratio.get(axis, 1.0) for axis in axes]
        # The middle of a pixel counts: that of the first one of a smaller copy lies further inside.
        shift = [spacing.get(axis, 1.0) * (ratio.get(axis, 1.0) - 1) / 2 for axis in axes]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if level:
            transforms.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    described = {"name": name, "axes": [_axis(axis, bool(spacing)) for axis in axes], "datasets": datasets}
    group.attrs["ome"] = {"version": VERSION, "multiscales": [described]}


def _levels(values: np.ndarray, *, labels: bool) -> Iterator[np.ndarray]:
    import cv2

    yield values
    while max(values.shape[-2:]) > SMALLEST:
        height, width = (max(1, length // 2) for length in values.shape[-2:])
        if labels:
            rows = (np.arange(height) * 2 + 1) * values.shape[-2] // (2 * height)
            columns = (np.arange(width) * 2 + 1) * values.shape[-1] // (2 * width)
            values = values[..., rows[:, np.newaxis], columns]
        else:
            planes = values.reshape(-1, *values.shape[-2:])
            small = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in planes]
            values = np.stack(small).reshape(*values.shape[:-2], height, width)
        yield values


def _axis(letter: str, known: bool) -> dict[str, str]:
    found = {"name": letter.lower(), "type": {"T": "time", "C": "channel"}.get(letter, "space")}
    return found | ({"unit": "millimeter"} if known and found["type"] == "space" else {})


def _space(axes: str) -> str:
    return axes.removeprefix("T")


def _channels(image: np.ndarray) -> list[dict[str, Any]]:
    """How viewers show the channels: three are red, green and blue, others gray, from the darkest to the brightest value."""
    colours = ("FF0000", "00FF00", "0000FF") if image.shape[-1] == 3 else ("FFFFFF",) * image.shape[-1]
    found = []
    for channel, colour in enumerate(colours):
        low, high = (float(end(image[..., channel])) for end in (np.min, np.max))
        ends = (0.0, 255.0) if image.dtype == np.uint8 else (low, max(high, low + 1e-6))
        window = {"min": ends[0], "max": ends[1], "start": ends[0], "end": ends[1]}
        found.append({"label": f"channel {channel + 1}", "color": colour, "active": True, "window": window})
    return found


OMEZARR = Writer(
    about="image, classes and objects as OME-Zarr, for napari",
    files=SUFFIX,
    write=write_omezarr,
    needs=("zarr",),
    extra="omezarr",
)
