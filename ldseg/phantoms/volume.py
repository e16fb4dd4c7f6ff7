"""Volume phantoms: a knee-like joint as magnetic resonance shows it, with labels of bone and cartilage.

Shapes are written as signed distances: negative inside, in the unit of the coordinates. Each axis of the image is one
unit long with 0 in its middle, whatever its number of voxels: z from side to side, y from the thigh down to the shin,
x from front to back.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ldseg.errors import ConfigError
from ldseg.phantoms.fields import FloatArray, as_float, field, step, without_crumbs

IntArray = NDArray[np.int32]

VOLUME_CLASSES = ("background", "bone", "cartilage")

_SMALLEST = 16
_WHITE = 1000.0  # about the brightest tissue in a file


def volume_phantom(
    rng: np.random.Generator, size: tuple[int, int, int] = (48, 64, 64)
) -> tuple[NDArray[np.uint16], IntArray]:
    """Paint one volume: femur above, tibia below, cartilage where they face each other.

    size: slices, rows and columns (each at least 16). They span the same anatomy whatever their number, so that many rows
    and few slices make thick slices; the spacing of the voxels is for whoever writes the file.
    Returns the image (Z, Y, X) uint16, about 0 to 1000, and the label (Z, Y, X) int32: 0 background, 1 bone, 2 cartilage.
    Raises ConfigError for a size that is too small.
    """
    shape = tuple(int(n) for n in size)
    if len(shape) != 3 or min(shape) < _SMALLEST:
        raise ConfigError(f"size of a volume phantom: expected {_SMALLEST} voxels or more each way, got {tuple(size)}")
    joint = Joint.draw(rng)
    place = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in shape), indexing="ij")).astype(np.float32)
    bones = _bones(rng, joint, place)
    cartilage = _cartilage(rng, joint, bones)
    label = np.zeros(shape, np.int32)
    label[cartilage] = 2
    label[np.minimum(bones.femur, bones.tibia) < 0] = 1
    return _scan(rng, _paint(rng, joint, bones, label, place)), label


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Pose and size of one phantom's joint."""

    turn: NDArray[np.float64]  # (3, 3): of the whole, on (z, y, x)
    flexion: float  # of the femur about z, radians
    lean: float  # of the femur about x
    shift: tuple[float, float, float]
    scale: float
    spread: float  # of the condyles from the middle
    condyle: tuple[float, float, float]  # half axes
    shaft: float  # its radius, in that of the bone's end
    plateau: tuple[float, float]  # half axes along z and x
    slope: float  # of the plateau from front to back
    layer: float  # thickness of one cartilage
    gap: float  # between the two
    limb: tuple[float, float]  # half axes of the leg along z and x

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Joint":
        """A joint at random."""
        turn = Rotation.from_euler("xyz", rng.normal(0.0, (6.0, 8.0, 6.0)), degrees=True).as_matrix()
        spread = rng.uniform(0.165, 0.195)
        return cls(
            turn=turn,
            flexion=math.radians(rng.uniform(-8.0, 28.0)),
            lean=math.radians(rng.normal(0.0, 3.0)),
            shift=(rng.normal(0.0, 0.02), rng.normal(0.0, 0.045), rng.normal(0.0, 0.035)),
            scale=rng.uniform(0.85, 1.12),
            spread=spread,
            condyle=(spread * rng.uniform(0.80, 0.95), rng.uniform(0.17, 0.21), rng.uniform(0.22, 0.27)),
            shaft=rng.uniform(0.50, 0.66),
            plateau=(spread + rng.uniform(0.14, 0.18), rng.uniform(0.22, 0.27)),
            slope=math.radians(rng.uniform(-2.0, 8.0)),
            layer=rng.uniform(0.030, 0.046),
            gap=rng.uniform(-0.004, 0.012),
            limb=(rng.uniform(0.46, 0.60), rng.uniform(0.46, 0.62)),
        )


@dataclass(frozen=True, kw_only=True)
class Bones:
    """Signed distances of both bones, and the coordinates that they are drawn in: each (Z, Y, X)."""

    femur: FloatArray
    tibia: FloatArray
    z: FloatArray  # of the joint at rest, before the pose: the cartilage lies about y = 0
    y: FloatArray
    x: FloatArray
    notch: FloatArray  # 1 between the condyles, 0 on them


def _bones(rng: np.random.Generator, joint: Joint, place: FloatArray) -> Bones:
    shape = place.shape[1:]
    shifted = place - np.reshape(joint.shift, (3, 1, 1, 1))
    z, y, x = (as_float(a) for a in np.tensordot(joint.turn, shifted / joint.scale, axes=1))
    waves = [0.007 * field(rng, shape, 0.16 * max(shape)) for _ in range(3)]
    z, y, x = z + waves[0], y + waves[1], x + waves[2]

    # the femur turns about the middle of its condyles
    high = joint.condyle[1]
    sine, cosine = math.sin(joint.flexion), math.cos(joint.flexion)
    up, fore = y + high, x
    up, fore = cosine * up - sine * fore, sine * up + cosine * fore
    sine, cosine = math.sin(joint.lean), math.cos(joint.lean)
    up, side = cosine * up - sine * z, sine * up + cosine * z
    condyles = [
        _ellipsoid((side - s * joint.spread, up - rng.normal(0.0, 0.008), fore - 0.02), joint.condyle) for s in (-1, 1)
    ]
    end = np.clip((-up - 0.05) / 0.35, 0.0, 1.0)  # from the joint to the shaft
    wide = (1.0 - end) * (joint.spread + 0.6 * joint.condyle[0]) + end * joint.shaft * 0.32
    deep = (1.0 - end) * 0.8 * joint.condyle[2] + end * joint.shaft * 0.30
    shaft = (np.hypot(side / wide, (fore + 0.03) / deep) - 1.0) * np.minimum(wide, deep)
    shaft = _common(as_float(shaft), as_float(up + 0.05), 0.12)
    femur = _union(_union(condyles[0], condyles[1], 0.02), shaft, 0.05)

    # the plateau lies under the lowest point of the condyles, hollow where they would press into it
    lowest = float(y[femur < 0].max(initial=0.0))
    between = 2.0 * joint.layer + joint.gap
    down = y - lowest - between + math.tan(joint.slope) * x
    eminence = 0.035 * np.exp(-((z / 0.045) ** 2) - (x / 0.1) ** 2)
    end = np.clip((down - 0.04) / 0.35, 0.0, 1.0)
    wide, deep = ((1.0 - end) * p + end * joint.shaft * 0.32 for p in joint.plateau)
    trunk = (np.hypot(z / wide, (x - 0.01) / deep) - 1.0) * np.minimum(wide, deep)
    tibia = _common(as_float(trunk), as_float(-down - eminence), 0.04)
    tibia = np.maximum(tibia, between - femur)
    notch = np.exp(-((side / (0.45 * joint.spread)) ** 2))
    return Bones(femur=femur, tibia=as_float(tibia), z=z, y=as_float(y - lowest - 0.5 * between), x=x, notch=as_float(notch))


def _ellipsoid(point: tuple[NDArray[Any], ...], axes: tuple[float, ...]) -> FloatArray:
    """Signed distance of an ellipsoid, exact at its surface to first order."""
    scaled = np.sqrt(sum((p / a) ** 2 for p, a in zip(point, axes, strict=True)))
    slope = np.sqrt(sum((p / a**2) ** 2 for p, a in zip(point, axes, strict=True)))
    return as_float(scaled * (scaled - 1.0) / np.maximum(slope, 1e-6))


def _union(a: FloatArray, b: FloatArray, fillet: float) -> FloatArray:
    """Both shapes as one, the groove where they meet filled over about that width."""
    near = np.maximum(fillet - np.abs(a - b), 0.0) / fillet
    return as_float(np.minimum(a, b) - 0.25 * fillet * near**2)


def _common(a: FloatArray, b: FloatArray, edge: float) -> FloatArray:
    """What lies in both shapes, the edge where they cut each other rounded over about that width."""
    return -_union(-a, -b, edge)


def _cartilage(rng: np.random.Generator, joint: Joint, bones: Bones) -> NDArray[np.bool_]:
    """Two layers of varying thickness, each on its bone, that thin out towards their rims."""
    shape = bones.femur.shape
    thickness = joint.layer * np.clip(1.0 + 0.15 * field(rng, shape, 0.2 * max(shape)), 0.6, 1.4)
    # on the femur where the bone faces down, on the tibia on two discs; neither between the condyles
    down, fore = (np.gradient(bones.femur, axis=axis) * shape[axis] for axis in (1, 2))
    femoral = step((down + 0.45 * np.abs(fore) - 0.45) / 0.06) * step((bones.y + 1.5 * joint.condyle[1]) / 0.02)
    femoral *= step((0.6 - bones.notch) / 0.05)
    side = (np.abs(bones.z) - joint.spread) / (joint.plateau[0] - joint.spread)
    reach = np.hypot(side, bones.x / (0.85 * joint.plateau[1]))
    tibial = step((1.0 - reach) / 0.06) * step((0.06 - bones.y) / 0.01)
    on_femur = (bones.femur >= 0) & (bones.femur < thickness * femoral)
    on_tibia = (bones.tibia >= 0) & (bones.tibia < thickness * tibial)
    return without_crumbs((on_femur | on_tibia) & (bones.femur >= 0) & (bones.tibia >= 0), 0.03)


def _paint(rng: np.random.Generator, joint: Joint, bones: Bones, label: IntArray, place: FloatArray) -> FloatArray:
    """Signal of each tissue, 0 to about 1, without the faults of the scanner."""
    shape = label.shape
    voxel = 1.0 / shape[1]
    fatty = rng.random() < 0.5  # whether fat shines, or is suppressed
    fat = rng.uniform(0.60, 0.90) if fatty else rng.uniform(0.10, 0.25)
    marrow = rng.uniform(0.30, 0.48) if fatty else rng.uniform(0.10, 0.24)
    muscle, fluid = rng.uniform(0.25, 0.42), rng.uniform(0.75, 1.05)
    layer = marrow + rng.uniform(0.22, 0.42)

    # muscle in bundles with fat between them, more fat behind the joint and in front of it
    bundles = field(rng, shape, 0.22 * max(shape)) + 0.4 * field(rng, shape, 0.09 * max(shape))
    share = step((bundles - 0.9 + 1.6 * np.exp(-((bones.y / 0.22) ** 2))) / 0.25)
    signal = muscle + (fat - muscle) * share + 0.03 * field(rng, shape, 3.0)
    # the skin, with fat under it and air outside
    rim = np.hypot((place[0] - joint.shift[0]) / joint.limb[0], (place[2] - joint.shift[2]) / joint.limb[1])
    signal += (fat - signal) * step((rim - 0.84) / 0.02)
    signal *= 1.0 - 0.97 * step((rim - 1.0) / 0.015)
    # fluid and menisci where the bones come near to each other, ligaments in the notch
    apart = np.maximum(bones.femur, 0.0) + np.maximum(bones.tibia, 0.0)
    near = step((2.0 * joint.layer + 0.035 - apart) / 0.012)
    signal += (rng.uniform(0.5, 1.0) * (fluid - signal)) * near
    outer = np.hypot(bones.z / joint.plateau[0], bones.x / joint.plateau[1])
    meniscus = step((outer - 0.72) / 0.04) * step((1.02 - outer) / 0.03) * step((0.032 - np.abs(bones.y)) / 0.006)
    signal += (0.08 - signal) * meniscus
    crossing = rng.uniform(0.6, 1.2) * bones.x + 0.35 * bones.y
    ligament = np.exp(-((np.hypot(bones.z - 0.02, crossing) / 0.035) ** 2)) * step((0.16 - np.abs(bones.y)) / 0.02)
    signal += (0.12 - signal) * ligament * step((apart - 2.0 * voxel) / voxel)

    bone, cartilage = label == 1, label == 2
    depth = np.maximum(-bones.femur, -bones.tibia)
    inner = marrow * (1.0 + 0.10 * field(rng, shape, 0.15 * max(shape)) + 0.07 * field(rng, shape, 2.5))
    cortex = rng.uniform(0.6, 1.3) * voxel + 0.012 * step((np.abs(bones.y) - 0.22) / 0.03)  # thick along the shaft
    inner *= 1.0 - 0.8 * step((cortex - depth) / (0.35 * voxel))
    coat = layer * (1.0 + 0.07 * field(rng, shape, 0.08 * max(shape)))
    return as_float(np.where(bone, inner, np.where(cartilage, coat, signal)))


def _scan(rng: np.random.Generator, signal: FloatArray) -> NDArray[np.uint16]:
    """What a scanner makes of the signal: blur, a field that is not even, and the noise of a magnitude (Rice)."""
    shape = signal.shape
    blurred = ndimage.gaussian_filter(signal, rng.uniform(0.40, 0.65))
    bias = field(rng, shape, 0.75 * max(shape))
    blurred = blurred * np.exp(rng.uniform(0.08, 0.22) * bias / max(float(np.abs(bias).max()), 1e-6))
    noise = rng.uniform(0.012, 0.04) * rng.standard_normal((2, *shape), np.float32)
    magnitude = np.hypot(blurred + noise[0], noise[1]) * rng.uniform(0.7, 1.2) * _WHITE
    return np.rint(np.clip(magnitude, 0.0, 65535.0)).astype(np.uint16)
