r"""How far an image lies from what weights learned from, told without a label.

Four things are measured on each tile of an image, as the network sees it:

- ``features``: what the image encoder makes of it, mean and deviation of each channel of its last map;
- ``intensities``: quantiles and deviation of the brightness of each channel;
- ``scale``: how strong structures of each size are, which the magnification moves;
- ``shape``: how sharply these structures stand out, which tells drawings and edges of a photograph from tissue.

For each of them, the images of training give a normal distribution, of which the distance is that of Mahalanobis (1936),
its covariance drawn towards the identity. Distances are divided by a limit that hardly any image passes which was left out
of the fit, by whole patients. Their geometric mean has a limit of its own: what is of another kind altogether, such as an
ultrasound image for weights of stained tissue, is often a little off in each and far off in none. Beside them,
``ldseg.evaluation.magnification`` tells images at another magnification, by ``sizes`` as well: how much of an image bright
and dark parts of each width make up. Of all, the largest counts. An image above 1 is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from ldseg.evaluation.cloud import Cloud
from ldseg.evaluation.magnification import Magnification, Moved, fit_magnification

Signature = Mapping[str, np.ndarray]
"""What was measured of an image, float64 vectors by kind."""

KINDS: dict[str, str] = {
    "features": "what the image encoder sees in it",
    "intensities": "its brightness or colours",
    "scale": "the size of its structures (magnification)",
    "shape": "the shape of its structures",
}
"""What is measured, and how a warning calls it."""

MAGNIFICATION = "magnification"
"""The kind of distance that ``Magnification`` tells; a warning calls it as it does that of ``scale``."""

TOGETHER = "together"
"""The geometric mean of the distances of all ``KINDS``."""

_CALLED = {**KINDS, MAGNIFICATION: KINDS["scale"], TOGETHER: "all that is measured, a little of each"}

FEWEST, FEWEST_GROUPS = 16, 4
"""Tiles, and patients they are of, from which on there is a fit."""

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
BANDS = 5
FINEST = 0.7
"""Standard deviation in pixels of the first of ``BANDS`` blurs; each is twice the one before."""
WIDTHS = (3, 5, 9, 17, 33, 65)
"""Pixels of the squares of the granulometry (Matheron 1975)."""
PLANES = 8
"""Planes of a volume and frames of a video that are looked at, at most."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FLOOR = 1e-4  # of a deviation, on a scale where white is 1
_TRACE = 1e-3  # of a share
_SHRINK = {"features": 0.1, "intensities": 0.1, "scale": 0.01, "shape": 0.01}
_COLOURED = ("intensities", "scale")  # what other colours change: brightness, and how strong structures are
_FOLDS = 10
_QUANTILE, _ALL = 0.995, 0.99  # of one kind, and of all together
_MARGIN = {"features": 1.4, "intensities": 1.1, "scale": 1.4, "shape": 1.4, TOGETHER: 0.9}
"""Other hospitals lie further out. With 1.25 or more for the intensities, 12 bits read as 16 may pass. The mean of all needs
no room: recoloured copies, which lie far out in it, are among what sets its limit."""
_DEVIATIONS = 2.8  # 0.3 % of a normal distribution lie above


def signature_of(features: np.ndarray, image: np.ndarray) -> Signature:
    """Of one tile ``(*S, c)``, with what the image encoder makes of it (``ldseg.inference.engine.Drawn``)."""
    return {"features": features.astype(np.float64), **measure(image)}


def measure(image: np.ndarray) -> dict[str, np.ndarray]:
    """The intensities, the scale, the shape and the sizes of one tile.

    Args:
        image: float32 ``(*S, c)`` in [0, 1], its last two axes of space Y and X.
    """
    values = image.reshape(-1, 1, image.shape[-1])
    intensities = np.concatenate([_quantiles(values[:, 0]).ravel(), cv2.meanStdDev(values)[1].ravel()])
    planes = image.reshape(-1, *image.shape[-3:]) if image.ndim > 3 else image[np.newaxis]
    chosen = np.linspace(0, len(planes) - 1, min(PLANES, len(planes))).round().astype(int)  # each another
    found = np.mean([_structure(plane) for plane in planes[chosen]], axis=0)
    scale, shape, sizes = np.split(found, [BANDS + 1, 2 * BANDS + 1])
    return {"intensities": intensities, "scale": scale, "shape": shape, "sizes": sizes}


def _quantiles(values: np.ndarray) -> np.ndarray:
    """``QUANTILES`` of each column of ``(n, c)``, as ``np.quantile`` finds them: one sort in place of a search for each."""
    places = np.array(QUANTILES) * (len(values) - 1)
    low = places.astype(int)
    ordered = np.stack([np.sort(np.ascontiguousarray(column)) for column in values.T]).astype(np.float64)
    below, above = ordered[:, low], ordered[:, np.minimum(low + 1, len(values) - 1)]
    found: np.ndarray = (below + (above - below) * (places - low)).T
    return found


def _structure(plane: np.ndarray) -> np.ndarray:
    """Log deviation of each band of a plane ``(H, W, c)`` and of what is coarser, log kurtosis of each, and the sizes."""
    brightness = before = plane @ _LUMA if plane.shape[-1] == 3 else np.ascontiguousarray(plane[..., 0])
    deviations, kurtoses = [], []
    for index in range(BANDS):
        blurred = cv2.GaussianBlur(before, (0, 0), FINEST * 2**index)
        band: np.ndarray = cv2.subtract(before, blurred)
        squares: np.ndarray = band - np.float32(cv2.mean(band)[0])
        squares = cv2.multiply(squares, squares, dst=squares)  # sums are of 64 bits
        deviation = math.sqrt(cv2.mean(squares)[0]) + _FLOOR
        deviations.append(math.log(deviation))
        kurtoses.append(math.log1p(cv2.norm(squares, cv2.NORM_L2SQR) / squares.size / deviation**4))
        before = blurred
    return np.array([*deviations, math.log(before.std() + _FLOOR), *kurtoses, *_sizes(brightness)])


def _sizes(plane: np.ndarray) -> list[float]:
    """How much each of ``WIDTHS`` takes from a plane ``(H, W)`` of the bright parts, then of the dark ones, on a log scale.

    That is the granulometry by openings, and that by closings, as a share of the deviation; in 8 bits, which are quick.
    """
    levels = cv2.normalize(plane, np.empty(plane.shape, np.uint8), 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    spread, found = max(float(cv2.meanStdDev(levels)[1][0, 0]), 1.0), []
    for way in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE):
        before = levels
        for width in WIDTHS:
            square = cv2.getStructuringElement(cv2.MORPH_RECT, (width, width))
            left = cv2.morphologyEx(levels, way, square)
            found.append(math.log(cv2.norm(left, before, cv2.NORM_L1) / plane.size / spread + _TRACE))
            before = left
    return found


def mean_signature(signatures: Sequence[Signature]) -> dict[str, np.ndarray]:
    """That of a case, from those of its tiles."""
    return {kind: np.mean([each[kind] for each in signatures], axis=0) for kind in signatures[0]}


@dataclass(frozen=True, kw_only=True)
class Familiarity:
    """What weights learned from, stored with them.

    Attributes:
        clouds: by kind of what is measured.
        tiles: that they were fitted to.
        magnification: what tells another one; None for volumes, whose spacing is known, and for weights from before.
        together: limit of the geometric mean of the distances; None for weights from before.
    """

    clouds: Mapping[str, Cloud] = field(default_factory=dict)
    tiles: int = 0
    magnification: Magnification | None = None
    together: float | None = None

    def distances(self, signature: Signature) -> dict[str, float]:
        """By kind, as a share of its limit."""
        found = {kind: cloud.distance(signature[kind]) / cloud.limit for kind, cloud in self.clouds.items()}
        if self.together is not None:
            found[TOGETHER] = float(_together(list(found.values()))) / self.together
        if self.magnification is not None:
            found[MAGNIFICATION] = self.magnification.distance(joined(signature))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "tiles": self.tiles,
            "clouds": {kind: cloud.to_dict() for kind, cloud in self.clouds.items()},
            **({} if self.together is None else {TOGETHER: self.together}),
            **({} if self.magnification is None else {MAGNIFICATION: self.magnification.to_dict()}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Familiarity:
        """The inverse of ``to_dict``. Raises KeyError, TypeError or ValueError for anything else."""
        clouds = {kind: Cloud.from_dict(values["clouds"][kind]) for kind in KINDS if kind in values["clouds"]}
        known = values.get(MAGNIFICATION)
        magnification = Magnification.from_dict(known) if known is not None else None
        together = None if values.get(TOGETHER) is None else float(values[TOGETHER])
        if together is not None and not 0 < together < math.inf:
            raise ValueError(f"{TOGETHER}: expected a number above 0, got {together}")
        return cls(clouds=clouds, tiles=int(values["tiles"]), magnification=magnification, together=together)


@dataclass(frozen=True, kw_only=True)
class Familiarities(Familiarity):
    """What weights of several folds learned from: each tells by its own networks, and the distance is the mean of theirs.

    Attributes:
        folds: of each, in their order.
    """

    folds: tuple[Familiarity, ...]

    def distances(self, signature: Signature) -> dict[str, float]:
        """By kind; ``features`` has a row for each of the first folds."""
        rows = np.atleast_2d(signature["features"])
        found = [fold.distances({**signature, "features": row}) for fold, row in zip(self.folds, rows, strict=False)]
        return {kind: float(np.mean([one[kind] for one in found])) for kind in found[0]}


def unfamiliar(signature: Signature | None, familiarity: Familiarity | None) -> tuple[float | None, tuple[str, ...]]:
    """How far an image lies from what weights learned from, as a share of the limit, and the warnings where it is above 1.

    None without a fit.
    """
    if signature is None or familiarity is None:
        return None, ()
    found = familiarity.distances(signature)
    far = sorted((kind for kind, distance in found.items() if distance > 1), key=lambda kind: -found[kind])
    reasons = dict.fromkeys(_CALLED[kind] for kind in far if kind != TOGETHER or far == [TOGETHER])
    told = f"unlike what the weights learned from: {', '.join(reasons)}"
    return max(found.values()), (told,) if far else ()


def fit_familiarity(
    cases: Sequence[Sequence[Signature]],
    groups: Sequence[str],
    held_back: Sequence[Sequence[Signature]] = (),
    recoloured: Sequence[Sequence[Signature]] = (),
    zoomed: Sequence[Sequence[Mapping[str, Signature]]] = (),
) -> Familiarity | None:
    """Fit the clouds, and their limits on what is left out.

    Args:
        cases: of each case of training its tiles.
        groups: the patient of each case.
        held_back: cases that nothing was learned from; they are for the limits alone.
        recoloured: the same tiles as ``cases``, changed as training changes colours: familiar, too.
        zoomed: of each case tiles at each other magnification, by ``DIRECTIONS``; nothing where that is known.

    Returns:
        the fit, or None for fewer than ``FEWEST`` tiles or ``FEWEST_GROUPS`` patients.
    """
    names, tiles = sorted(set(groups)), sum(map(len, cases))
    if tiles < FEWEST or len(names) < FEWEST_GROUPS:
        return None
    fold = np.array([names.index(group) % min(_FOLDS, len(names)) for group in groups])
    moved = [
        Moved(fold=part, vectors={name: joined(tile) for name, tile in each.items()})
        for part, of_case in zip(fold, zoomed, strict=bool(zoomed))
        for each in of_case
    ]
    # A few long cases, such as videos, say more by their tiles.
    if len(cases) < FEWEST:
        fold = np.repeat(fold, [len(case) for case in cases])
        cases, recoloured, held_back = (
            [[tile] for case in each for tile in case] for each in (cases, recoloured, held_back)
        )
    clouds: dict[str, Cloud] = {}
    shares, recoloured_shares = [], []
    for kind in KINDS:
        parts = [cases, recoloured] if recoloured and kind in _COLOURED else [cases]
        tables = [[np.array([tile[kind] for tile in case]) for case in part] for part in parts]

        def fitted(kept: np.ndarray, tables: Any = tables, shrink: float = _SHRINK[kind]) -> Cloud:
            return Cloud.fit(
                np.concatenate([case for part in tables for case, k in zip(part, kept, strict=True) if k]), shrink
            )

        left_out = np.empty((len(parts), len(cases)))
        for index in np.unique(fold):
            cloud = fitted(fold != index)
            for row, part in enumerate(tables):
                for place in np.flatnonzero(fold == index):
                    left_out[row, place] = cloud.distance(part[place].mean(axis=0))
        cloud = fitted(fold >= 0)
        others = [cloud.distance(mean_signature(case)[kind]) for case in held_back]
        limit = _limit(np.concatenate([left_out.ravel(), others])) * _MARGIN[kind]
        clouds[kind] = replace(cloud, limit=limit)
        shares.append(np.concatenate([left_out[0], others]) / limit)
        recoloured_shares.append(left_out[-1] / limit)  # of what no colour changes, as it is
    means = _together(shares)
    together = _limit(np.concatenate([means, _together(recoloured_shares)])) * _MARGIN[TOGETHER]
    shares.append(means / together)
    magnification = None
    if len(moved) >= FEWEST:
        usual, colours, aside = (
            [np.array([joined(tile) for tile in case]) for case in part] for part in (cases, recoloured, held_back)
        )
        magnification, share = fit_magnification(usual, colours, aside, moved, fold)
        shares.append(share)
    # Several limits are passed more often than one.
    factor = max(float(np.quantile(np.max(shares, axis=0), _ALL)), 1.0)
    clouds = {kind: replace(cloud, limit=cloud.limit * factor) for kind, cloud in clouds.items()}
    if magnification is not None:
        magnification = replace(magnification, limits=magnification.limits * factor)
    return Familiarity(clouds=clouds, tiles=tiles, magnification=magnification, together=together)


def joined(signature: Signature) -> np.ndarray:
    """What tells the magnification, as one vector."""
    return np.concatenate([signature[kind] for kind in ("features", "scale", "shape", "sizes")])


def _together(distances: Sequence[Any]) -> np.ndarray:
    """The geometric mean over the kinds, the first axis."""
    mean: np.ndarray = np.exp(np.log(np.maximum(distances, 1e-6)).mean(axis=0))
    return mean


def _limit(distances: np.ndarray) -> float:
    """What hardly any distance passes: of few distances, the largest says less than how they are spread."""
    logs = np.log(np.maximum(distances, 1e-6))
    spread = math.exp(float(logs.mean() + _DEVIATIONS * logs.std()))
    return max(float(np.quantile(distances, _QUANTILE)), spread)
