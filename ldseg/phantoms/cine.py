"""Cine phantoms: a beating left ventricle as ultrasound shows it in an apical view, with labels.

The anatomy stands still in a reference frame, the end of diastole. Every other frame looks up where its pixels lie in
that frame, so that tissue, label and speckle move as one. The picture is made as a scanner makes it: scatterers, a point
spread that is short along the beam and wide across it, the envelope, logarithmic compression, and the sector at the end.

Lengths are shares of the height of the image, y downwards from the transducer at its upper edge.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage

from ldseg.errors import ConfigError
from ldseg.phantoms.fields import FloatArray, as_float, field, step, without_crumbs

ByteArray = NDArray[np.uint8]
IntArray = NDArray[np.int32]

CINE_CLASSES = ("background", "cavity", "myocardium")

_SMALLEST = 32
_REFERENCE = 2.0  # width and height of the reference frame, about the middle of the base
_TRIES = 200  # to find a heart that lies in the sector
_FLOOR = 1e-4  # amplitude of what is not heard at all


def cine_phantom(rng: np.random.Generator, size: tuple[int, int, int] = (16, 96, 96)) -> tuple[ByteArray, IntArray]:
    """Paint one cine of about a heart cycle, its phase at random.

    size: frames (at least 1), height and width (each at least 32 pixels).
    Returns the image (T, H, W, 1) uint8, 0 outside the sector, and the label (T, H, W) int32: 0 background, 1 cavity of the
    ventricle, 2 its myocardium, a horseshoe around the cavity that is open at the mitral valve.
    Raises ConfigError for a size that is too small.
    """
    frames, height, width = (int(n) for n in size)
    if frames < 1 or min(height, width) < _SMALLEST:
        raise ConfigError(
            f"size of a cine phantom: expected frames, and {_SMALLEST} pixels or more each way, got {tuple(size)}"
        )
    probe, heart = Probe.draw(rng, width / height), Heart.draw(rng, width / height)
    for _ in range(_TRIES):
        if heart.seen_by(probe):
            break
        heart = Heart.draw(rng, width / height)
    anatomy = _paint_anatomy(rng, heart, probe, height)

    # the image, pixel by pixel, for the label; the beams, sample by sample, for the picture
    y, x = (np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)) / np.float32(height)
    depths, angles = probe.grid(height)
    beam_y, beam_x = probe.y + depths * np.cos(angles), probe.x + depths * np.sin(angles)
    depth, angle = np.hypot(y - probe.y, x - probe.x), np.arctan2(x - probe.x, y - probe.y)
    sector = (depth > probe.near) & (depth < probe.far) & (np.abs(angle) < probe.opening)
    place = np.stack(
        [
            (depth - probe.near) / (probe.far - probe.near) * (depths.shape[0] - 1),
            (angle / probe.opening + 1.0) / 2.0 * (depths.shape[1] - 1),
        ]
    )
    clutter = _Clutter(rng, probe, depths, angles)

    image, label = np.zeros((frames, height, width, 1), np.uint8), np.zeros((frames, height, width), np.int32)
    for t in range(frames):
        moment = heart.at(heart.phase + heart.beats * t / max(frames, 8))
        classes = np.where(sector, anatomy.classes_at(heart, moment, y, x), 0)
        for k in (1, 2):
            label[t][without_crumbs(classes == k, 0.5)] = k
        shown = clutter.develop(anatomy.scattered_at(heart, moment, beam_y, beam_x), rng)
        pixels = ndimage.map_coordinates(shown, place, order=1, mode="nearest")
        image[t, ..., 0] = np.rint(np.where(sector, np.clip(pixels, 0.0, 1.0) * 255.0, 0.0))
    return image, label


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The heart at one time: where its base lies, and the size of its chambers."""

    base_y: float
    base_x: float
    length: float  # of the ventricle inside, from base to apex
    radius: float  # of the ventricle inside, at the base
    wall: float
    atrium: float  # depth of the atrium below the base
    opening: float  # of the mitral valve, 0 to 1


@dataclass(frozen=True, kw_only=True)
class Heart:
    """Shape and beat of one phantom's heart."""

    apex_y: float
    apex_x: float
    tilt: float  # of the long axis from the vertical, radians
    side: int  # of the right ventricle: -1 left, 1 right
    length: float
    radius: float
    wall: float
    atrium: float
    taper: float  # how much narrower the base is
    bend: float  # of the long axis
    shortening: float  # of the length, and below of the radius, a share
    narrowing: float
    thickening: float
    rocking: float  # of the apex
    phase: float
    beats: float  # in the time that the cine takes
    volume: interpolate.PchipInterpolator  # from 0 to 1 in the phase of the cycle, 1 at the end of diastole

    @classmethod
    def draw(cls, rng: np.random.Generator, width: float) -> "Heart":
        """A heart at random for an image of this width."""
        length = rng.uniform(0.40, 0.56) * min(1.0, width)
        tilt = rng.uniform(-0.35, 0.35)
        emptied = rng.uniform(0.32, 0.42)  # the end of systole, in the phase of the cycle
        rise = rng.uniform(0.6, 0.85)
        times = np.array([0.0, 0.06, emptied, emptied + rng.uniform(0.18, 0.26), rng.uniform(0.80, 0.86)])
        volumes = (1.0, 0.97, 0.0, rise, rise + 0.06)
        return cls(
            apex_y=rng.uniform(0.13, 0.22),
            apex_x=width * (0.5 + rng.uniform(-0.07, 0.07)) + 0.35 * length * math.sin(tilt),
            tilt=tilt,
            side=1 if rng.random() < 0.3 else -1,
            length=length,
            radius=length * rng.uniform(0.25, 0.34),
            wall=length * rng.uniform(0.12, 0.17),
            atrium=length * rng.uniform(0.40, 0.62),
            taper=rng.uniform(0.0, 0.3),
            bend=rng.uniform(-0.25, 0.25),
            shortening=rng.uniform(0.08, 0.20),
            narrowing=rng.uniform(0.14, 0.36),
            thickening=rng.uniform(0.15, 0.40),
            rocking=rng.uniform(0.0, 0.015),
            phase=rng.uniform(0.0, 1.0),
            beats=rng.uniform(0.95, 1.4),
            volume=interpolate.PchipInterpolator(np.concatenate([times - 1.0, times, times + 1.0]), volumes * 3),
        )

    def seen_by(self, probe: "Probe") -> bool:
        """Whether nearly the whole wall lies in the sector at the end of diastole."""
        angles = np.linspace(0.0, math.pi, 61)
        moment = self.at(0.0)
        _, outer = _contours(moment, np.sin(angles), np.cos(angles))
        y, x = _image_place(self, moment, outer * np.sin(angles), outer * np.cos(angles))
        depth, angle = np.hypot(y - probe.y, x - probe.x), np.arctan2(x - probe.x, y - probe.y)
        return float(np.mean((depth > probe.near) & (depth < probe.far) & (np.abs(angle) < probe.opening))) > 0.97

    def at(self, phase: float) -> Moment:
        """The heart at this phase, whose whole part counts beats."""
        turn = phase % 1.0
        empty = 1.0 - float(self.volume(turn))
        length = self.length * (1.0 - self.shortening * empty)
        rocking = self.rocking * math.sin(2.0 * math.pi * turn)
        return Moment(
            # the apex stays near its place, the base comes and goes
            base_y=self.apex_y + length * math.cos(self.tilt),
            base_x=self.apex_x - length * math.sin(self.tilt) + rocking,
            length=length,
            radius=self.radius * (1.0 - self.narrowing * empty),
            wall=self.wall * (1.0 + self.thickening * empty),
            atrium=self.atrium * (0.85 + 0.3 * empty),
            opening=float(self.volume(turn + 0.02) > self.volume(turn)) * (1.0 - 0.5 * abs(1.0 - 2.0 * empty)),
        )

    def to_reference(self, moment: Moment, y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Where tissue that is now at (y, x) lies in the reference frame: along the axis to the apex, and across it.

        About the middle of the base, a radius is stretched so that the inner and the outer contour of the chambers fall
        on those of the reference; beyond them the stretch fades out.
        """
        first = self.at(0.0)
        up, across = self._local(moment, y, x)
        still_up, still_across = self._local(first, y, x)
        radius = np.maximum(np.hypot(up, across), 1e-6)
        inner, outer = _contours(moment, up / radius, across / radius)
        inner0, outer0 = _contours(first, up / radius, across / radius)
        within = inner0 + (radius - inner) * (outer0 - inner0) / (outer - inner)
        stretched = np.where(radius < outer, within, radius + outer0 - outer)
        stretched = np.where(radius < inner, radius * inner0 / inner, stretched)
        stays = np.exp(-np.maximum(radius - outer, 0.0) / (0.35 * self.length))
        moved_up, moved_across = up * stretched / radius, across * stretched / radius
        return (
            as_float(stays * moved_up + (1.0 - stays) * still_up),
            as_float(stays * moved_across + (1.0 - stays) * still_across),
        )

    def _local(self, moment: Moment, y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        down, right = y - moment.base_y, x - moment.base_x
        sine, cosine = math.sin(self.tilt), math.cos(self.tilt)
        return as_float(right * sine - down * cosine), as_float(right * cosine + down * sine)


def _image_place(heart: Heart, moment: Moment, up: NDArray[Any], across: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The point (y, x) of the image at a place along and across the long axis."""
    sine, cosine = math.sin(heart.tilt), math.cos(heart.tilt)
    return moment.base_y - cosine * up + sine * across, moment.base_x + sine * up + cosine * across


def _contours(moment: Moment, up: NDArray[Any], across: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Radius of the inner and the outer contour in a direction: half ellipses, the ventricle's and the atrium's."""
    result = []
    for wall in (0.0, moment.wall):
        reach = np.where(up > 0, moment.length + 0.8 * wall, moment.atrium + 0.5 * wall)
        result.append(as_float(1.0 / np.sqrt((up / reach) ** 2 + (across / (moment.radius + wall)) ** 2)))
    return result[0], result[1]


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Maps over the reference frame."""

    classes: NDArray[np.uint8]
    scatter: NDArray[np.complex64]  # amplitude and phase of the scatterers
    leaflets: FloatArray  # amplitude of the closed mitral valve
    scatterers: NDArray[np.complex64]

    def classes_at(self, heart: Heart, moment: Moment, y: FloatArray, x: FloatArray) -> IntArray:
        """Class of each point (y, x) of the image."""
        place = _pixels(self.classes.shape[0], *heart.to_reference(moment, y, x))
        return ndimage.map_coordinates(self.classes, place, order=0, mode="nearest").astype(np.int32)

    def scattered_at(self, heart: Heart, moment: Moment, y: FloatArray, x: FloatArray) -> NDArray[np.complex64]:
        """What scatters at each point (y, x) of the beams."""
        up, across = heart.to_reference(moment, y, x)
        place = _pixels(self.classes.shape[0], up, across)
        heard = ndimage.map_coordinates(self.scatter, place, order=1, mode="mirror")
        # an open leaflet has swung into the ventricle, about its root at the wall
        swing = as_float(moment.opening * np.clip(1.0 - np.abs(across) / heart.radius, 0.0, 1.0) * 0.9 * heart.radius)
        place = _pixels(self.classes.shape[0], up - swing, across)
        valve = ndimage.map_coordinates(self.leaflets, place, order=1, mode="nearest")
        grains = ndimage.map_coordinates(self.scatterers, place, order=1, mode="mirror")
        return heard + valve * grains


def _pixels(count: int, up: FloatArray, across: FloatArray) -> FloatArray:
    return np.stack([up, across]) * np.float32((count - 1) / _REFERENCE) + np.float32((count - 1) / 2)


def _paint_anatomy(rng: np.random.Generator, heart: Heart, probe: "Probe", height: int) -> Anatomy:
    count = int(_REFERENCE * 2.0 * height)
    axis = np.linspace(-_REFERENCE / 2, _REFERENCE / 2, count, dtype=np.float32)
    up, across = (as_float(a) for a in np.meshgrid(axis, axis, indexing="ij"))
    shape = (count, count)

    def cells(share: float) -> float:
        return share * heart.length / _REFERENCE * count

    # no heart is made of ellipses: a taper, a bend and waves
    waves = [0.026 * heart.length * field(rng, shape, cells(0.35)) for _ in range(2)]
    high = np.clip(up / heart.length, -1.0, 1.2)
    v = across * (1.0 + heart.taper * np.exp(-((high / 0.35) ** 2))) + heart.bend * heart.radius * np.maximum(high, 0.0) ** 2
    u, v = as_float(up + waves[0]), as_float(v + waves[1])
    radius = np.maximum(np.hypot(u, v), 1e-6)
    inner, outer = _contours(heart.at(0.0), u / radius, v / radius)
    inside, beyond = radius - inner, radius - outer  # distances, nearly

    pen = 0.006  # softness of an edge, and half the width of a thin membrane
    above = u > 0.0
    cavity, muscle = above & (inside < 0), above & (inside >= 0) & (beyond < 0)
    blood = rng.uniform(-42.0, -29.0)
    level = np.full(shape, rng.uniform(-15.0, -7.0), np.float32)  # decibels; the myocardium has about 0
    level += 5.0 * field(rng, shape, cells(0.3)) + 2.0 * field(rng, shape, cells(0.12))
    # the right heart, on the other side of the septum
    right_up, right_across = u - 0.1 * heart.length, v * heart.side - (heart.radius + heart.wall * 1.1 + 0.6 * heart.radius)
    right = np.hypot(right_up / (0.75 * heart.length), right_across / (0.6 * heart.radius * rng.uniform(0.7, 1.3)))
    level += (blood + 4.0 - level) * step((1.0 - right) / 0.06)
    # a bright pericardium, away from the right heart
    free = step(-v * heart.side / (0.3 * heart.radius)) * step(u / 0.03)
    level += rng.uniform(4.0, 11.0) * np.exp(-(((beyond - 1.5 * pen) / (2.0 * pen)) ** 2)) * free
    atrium_wall = ~above & (inside >= 0) & (inside < 0.35 * heart.wall)
    own = rng.uniform(-2.0, 2.0) + 2.2 * field(rng, shape, cells(0.2)) + 1.5 * field(rng, shape, cells(0.06))
    level = np.where(muscle | atrium_wall, own - 3.0 * atrium_wall, level)
    level = np.where(inside < 0, blood + 2.0 * field(rng, shape, cells(0.25)), level)
    # trabeculae, which are counted as cavity
    rough = step((field(rng, shape, cells(0.07)) - 1.1) / 0.2) * np.exp(np.minimum(inside, 0.0) / (0.12 * heart.radius))
    level += 0.7 * (own - level) * rough * cavity

    # walls along the beam send little back
    reference = heart.at(0.0)
    along_y, along_x = _beam(heart, reference, probe, up, across)
    slope_u, slope_v = np.gradient(ndimage.gaussian_filter(inside, 3.0))
    slope = np.maximum(np.hypot(slope_u, slope_v), 1e-6)
    facing = np.abs(slope_u * along_y + slope_v * along_x) / slope
    level -= rng.uniform(1.0, 7.0) * (1.0 - facing) * muscle

    scatterers = _white(rng, shape)
    amplitude = as_float(10.0 ** (level / 20.0))
    leaflet = 10.0 ** (rng.uniform(-1.0, 5.0) / 20.0) * np.exp(-((u / (1.3 * pen)) ** 2)) * (inside < 0)
    return Anatomy(
        classes=(cavity + 2 * muscle).astype(np.uint8),
        scatter=(amplitude * scatterers).astype(np.complex64),
        leaflets=as_float(leaflet),
        scatterers=scatterers,
    )


def _beam(heart: Heart, moment: Moment, probe: "Probe", up: FloatArray, across: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Direction of the beam in the axes of the reference frame."""
    sine, cosine = math.sin(heart.tilt), math.cos(heart.tilt)
    y, x = _image_place(heart, moment, up, across)
    y, x = y - probe.y, x - probe.x
    length = np.maximum(np.hypot(y, x), 1e-6)
    return as_float((sine * x - cosine * y) / length), as_float((cosine * x + sine * y) / length)


def _white(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    parts = rng.standard_normal((2, *shape), np.float32)
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Sector and setting of one phantom's scanner."""

    y: float
    x: float
    near: float
    far: float
    opening: float  # half of the angle of the sector
    short: float  # point spread: along the beam, a length
    wide: float  # and across it, an angle
    dynamic: float  # range that is shown, decibels
    gain: float
    attenuation: float  # decibels from near to far
    haze: float  # decibels
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator, width: float) -> "Probe":
        """A scanner at random for an image of this width."""
        return cls(
            y=rng.uniform(-0.03, 0.02),
            x=width * (0.5 + rng.uniform(-0.02, 0.02)),
            near=rng.uniform(0.03, 0.06),
            far=rng.uniform(0.93, 1.02),
            opening=math.radians(rng.uniform(36.0, 46.0)) * min(1.0, width) ** 0.5,
            short=rng.uniform(0.0045, 0.0075),
            wide=rng.uniform(0.013, 0.026),
            dynamic=rng.uniform(42.0, 58.0),
            gain=rng.uniform(-18.0, -9.0),
            attenuation=rng.uniform(-3.0, 8.0),
            haze=rng.uniform(-42.0, -20.0),
            noise=rng.uniform(-60.0, -46.0),
        )

    def grid(self, height: int) -> tuple[FloatArray, FloatArray]:
        """Depths and angles of the samples along the beams, both (samples, beams)."""
        samples = int(2.2 * height * (self.far - self.near))
        beams = int(1.6 * height * self.opening)
        depths = np.linspace(self.near, self.far, samples, dtype=np.float32)
        angles = np.linspace(-self.opening, self.opening, beams, dtype=np.float32)
        grid = np.meshgrid(depths, angles, indexing="ij")
        return as_float(grid[0]), as_float(grid[1])


class _Clutter:
    """What stands between the tissue and the picture, and does not move with it."""

    def __init__(self, rng: np.random.Generator, probe: Probe, depths: FloatArray, angles: FloatArray) -> None:
        self._probe, shape = probe, depths.shape
        deep = (depths - probe.near) / (probe.far - probe.near)
        self._spread = (
            probe.short / (probe.far - probe.near) * shape[0],
            probe.wide / (2.0 * probe.opening) * shape[1],
        )
        level = probe.gain - probe.attenuation * deep
        # dropout: shadows of the ribs at the sides, of whatever lies on the way elsewhere
        for _ in range(int(rng.integers(1, 4))):
            where = rng.normal(0.0, 0.6) if rng.random() < 0.4 else rng.choice([-1.0, 1.0]) * rng.uniform(0.7, 1.1)
            narrow = rng.uniform(0.06, 0.2)
            away = np.abs(angles / probe.opening - where) / narrow
            level -= rng.uniform(4.0, 16.0) * np.exp(-(away**2)) * step((deep - rng.uniform(0.0, 0.5)) / 0.08)
        level += 1.5 * field(rng, shape, 0.3 * shape[0])
        self._gain = as_float(10.0 ** (level / 20.0))
        # haze: echoes that came back by several ways; strong near the transducer
        cloud = probe.haze + 5.0 * field(rng, shape, 0.35 * shape[0]) + rng.uniform(0.0, 16.0) * np.exp(-deep / 0.12)
        self._haze = self._blur(_white(rng, shape)) * as_float(10.0 ** (cloud / 20.0))

    def _blur(self, values: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Point spread, with the power of white noise kept."""
        keeps = math.sqrt(math.prod(2.0 * math.sqrt(math.pi) * max(s, 0.3) for s in self._spread))
        return np.asarray(keeps * ndimage.gaussian_filter(values, self._spread, mode="nearest"), np.complex64)

    def develop(self, scattered: NDArray[np.complex64], rng: np.random.Generator) -> FloatArray:
        """The picture of the beams, in [0, 1] and a little beyond."""
        noise = 10.0 ** (self._probe.noise / 20.0) * _white(rng, scattered.shape)
        envelope = np.abs((self._blur(scattered) + self._haze) * self._gain + noise)
        return as_float(1.0 + 20.0 * np.log10(np.maximum(envelope, _FLOOR)) / self._probe.dynamic)
