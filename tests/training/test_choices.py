"""What the settings leave open, chosen from the data."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ldseg.config import Config, load_config
from ldseg.data.cases import Case
from ldseg.errors import DataError
from ldseg.phantoms import write_volume_phantoms
from ldseg.spatial import AXES
from ldseg.training import choices


def choose(config: Config, cases: list[Case]) -> Config:
    return choices.choose(config, choices.look(cases, AXES[config.data.dimensions]))[0]


def images(folder: Path, *sizes: tuple[int, int], mode: str = "RGB") -> list[Case]:
    cases = []
    for index, (height, width) in enumerate(sizes):
        path = folder / f"{index}.png"
        Image.fromarray(np.full((height, width), index, np.uint8)).convert(mode).save(path)
        cases.append(Case(name=path.stem, image=path, label=None, group=path.stem))
    return cases


def test_the_size_of_glas(tmp_path: Path) -> None:
    """Scaled down, in proportion, and rounded to what the networks stride over."""
    data = choose(load_config(None), images(tmp_path, (522, 775), (522, 775), (433, 574))).data
    assert (data.size, data.patch) == ((256, 384), (256, 384))
    assert (data.channels, data.classes, data.intensity) == (3, ("background", "object"), "dtype")


@pytest.mark.parametrize(
    ("size", "preset", "expected"),
    [
        ((100, 64), "lean", (128, 64)),
        ((66, 30), "lean", (64, 32)),
        ((100, 64), "ldseg", (128, 64)),
        ((5, 5), "small", (32, 32)),
    ],
)
def test_small_images_grow_to_the_next_multiple(
    size: tuple[int, int], preset: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    config = load_config(None, [f"Model.Preset={preset}"])
    assert choose(config, images(tmp_path, size)).data.size == expected


def test_tiles_are_cut_not_scaled(tmp_path: Path) -> None:
    config = load_config(None, ["Data.Fit=tile"])
    assert choose(config, images(tmp_path, (1000, 40))).data.size == (288, 64)


def test_augmentation_and_channels(tmp_path: Path) -> None:
    colour, gray = images(tmp_path, (40, 40)), [Case(name="g", image=tmp_path / "g.png", label=None, group="g")]
    Image.fromarray(np.eye(40, dtype=np.uint8)).save(tmp_path / "g.png")
    assert choose(load_config(None), colour).training.augmentation == "histology"
    config = choose(load_config(None), gray)
    assert (config.training.augmentation, config.data.channels) == ("anatomy", 1)


def test_volumes_and_videos(tmp_path: Path) -> None:
    write_volume_phantoms(tmp_path, 1, (20, 36, 40))
    volume = Case(name="Knee1", image=next((tmp_path / "Image").iterdir()), label=None, group="a")
    config = choose(load_config(None, ["Data.Dimensions=3D"]), [volume])
    assert (config.data.size, config.data.channels, config.data.intensity) == ((32, 48, 48), 1, "percentile")
    # Its voxels are 1.5 x 1 x 1 mm: at 1 mm it has 30 planes.
    finer = choose(load_config(None, ["Data.Dimensions=3D", "Data.Fit=tile", "Data.Spacing=1,1,1"]), [volume])
    assert finer.data.size == (32, 48, 48)
    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (20, 40, 70), np.uint8))
    video = Case(name="a", image=tmp_path / "a.tif", label=None, group="a")
    config = choose(load_config(None, ["Data.Dimensions=2D+t"]), [video])
    assert (config.data.size, config.training.augmentation) == ((8, 64, 96), "anatomy")


def test_what_is_set_stays(tmp_path: Path) -> None:
    given = {
        "Data.Size": (64, 64), "Data.Patch": (32, 64), "Data.Channels": 1, "Data.Classes": ("a", "b", "c"),
        "Data.Intensity": "zscore", "Training.Augmentation": "flips",
    }  # fmt: skip
    config = choose(load_config(None).with_values(given), images(tmp_path, (100, 100)))
    assert {name: config.value(name) for name in given} == given


def test_unreadable_cases_are_passed_over(tmp_path: Path) -> None:
    cases = images(tmp_path, (40, 40), (40, 40))
    cases[0].image.write_bytes(b"")
    assert choose(load_config(None), cases).data.size == (64, 64)
    with pytest.raises(DataError, match=r"0\.png"):
        choose(load_config(None), cases[:1])
