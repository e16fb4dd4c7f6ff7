"""What images are, told by their files."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ldseg.data.dimensions import dimensions_of
from ldseg.errors import ConfigError, DataError
from ldseg.phantoms import write_phantoms, write_volume_phantoms


def test_pictures_volumes_and_videos(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "p", 1, (32, 32), seed=1)
    assert dimensions_of(tmp_path / "p")[0] == "2D"
    write_volume_phantoms(tmp_path / "v", 1, (20, 36, 40))
    assert dimensions_of(tmp_path / "v") == ("3D", "Knee1.nii.gz is a volume")
    frames = tmp_path / "f" / "Image" / "a"
    frames.mkdir(parents=True)
    for index in range(3):
        Image.fromarray(np.full((32, 32), index, np.uint8)).save(frames / f"{index}.png")
    assert dimensions_of(tmp_path / "f") == ("2D+t", "a is a folder of frames; 3D says that they are slices of a volume")


def test_what_may_be_either_is_asked(tmp_path: Path) -> None:
    (tmp_path / "Image").mkdir()
    tifffile.imwrite(tmp_path / "Image" / "a.tif", np.random.default_rng(0).integers(0, 255, (5, 40, 70), np.uint8))
    with pytest.raises(ConfigError, match=r"expected 3D \(--dimensions 3D\) or 2D\+t, as a\.tif may be"):
        dimensions_of(tmp_path)
    tifffile.imwrite(tmp_path / "Image" / "a.tif", np.zeros((40, 70), np.uint8))
    assert dimensions_of(tmp_path)[0] == "2D"


def test_nothing_to_tell_by(tmp_path: Path) -> None:
    (tmp_path / "Image").mkdir()
    with pytest.raises(DataError, match="no image found"):
        dimensions_of(tmp_path)
