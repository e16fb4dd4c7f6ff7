"""An engine without networks, for slides: quick, and what it gives depends on image and noise, position by position."""

import types
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ldseg.data.cases import Case, prepare
from ldseg.data.preprocess import Preprocessing
from ldseg.inference.cases import segment_each
from ldseg.inference.engine import Drawn, Engine
from ldseg.inference.segmented import Segmented
from ldseg.io.scans import scan_of
from ldseg.io.slides.kinds import open_slide
from ldseg.slides.run import Progress, SegmentedSlide, segment_tiles

SIZE, STRIDE = (64, 64), 8


class LightEngine(Engine):
    """Three classes by the brightness of the image, moved a little by the noise, with some of its surroundings."""

    kind = "light"
    strides = (STRIDE, STRIDE)
    latent_shape = (SIZE[0] // STRIDE, SIZE[1] // STRIDE, 2)

    def __init__(self, **options: object) -> None:
        spec = types.SimpleNamespace(control=False, axes="YX", classes=3, parts=3, outline=False, size=SIZE, channels=3)
        super().__init__(spec, **options)  # type: ignore[arg-type]
        self.tiles = 0

    def encode(self, images: np.ndarray) -> np.ndarray:
        return images.mean(axis=(1, 2))

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        self.tiles += len(inputs["image"])
        gray = inputs["image"].mean(axis=-1)
        # The edges of a tile know less: what is blended differs from tile to tile.
        blurred = (gray + np.roll(gray, 5, axis=1) + np.roll(gray, -7, axis=2)) / 3
        noise = inputs["noise"][:, :, :, 0].mean(axis=2)
        zoomed = noise.repeat(STRIDE, axis=2).repeat(STRIDE, axis=3)
        score = 12 * (blurred[:, np.newaxis] - 0.62) + zoomed[..., 0]
        logits = np.stack([-score, zoomed[..., 1], score], axis=-1).astype(np.float32)
        share = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return Drawn(probabilities=(share / share.sum(axis=-1, keepdims=True)).astype(np.float32))


def step(microns: float | None = None, **changes: object) -> Preprocessing:
    spacing = () if microns is None else (microns / 1000, microns / 1000)
    return Preprocessing(size=SIZE, classes=("background", "a", "b"), fit="tile", spacing=spacing, **changes)  # type: ignore[arg-type]


def in_memory(
    image: np.ndarray, chosen: Preprocessing, microns: float | None, seed: int = 1, **options: object
) -> np.ndarray:
    """The mask by the ordinary way, of an image in memory."""
    return segmented_in_memory(image, chosen, microns, seed, **options).mask


def segmented_in_memory(
    image: np.ndarray, chosen: Preprocessing, microns: float | None, seed: int = 1, **options: object
) -> Segmented:
    """What comes out by the ordinary way, of an image in memory."""
    scan = scan_of(image, "YX", () if microns is None else (microns / 1000, microns / 1000))
    case = Case(name="a", image=Path(), label=None, group="a")
    given = [(case, lambda: prepare("a", scan, chosen))]
    engine = LightEngine(**options)
    (found,) = segment_each(engine, given, chosen, batch_size=3, seed=seed)
    return found


def in_pieces(
    path: Path,
    chosen: Preprocessing,
    folder: Path,
    *,
    engine: LightEngine | None = None,
    seed: int = 1,
    batch_size: int = 3,
    skip: bool = False,
    progress: Progress | None = None,
) -> tuple[np.ndarray, SegmentedSlide]:
    """The mask piece by piece, of a slide in a file, at full resolution."""
    options = {"seed": seed, "batch_size": batch_size, "key": {}, "skip_background": skip, "progress": progress}
    with open_slide(path) as slide:
        done = segment_tiles(slide, engine or LightEngine(), chosen, folder, **options)  # type: ignore[arg-type]
    return done.mask.window(0, 0, *done.mask.size), done
