"""A slide of 20,000 × 20,000 pixels: its decoded pixels alone take 1.2 GB, the process stays below 2 GB."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.integration

SIDE, TILE = 20_000, 512

RUN = """
import json, resource, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])
import light
light.LightEngine.strides, light.LightEngine.latent_shape = (16, 16), (16, 16, 2)
light.SIZE, light.STRIDE = (256, 256), 16
from ldseg.data.preprocess import Preprocessing
from ldseg.slides.files import SlideSettings, segment_slide
engine = light.LightEngine()
engine.spec.size = (256, 256)
step = Preprocessing(size=(256, 256), classes=("background", "a", "b"), fit="tile")
colours = ((0, 0, 0), (200, 0, 0), (0, 0, 200))
found = segment_slide(
    Path(sys.argv[2]), engine, step, Path(sys.argv[3]), "large", settings=SlideSettings(microns=4.0), colours=colours, key={}
)
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"GiB": most, "tiles": found.tiles, "of": found.of, "objects": found.objects, "pixels": found.pixels}))
"""


def tiles() -> Iterator[np.ndarray]:
    """Tissue in squares, glass in between, compressed as they come."""
    sys.path.insert(0, str(TESTS))
    from slide_files import tissue

    texture = tissue(2 * TILE, 2 * TILE)
    for row in range(-(-SIDE // TILE)):
        for column in range(-(-SIDE // TILE)):
            place = (row * 37) % TILE, (column * 53) % TILE
            part = texture[place[0] : place[0] + TILE, place[1] : place[1] + TILE]
            yield part if (row // 5 + column // 5) % 3 else np.full_like(part, 241)


def test_memory_does_not_grow_with_the_slide(tmp_path: Path) -> None:
    path = tmp_path / "large.svs"
    options = {"tile": (TILE, TILE), "photometric": "rgb", "compression": "jpeg", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        resolution = {"resolution": (2e4, 2e4), "resolutionunit": 3}  # 0.5 µm per pixel
        file.write(tiles(), shape=(SIDE, SIDE, 3), dtype="uint8", **options, **resolution)
    paths = json.dumps([str(TESTS.parent), str(TESTS / "slides"), str(TESTS)])
    command = [sys.executable, "-c", RUN, paths, str(path), str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    print(found)
    assert found["GiB"] < 2.0
    assert sum(found["pixels"]) == SIDE * SIDE
    assert 0 < found["tiles"] < found["of"]
    with tifffile.TiffFile(tmp_path / "out" / "large_segmentation.ome.tif") as file:
        assert file.series[0].levels[0].shape == (SIDE, SIDE)
        assert max(file.series[0].levels[-1].shape) <= 1024
