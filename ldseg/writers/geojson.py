"""Objects as GeoJSON (RFC 7946) for QuPath: outlines in pixels of the whole image, classes, colours, measurements."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldseg.base.spatial import Mask
from ldseg.base.writing import write_text
from ldseg.writers.contract import Segmentation, Writer
from ldseg.writers.objects import Measurements, Objects
from ldseg.writers.polygons import polygons

Feature = dict[str, Any]

KIND = "annotation"
"""What QuPath takes objects for: one can correct an annotation; ``detection`` is meant for very many objects."""

_NOT_SHOWN = ("object", "class", "frame", "centroid", "min", "max")
"""Columns that are no measurements here, by their beginning: the outline tells where an object lies."""
_POWER = {"area": "^2", "volume": "^3"}
_LENGTHS = ("perimeter", "surface", "major_axis", "minor_axis")


def features(
    labels: Mask,
    classes: Mapping[int, str] | Sequence[str],
    colours: Mapping[str, Sequence[int]],
    *,
    key: str,
    offset: tuple[int, int] = (0, 0),
    plane: tuple[int, int] = (0, 0),
    measurements: Mapping[int, Mapping[str, float]] | None = None,
    kind: str = KIND,
) -> Iterator[Feature]:
    """The objects of a plane, or of a part of it, as features of GeoJSON that QuPath reads.

    Args:
        labels: a number for each object ``(H, W)``, 0 for background.
        classes: the name of the class of each number.
        colours: red, green and blue from 0 to 255 by the name of the class.
        key: what tells the objects from those of other images and planes, such as the name of the case; with the number it
            makes the id of a feature, the same one each time.
        offset: row and column of the first pixel of `labels` in the whole image.
        plane: (z, t) of the plane in the image.
        measurements: by number, values by their name.
        kind: ``annotation`` or ``detection``.

    Returns:
        a feature for each object, in the order of numbers: a Polygon, or a MultiPolygon where its parts do not touch along
        edges. Corners are in pixels of the whole image, x first; holes are kept.
    """
    for number, parts in polygons(labels, offset).items():
        shape: dict[str, Any] = {"type": "Polygon", "coordinates": parts[0]}
        if len(parts) > 1:
            shape = {"type": "MultiPolygon", "coordinates": parts}
        if plane != (0, 0):
            shape["plane"] = {"c": -1, "z": plane[0], "t": plane[1]}  # as QuPath has it: c of -1 is all channels
        name = classes[number]
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"ldseg/{key}/{plane[0]}/{plane[1]}/{number}")),
            "geometry": shape,
            "properties": {
                "objectType": kind,
                "name": f"{name} {number}",
                "classification": {"name": name, "color": list(colours[name])},
                "measurements": dict((measurements or {}).get(number, {})),
            },
        }


def collection(found: Iterable[Feature]) -> Iterator[str]:
    """The text of a file with these features, a line for each, piece by piece."""
    yield '{"type": "FeatureCollection", "features": ['
    for place, feature in enumerate(found):
        yield (",\n" if place else "\n") + json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    yield "\n]}\n"


def shown(measurements: Measurements) -> dict[int, dict[int, dict[str, float]]]:
    """Measurements by frame and object, named as QuPath names its own: ``Area µm^2``; what does not exist is left out."""
    unit = {"um": "µm", "pixels": "px"}.get(measurements.unit, measurements.unit)
    found: dict[int, dict[int, dict[str, float]]] = {}
    for row in measurements.rows():
        values = {}
        for name, value in row.items():
            if not name.startswith(_NOT_SHOWN) and math.isfinite(value):
                power = "^2" if name == "surface" else _POWER.get(name, "")
                title = name.replace("_", " ").capitalize()
                own = f"{title} {unit}{power}" if power or name in _LENGTHS else title
                values[own] = float(f"{value:.6g}")
        found.setdefault(int(row.get("frame", 0)), {})[int(row["object"])] = values
    return found


def features_of(case: Segmentation, kind: str = KIND) -> Iterator[Feature]:
    """The objects of a segmented case; of volumes and videos a feature in each plane or frame in which an object is."""
    objects: Objects = case.objects
    names = [case.classes[k] for k in objects.classes]
    colours = dict(zip(case.classes, case.colours, strict=True))
    values = shown(case.measurements)
    planes = objects.labels.reshape(-1, *objects.labels.shape[-2:])
    for place, labels in enumerate(planes):
        video = case.axes[0] == "T"
        plane = (0, place) if video else (place, 0)
        measured = values.get(place if video else 0)
        yield from features(labels, names, colours, key=case.name, plane=plane, measurements=measured, kind=kind)


def write_geojson(folder: Path, case: Segmentation) -> Path:
    """Write ``<case>_objects.geojson``, as `Writer.write` asks."""
    return write_text(folder / f"{case.name}_objects.geojson", "".join(collection(features_of(case))))


GEOJSON = Writer(
    about="outlines, classes and measurements of objects, for QuPath",
    files="_objects.geojson",
    write=write_geojson,
    needs=("skimage", "scipy"),
    extra="figures",
)
