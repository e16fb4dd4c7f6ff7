"""Outlines of objects in pictures and slides, in the formats that MONAI Label has for them: ASAP, DSA, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from ldseg.base.untrusted import parsed
from ldseg.errors import ConfigError, DataError
from ldseg.io.scans import read_scan
from ldseg.io.slides.kinds import is_slide, open_slide
from ldseg.model import Model

Ring = list[tuple[int, int]]

OUTPUTS = ("asap", "dsa", "json")


@dataclass(frozen=True, kw_only=True)
class Region:
    """What is to be segmented of an image, and what is told of it.

    Attributes:
        location: of its first pixel in the full resolution, x first.
        size: width and height; zeros for all of the image.
        smallest: pixels of area below which an outline is left out.

    Raises:
        ConfigError: a number is out of range.
    """

    location: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    smallest: float = 0.0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Region:
        """From the values of a request, as plugins send them."""
        pairs = {}
        for name in ("location", "size"):
            pair = values.get(name) or (0, 0)
            if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(n, int) and n >= 0 for n in pair):
                raise ConfigError(f"{name}: expected two whole numbers from 0 on, got {str(pair)[:60]}")
            pairs[name] = (pair[0], pair[1])
        if values.get("level") not in (None, 0):
            raise ConfigError(f"level: expected 0, the full resolution, got {str(values['level'])[:20]}")
        smallest = values.get("min_poly_area") or 0
        if not isinstance(smallest, int | float):
            raise ConfigError(f"min_poly_area: expected a number, got {str(smallest)[:20]!r}")
        return cls(smallest=float(smallest), **pairs)


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """Outlines by class, in pixels of the whole image, x first; holes are left out, as these formats have none."""

    name: str
    weights: str
    region: Region
    rings: Mapping[str, Sequence[Ring]]
    colours: Mapping[str, Sequence[int]]


def outlines(image: Path, folder: Path, model: Model, region: Region, weights: str, settings: Mapping[str, Any]) -> Outlines:
    """Segment a picture, a slide, or a region of either.

    Args:
        image: the file.
        folder: for what is written on the way.
        model: the networks.
        region: of the image.
        weights: their name.
        settings: of ``Model.segment``.

    Raises:
        LDSegError: it cannot be segmented.
    """
    if model.axes != "YX":
        raise DataError(f"{image}: expected weights for pictures (2D), {weights} are for {model.axes.lower()}")
    if region.size == (0, 0) and is_slide(image):
        written = model.segment_slide(image, folder / "slide", formats=("geojson",), **settings)
        path = written.files["geojson"]
    elif region.size == (0, 0):
        path = model.segment(image, **settings).save(folder, formats=("geojson",), overlay=False)["geojson"]
    else:
        cut = _cut(image, region)
        path = model.segment(cut, **settings).save(folder, formats=("geojson",), overlay=False)["geojson"]
    rings: dict[str, list[Ring]] = {}
    colours: dict[str, Sequence[int]] = {}
    for feature in parsed(path.read_bytes())["features"]:
        own = feature["properties"]["classification"]
        colours[own["name"]] = own["color"]
        shape = feature["geometry"]
        parts = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
        rings.setdefault(own["name"], []).extend(
            _placed(part[0], region) for part in parts if _area(part[0]) >= region.smallest
        )
    return Outlines(name=image.name, weights=weights, region=region, rings=rings, colours=colours)


def _cut(image: Path, region: Region) -> np.ndarray:
    (left, top), (wide, tall) = region.location, region.size
    if is_slide(image):
        with open_slide(image) as slide:
            height, width = slide.sizes[0]
            _check(image, region, height, width)
            return slide.window(0, top, left, tall, wide)
    pixels = read_scan(image, "YX").values
    _check(image, region, *pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + tall, left : left + wide])


def _check(image: Path, region: Region, height: int, width: int) -> None:
    (left, top), (wide, tall) = region.location, region.size
    if left + wide > width or top + tall > height or not wide or not tall:
        raise DataError(
            f"{image}: expected a region within its {width}×{height} pixels, got {wide}×{tall} at ({left}, {top})"
        )


def _placed(ring: Sequence[Sequence[float]], region: Region) -> Ring:
    left, top = region.location
    return [(int(x) + left, int(y) + top) for x, y in ring]


def _area(ring: Sequence[Sequence[float]]) -> float:
    x, y = np.asarray(ring, np.float64).T
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2)


def asap(found: Outlines) -> str:
    """XML of ASAP, which the plugin of QuPath reads."""
    (x, y), (w, h) = found.region.location, found.region.size
    lines = ['<?xml version="1.0"?>', "<ASAP_Annotations>"]
    head = f'Name={quoteattr(found.name)} Description="LDSeg" Model={quoteattr(found.weights)}'
    lines.append(f'  <Annotations {head} X="{x}" Y="{y}" W="{w}" H="{h}">')
    for label, rings in found.rings.items():
        name, colour = quoteattr(label), _hex(found.colours[label])
        for ring in rings:
            lines.append(f'    <Annotation Name={name} Type="Polygon" PartOfGroup={name} Color="{colour}">')
            points = (f'<Coordinate Order="{n}" X="{px}" Y="{py}" />' for n, (px, py) in enumerate(ring[:-1]))
            lines.append(f"      <Coordinates>{''.join(points)}</Coordinates>")
            lines.append("    </Annotation>")
    lines += ["  </Annotations>", "  <AnnotationGroups>"]
    for label in found.rings:
        own = f'Name={quoteattr(label)} PartOfGroup="None" Color="{_hex(found.colours[label])}"'
        lines.append(f"    <Group {own}><Attributes /></Group>")
    return "\n".join([*lines, "  </AnnotationGroups>", "</ASAP_Annotations>", ""])


def dsa(found: Outlines) -> str:
    """JSON of the Digital Slide Archive."""
    elements = [
        {
            "group": label, "type": "polyline", "lineColor": "rgb({}, {}, {})".format(*found.colours[label]),
            "lineWidth": 2.0, "closed": True, "points": [[x, y, 0] for x, y in ring[:-1]], "label": {"value": label},
        }
        for label, ring in _flat(found)
    ]  # fmt: skip
    return json.dumps({"name": f"LDSeg {found.weights}", "description": found.name, "elements": elements})


def as_json(found: Outlines) -> dict[str, Any]:
    """The outlines as MONAI Label tells them in JSON."""
    elements = [{"label": label, "contours": rings} for label, rings in found.rings.items()]
    region = {"location": list(found.region.location), "size": list(found.region.size)}
    labels = {label: list(colour) for label, colour in found.colours.items()}
    annotation = {"annotation": {**region, "elements": elements, "labels": labels}}
    return {"name": found.name, "model": found.weights, **region, "annotations": [annotation]}


def _flat(found: Outlines) -> Iterable[tuple[str, Ring]]:
    return ((label, ring) for label, rings in found.rings.items() for ring in rings)


def _hex(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
