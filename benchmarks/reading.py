"""What it costs to read with decoders that may crash in a process of their own.

200 pictures of each kind and 20 volumes, read as they are and with that guard, in turn; medians of processor seconds of both
processes together, and of seconds on the clock.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ldseg.io import apart
from ldseg.io.geometry import Geometry
from ldseg.io.nifti import write_nifti
from ldseg.io.scans import read_content

ROUNDS = 5


def files(folder: Path) -> dict[str, tuple[list[Path], str]]:
    """Files of each kind, with the axes that they are read with."""
    random, found = np.random.default_rng(0), {}
    for suffix in ("png", "jpg", "webp", "jp2"):
        paths = [folder / f"{index}.{suffix}" for index in range(200)]
        for path in paths:
            coarse = Image.fromarray(random.integers(0, 256, (32, 32, 3)).astype(np.uint8))
            coarse.resize((256, 256), Image.Resampling.BICUBIC).save(path)
        found[suffix] = paths, "YX"
    volumes = [folder / f"{index}.nii.gz" for index in range(20)]
    for path in volumes:
        values = random.integers(0, 99, (32, 128, 128)).astype(np.int16)
        write_nifti(path, values, Geometry.upright(values.shape, (2.0, 1.0, 1.0)), None)
    found["nii.gz"] = volumes, "ZYX"
    return found


def spent() -> tuple[float, float]:
    """Seconds of the processor so far, of this process and of the one that decodes; and on the clock."""
    own = time.process_time()
    for reader in apart._idle:
        fields = Path(f"/proc/{reader.process.pid}/stat").read_text().rpartition(") ")[2].split()
        own += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own, time.perf_counter()


def measure(read: Callable[[Path, str], object], paths: list[Path], axes: str) -> np.ndarray:
    """Seconds that reading takes: of the processor, and on the clock."""
    before = spent()
    for path in paths:
        read(path, axes)
    return np.subtract(spent(), before)


def guarded(path: Path, axes: str) -> object:
    """As LDSeg reads."""
    return apart.read(read_content, path, axes)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for kind, (paths, axes) in files(Path(name)).items():
            guarded(paths[0], axes)  # the other process starts, where one is needed
            rounds = [(measure(read_content, paths, axes), measure(guarded, paths, axes)) for _ in range(ROUNDS)]
            (own, clock), (own_apart, clock_apart) = np.median(rounds, axis=0)
            times = f"processor {own:.3f} and {own_apart:.3f} s, clock {clock:.3f} and {clock_apart:.3f} s"
            print(f"{len(paths)} {kind}: {times}, ratio {own_apart / own:.3f}")
