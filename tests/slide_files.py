"""Slides for tests, written by other programs than LDSeg, or by hand."""

import io
import struct
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

SVS = Path(__file__).parents[1] / "data" / "Slides" / "Image" / "CMU-1-Small-Region.svs"


def tissue(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Something smooth in the colours of H&E, uint8 (H, W, 3)."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    phase = np.random.default_rng(seed).uniform(0, 6, 4)
    wave = np.sin(x / 23 + phase[0]) * np.cos(y / 17 + phase[1]) + 0.5 * np.sin((x + 2 * y) / 41 + phase[2])
    share = (wave[..., np.newaxis] + 1.5) / 3
    image = share * np.array([120, 60, 140]) + (1 - share) * np.array([225, 170, 205])
    return np.clip(image, 0, 255).astype(np.uint8)


def pyramid(path: Path, image: np.ndarray, *, levels: int = 3, microns: float | None = 0.5, **options: object) -> Path:
    """A tiled TIFF with levels of half the size, each every other pixel of the one before."""
    resolution = {} if microns is None else {"resolution": (1e4 / microns, 1e4 / microns), "resolutionunit": 3}
    common = {"tile": (64, 64), "photometric": "rgb" if image.ndim == 3 else "minisblack", "metadata": None, **options}
    with tifffile.TiffWriter(path) as file:
        file.write(image, subifds=levels - 1, **resolution, **common)
        for level in range(1, levels):
            file.write(np.ascontiguousarray(image[:: 2**level, :: 2**level]), subfiletype=1, **common)
    return path


def ndpi(path: Path, image: np.ndarray) -> np.ndarray:
    """A slide as Hamamatsu has it, 0.46 µm per pixel: one JPEG with restart marks, 64-bit offsets. Gives its pixels."""
    height, width = image.shape[:2]
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=90, subsampling=0, restart_marker_blocks=width // 16)
    jpeg = stream.getvalue()
    scan = jpeg.index(b"\xff\xda")
    first = scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4], "big")
    starts = [first, *(i + 2 for i in range(first, len(jpeg) - 2) if jpeg[i] == 0xFF and 0xD0 <= jpeg[i + 1] <= 0xD7)]
    file = bytearray(b"II*\0" + bytes(8))

    def put(content: bytes) -> int:
        place = len(file)
        file.extend(content + bytes(-len(content) % 8))
        return place

    pixels, maker, bits = put(jpeg), put(b"Hamamatsu\0"), put(struct.pack("<3H", 8, 8, 8))
    resolution = put(struct.pack("<II", 1_000_000, 46))
    marks = put(struct.pack(f"<{len(starts)}I", *starts))
    magnification = struct.unpack("<I", struct.pack("<f", 20.0))[0]
    tags = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 3, 1, 7), (262, 3, 1, 6), (271, 2, 10, maker)),
        *((273, 4, 1, pixels), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(jpeg)), (282, 5, 1, resolution)),
        *(
            (283, 5, 1, resolution),
            (296, 3, 1, 3),
            (530, 3, 2, 1 | 1 << 16),
            (65420, 4, 1, 1),
            (65421, 11, 1, magnification),
        ),
        *((65424, 9, 1, 0), (65426, 4, len(starts), marks)),
    ]
    directory = put(
        struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(8 + 4 * len(tags))
    )
    file[4:12] = struct.pack("<Q", directory)
    path.write_bytes(file)
    return np.asarray(Image.open(io.BytesIO(jpeg)))
