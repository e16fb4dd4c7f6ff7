"""Geometry of the gland phantoms: where the glands lie and how deep in a gland each pixel is."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ldseg.phantoms.fields import FloatArray, as_float, smooth

IntArray = NDArray[np.int32]

REFERENCE_DIAMETER = 130.0  # pixels of a typical gland at 20x; lengths are written in pixels at that size
_HAEMATOXYLIN = (0.60, 0.74, 0.30)
_EOSIN = (0.10, 0.93, 0.34)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one phantom has in common: stains and kind of tissue. Concentrations are optical densities."""

    # healthy mucosa: round glands full of goblet cells; otherwise crowded and long ones with dark epithelium
    goblets: bool
    haematoxylin: float
    eosin: float
    stains: FloatArray  # (2, 3)
    white: FloatArray  # (3,) colour of the empty slide
    size: float  # of its glands, a factor
    crowding: float  # distance of neighbours, in sums of their radii
    halo: float  # width of the cleft between gland and stroma
    cells: float  # density of nuclei in the stroma
    gaps: float  # how loose the stroma is
    void: float  # how much of the slide is empty
    mucus: float
    blur: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Look":
        """A look at random."""
        goblets = bool(rng.random() < 0.5)
        stains = np.array([_HAEMATOXYLIN, _EOSIN]) + rng.normal(0.0, 0.025, (2, 3))
        stains = np.maximum(stains, 0.02)
        return cls(
            goblets=goblets,
            haematoxylin=rng.uniform(0.85, 1.25),
            eosin=rng.uniform(0.45, 0.75) if goblets else rng.uniform(0.65, 1.1),
            stains=(stains / np.linalg.norm(stains, axis=1, keepdims=True)).astype(np.float32),
            white=rng.uniform(0.95, 0.995, 3).astype(np.float32),
            size=rng.uniform(0.8, 1.1) if goblets else rng.uniform(0.9, 1.4),
            crowding=rng.uniform(1.0, 1.25) if goblets else rng.uniform(0.9, 1.1),
            halo=rng.uniform(0.0, 20.0),
            cells=rng.uniform(0.45, 1.1),
            gaps=rng.uniform(-2.6, -1.3),
            void=rng.uniform(-2.6, -1.2),
            mucus=rng.uniform(0.0, 0.8),
            blur=rng.uniform(0.45, 0.8),
            noise=rng.uniform(0.006, 0.014),
        )


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """Geometry of one phantom on the canvas (the image and a margin); lengths in pixels."""

    label: IntArray
    depth: FloatArray  # inside a gland: distance to its outline
    outside: FloatArray  # outside: distance to the nearest gland
    wall: FloatArray  # inside: thickness of the epithelium of that gland
    inward: FloatArray  # direction of growing depth, degrees
    unit: float  # pixels per reference pixel

    @property
    def shape(self) -> tuple[int, int]:
        return self.label.shape[0], self.label.shape[1]


def make_tissue(rng: np.random.Generator, shape: tuple[int, int], margin: int, diameter: float, look: Look) -> Tissue:
    """Place the glands on a canvas of this shape; margin and diameter in pixels."""
    unit = diameter / REFERENCE_DIAMETER
    label = _outlines(rng, shape, margin, diameter, look)
    same = label > 0
    for axis in (0, 1):  # a pixel at the outline has a neighbour of another value
        differs = np.diff(label, axis=axis) != 0
        here = np.s_[:-1, :] if axis == 0 else np.s_[:, :-1]
        there = np.s_[1:, :] if axis == 0 else np.s_[:, 1:]
        same[here] &= ~differs
        same[there] &= ~differs
    depth = as_float(cv2.distanceTransform(same.astype(np.uint8), cv2.DIST_L2, 5))
    outside = as_float(cv2.distanceTransform((label == 0).astype(np.uint8), cv2.DIST_L2, 5))

    deepest = np.zeros(label.max() + 1, np.float32)
    np.maximum.at(deepest, label.ravel(), depth.ravel())
    thickness = rng.uniform(38.0, 60.0, deepest.size) if look.goblets else rng.uniform(30.0, 50.0, deepest.size)
    most = deepest * rng.uniform(0.65, 0.95, deepest.size)  # even a narrow gland has some lumen
    wall = np.maximum(np.minimum(thickness * unit, most), 1.0).astype(np.float32)

    soft = cv2.GaussianBlur(depth, (0, 0), max(2.0 * unit, 0.5))
    inward = np.degrees(np.arctan2(np.gradient(soft, axis=0), np.gradient(soft, axis=1)))
    return Tissue(label=label, depth=depth, outside=outside, wall=wall[label], inward=as_float(inward), unit=unit)


def _outlines(rng: np.random.Generator, shape: tuple[int, int], margin: int, diameter: float, look: Look) -> IntArray:
    """Ids of the glands: ellipses with wavy outlines; where two meet, the nearer one takes the pixel."""
    height, width = shape
    count = 12 + int(5.0 * height * width / diameter**2)
    centres = rng.uniform(0.0, 1.0, (count, 2)) * [width, height]
    # the first gland lies well inside the image: no phantom is empty
    centres[0] = margin + rng.uniform(0.3, 0.7, 2) * [width - 2 * margin, height - 2 * margin]
    radii = 0.5 * diameter * np.exp(rng.uniform(math.log(0.6), math.log(1.35), count)) * look.size
    stretch = np.exp(rng.uniform(0.0, math.log(1.5 if look.goblets else 2.2), count)) ** 0.5
    turn = rng.normal(rng.uniform(0.0, math.pi), 0.5, count)
    spacing = look.crowding * np.where(rng.random(count) < 0.4, 0.8, 1.0)  # some overlap, hence touch
    orders = np.arange(2, 8)
    waves = rng.normal(0.0, (0.10 if look.goblets else 0.16) / orders, (count, orders.size))
    phases = rng.uniform(0.0, 2.0 * math.pi, (count, orders.size))
    bend = [0.08 * diameter * smooth(rng, shape, 0.8 * diameter) for _ in range(2)]

    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x + bend[0], y + bend[1]
    nearest, label = np.ones(shape, np.float32), np.zeros(shape, np.int32)
    kept: list[int] = []
    for i in range(count):
        gaps = np.linalg.norm(centres[kept] - centres[i], axis=1) - spacing[i] * (radii[kept] + radii[i])
        if np.any(gaps < 0.0):
            continue
        kept.append(i)
        reach = 1.8 * radii[i] * stretch[i] + 0.3 * diameter
        low = np.maximum(np.floor(centres[i] - reach), 0).astype(int)
        window = np.s_[low[1] : int(centres[i][1] + reach) + 1, low[0] : int(centres[i][0] + reach) + 1]
        along = math.cos(turn[i]) * (x[window] - centres[i][0]) + math.sin(turn[i]) * (y[window] - centres[i][1])
        across = math.cos(turn[i]) * (y[window] - centres[i][1]) - math.sin(turn[i]) * (x[window] - centres[i][0])
        along, across = along / stretch[i], across * stretch[i]
        polar = np.arctan2(across, along)
        outline = np.ones_like(polar)
        for order, wave, phase in zip(orders, waves[i], phases[i], strict=True):
            outline += np.float32(wave) * np.cos(np.float32(order) * polar + np.float32(phase))
        distance = np.hypot(along, across) / (np.float32(radii[i]) * np.maximum(outline, 0.3))
        mine = distance < nearest[window]
        nearest[window][mine] = distance[mine]
        label[window][mine] = len(kept)
    for identity, i in enumerate(kept, start=1):
        _only_whole(label, identity, 0.35 * math.pi * radii[i] ** 2)
    return label


def _only_whole(label: IntArray, identity: int, least: float) -> None:
    """Keep one piece of a gland, in place, and that only if its area is no mere rest of an overlap."""
    found, pieces, areas, _ = cv2.connectedComponentsWithStats((label == identity).astype(np.uint8), connectivity=4)
    if found > 1:
        largest = 1 + int(np.argmax(areas[1:, cv2.CC_STAT_AREA]))
        doomed = (pieces > 0) & (pieces != largest)
        # what the canvas cuts off is small for another reason
        x, y, w, h, area = areas[largest]
        cut = x == 0 or y == 0 or x + w == label.shape[1] or y + h == label.shape[0]
        label[doomed if cut or area >= least else pieces > 0] = 0
