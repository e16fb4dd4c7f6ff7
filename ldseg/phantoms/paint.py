"""Painting of the gland phantoms: concentrations of the two stains, and the picture that they give.

Lengths are written in pixels of a gland of the reference diameter and scaled by `tissue.unit`.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ldseg.phantoms.fields import FloatArray, as_float, at, ellipses, scattered, smooth, step
from ldseg.phantoms.tissue import Look, Tissue

ByteArray = NDArray[np.uint8]


def paint_stroma(rng: np.random.Generator, tissue: Tissue, look: Look) -> tuple[FloatArray, FloatArray]:
    """Concentrations of haematoxylin and eosin without glands: fibres, clefts, cells, empty slide."""
    shape, unit = tissue.shape, tissue.unit
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    angle = rng.uniform(0.0, math.pi)
    sway = [20.0 * unit * smooth(rng, shape, 110.0 * unit) for _ in range(2)]
    map_x = as_float(math.cos(angle) * x + math.sin(angle) * y + sway[0])
    map_y = as_float(math.cos(angle) * y - math.sin(angle) * x + sway[1])
    fibres = np.zeros(shape, np.float32)
    for length, thickness, weight in ((9.0, 1.2, 0.7), (22.0, 2.6, 0.7)):
        noise = rng.standard_normal(shape, np.float32)
        noise = as_float(cv2.GaussianBlur(noise, (0, 0), max(length * unit, 0.6), sigmaY=max(thickness * unit, 0.4)))
        noise /= noise.std()
        fibres += weight * as_float(cv2.remap(noise, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))

    patches, grain = smooth(rng, shape, 70.0 * unit), smooth(rng, shape, 4.0 * unit)
    cleft = step(4.0 * (look.gaps - fibres + 0.7 * patches))
    rough = smooth(rng, shape, 14.0 * unit)
    halo = step((look.halo * (0.4 + 0.5 * patches + 0.2 * rough) * unit - tissue.outside) / max(1.2 * unit, 0.4))
    sky = smooth(rng, shape, 230.0 * unit) + np.minimum(tissue.outside / (60.0 * unit), 1.2)
    void = step(9.0 * (sky + look.void + 0.12 * rough)) * step((tissue.outside / unit - 9.0) / 2.0)
    present = (1.0 - 0.85 * cleft) * (1.0 - 0.9 * halo) * (1.0 - void)

    eosin = look.eosin * np.clip(0.8 + 0.13 * fibres + 0.10 * grain + 0.10 * patches, 0.15, 2.0) * present
    haematoxylin = 0.12 * look.haematoxylin * np.clip(1.0 + 0.3 * fibres + 0.3 * grain, 0.0, 2.0) * present

    points = scattered(rng, shape, 8.5 * unit)
    chance, kind = rng.random(len(points)), rng.random(len(points))
    scale, values = rng.normal(1.0, 0.15, len(points)), rng.uniform(0.6, 1.0, len(points))
    spin, wobble = rng.uniform(0.0, 180.0, len(points)), rng.normal(0.0, 12.0, len(points))
    heap = smooth(rng, shape, 60.0 * unit)
    along = np.degrees(np.arctan2(np.gradient(map_y, axis=0), np.gradient(map_y, axis=1))) + 90.0
    density = look.cells * np.clip(0.5 + 0.35 * at(heap, points), 0.12, 1.0) * (1.0 - at(void, points))
    keep = (chance < density) & (at(tissue.outside, points) > 3.5 * unit)
    keep &= at(halo, points) < 0.5
    round_cell = kind < 0.3 + 0.35 * np.clip(at(heap, points), 0.0, 1.5)
    radii = np.where(round_cell[:, None], [4.0, 3.5], [7.0, 2.2]) * np.maximum(scale, 0.5)[:, None] * unit
    angles = np.where(round_cell, spin, at(along, points) + wobble)
    nuclei = ellipses(shape, points[keep], radii[keep], angles[keep], values[keep], 0.8)

    blood = scattered(rng, shape, 8.0 * unit)
    pool = step(6.0 * (at(smooth(rng, shape, 45.0 * unit), blood) - 1.9))
    keep = (rng.random(len(blood)) < pool) & (at(tissue.outside, blood) > 5.0 * unit) & (at(void, blood) < 0.3)
    size = np.full((len(blood), 2), 3.6 * unit)
    cells = ellipses(shape, blood[keep], size[keep], np.zeros(int(keep.sum())), np.ones(int(keep.sum())), 0.85)

    stained = _stain_nuclei(rng, nuclei, look, unit)
    return as_float(haematoxylin + stained), as_float(eosin * (1.0 - 0.3 * nuclei) + 0.9 * look.eosin * cells)


def _stain_nuclei(rng: np.random.Generator, nuclei: FloatArray, look: Look, unit: float) -> FloatArray:
    grain = 1.0 + 0.16 * smooth(rng, (nuclei.shape[0], nuclei.shape[1]), 2.2 * unit)
    return as_float(1.05 * look.haematoxylin * nuclei * np.clip(grain, 0.5, 1.5))


def paint_epithelium(
    rng: np.random.Generator, tissue: Tissue, look: Look, haematoxylin: FloatArray, eosin: FloatArray
) -> None:
    """Paint the glands over the stroma, in place: inwards nuclei, cytoplasm with goblets, lumen."""
    shape, unit, depth, wall = tissue.shape, tissue.unit, tissue.depth, tissue.wall
    gland = tissue.label > 0
    share = depth / wall
    mottle, ragged = smooth(rng, shape, 9.0 * unit), smooth(rng, shape, 7.0 * unit)
    clouds = smooth(rng, shape, 22.0 * unit)
    lumen = step((depth - wall + 2.2 * unit * ragged) / max(1.1 * unit, 0.3))

    pale = np.clip(share, 0.0, 1.0) * (0.55 if look.goblets else 0.35)
    body_e = look.eosin * (0.8 if look.goblets else 0.85) * (1.0 + 0.10 * mottle) * (1.0 - pale)
    body_h = look.haematoxylin * (0.22 if look.goblets else 0.30) * (1.0 + 0.15 * mottle) * (1.0 - pale)

    goblets = _goblets(rng, tissue, look)
    body_e, body_h = body_e * (1.0 - 0.8 * goblets), body_h * (1.0 - 0.65 * goblets)
    brush = 0.35 * look.eosin * np.exp(-(((depth - wall) / (2.2 * unit)) ** 2))  # the seam along the lumen
    debris = look.mucus * look.eosin * step(3.0 * (clouds + 0.8 * ragged - 0.3))

    nuclei = _epithelial_nuclei(rng, tissue, look)
    nuclei *= 1.0 - lumen
    shed = scattered(rng, shape, 13.0 * unit)
    keep = (rng.random(len(shed)) < 0.5 * look.mucus) & (at(share, shed) > 1.25)
    radii = np.repeat(rng.uniform(1.5, 3.6, (len(shed), 1)), 2, axis=1) * unit
    loose = ellipses(shape, shed[keep], radii[keep], np.zeros(int(keep.sum())), rng.uniform(0.4, 0.9, int(keep.sum())))

    body_e = (body_e * (1.0 - 0.35 * nuclei) + brush) * (1.0 - lumen) + debris * lumen
    body_h = body_h * (1.0 - lumen) + 0.12 * debris * lumen + _stain_nuclei(rng, np.maximum(nuclei, loose), look, unit)
    eosin[gland], haematoxylin[gland] = as_float(body_e)[gland], as_float(body_h)[gland]


def _epithelial_nuclei(rng: np.random.Generator, tissue: Tissue, look: Look) -> FloatArray:
    """The dark ring: nuclei near the outline, long axis across it; layers where goblets are missing."""
    unit = tissue.unit
    points = scattered(rng, tissue.shape, (6.6 if look.goblets else 7.2) * unit)
    chance, scale = rng.random(len(points)), np.clip(rng.normal(1.0, 0.16, len(points)), 0.6, 1.5)
    values, wobble = rng.uniform(0.5, 1.0, len(points)), rng.normal(0.0, 14.0, len(points))
    depth, wall = at(tissue.depth, points), at(tissue.wall, points)
    inner = np.minimum(12.0 * unit, 0.5 * wall) if look.goblets else np.minimum(25.0 * unit, 0.6 * wall)
    odds = (0.95 if look.goblets else 0.85) * step(as_float((inner - depth) / (1.6 * unit)))
    keep = (at(tissue.label, points) > 0) & (depth > 2.8 * unit) & (chance < odds)
    size = np.array([5.2, 4.2] if look.goblets else [7.4, 3.1])
    radii = size * scale[:, None] * unit
    angles = at(tissue.inward, points) + wobble
    nuclei = ellipses(tissue.shape, points[keep], radii[keep], angles[keep], values[keep], 0.82)
    return nuclei * (tissue.label > 0)


def _goblets(rng: np.random.Generator, tissue: Tissue, look: Look) -> FloatArray:
    """Pale drops of mucin between the nuclei and the lumen, long axis towards the lumen."""
    unit = tissue.unit
    points = scattered(rng, tissue.shape, 13.0 * unit)
    chance, scale = rng.random(len(points)), np.clip(rng.normal(1.0, 0.2, len(points)), 0.5, 1.5)
    depth, wall = at(tissue.depth, points), at(tissue.wall, points)
    keep = (chance < (0.92 if look.goblets else 0.06)) & (depth > 17.0 * unit) & (depth < wall + 3.0 * unit)
    radii = np.array([9.0, 5.4]) * scale[:, None] * unit
    angles = at(tissue.inward, points)
    drops = ellipses(tissue.shape, points[keep], radii[keep], angles[keep], np.full(int(keep.sum()), 0.9))
    # a thin wall of cytoplasm remains between neighbours
    walls = np.zeros(tissue.shape, np.float32)
    if keep.any():
        outer = ellipses(tissue.shape, points[keep], radii[keep], angles[keep], np.linspace(0.3, 1.0, int(keep.sum())))
        walls = as_float(cv2.morphologyEx(outer, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0.002)
        walls = as_float(cv2.GaussianBlur(walls, (0, 0), max(0.8 * unit, 0.4)))
    return as_float(drops * (1.0 - 0.75 * np.minimum(walls, 1.0)))


def develop(rng: np.random.Generator, haematoxylin: FloatArray, eosin: FloatArray, look: Look, unit: float) -> ByteArray:
    """What a slide scanner makes of the concentrations: Beer-Lambert, optical blur, light, sensor noise."""
    density = haematoxylin[..., None] * look.stains[0] + eosin[..., None] * look.stains[1]
    image = as_float(cv2.GaussianBlur(look.white * np.exp(-1.25 * density), (0, 0), look.blur * max(unit, 0.5)))
    shape = (image.shape[0], image.shape[1])
    image = image * (1.0 + 0.01 * smooth(rng, shape, 0.7 * max(shape)))[..., None]
    image = image + np.float32(look.noise) * rng.standard_normal(image.shape, np.float32)
    return np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
