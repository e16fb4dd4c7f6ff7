"""What the settings leave open, chosen from the data, with reasons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ldseg.config import Config, load_config
from ldseg.data.cases import Case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.models import PRESETS
from ldseg.phantoms import write_volume_phantoms
from ldseg.training.choices import Reason
from ldseg.training.choices import choose as choose_all
from ldseg.training.cost import Machine
from ldseg.training.grid import grid_of
from ldseg.training.look import Outline, Seen, look

PROCESSOR = Machine(cores=2, gpu=False)
CLASSES = ("background", "disc", "cup")


def choose(config: Config, cases: list[Case]) -> Config:
    if config.data.dimensions == "auto":
        config = config.with_values({"Data.Dimensions": "2D"})
    return choose_all(config, look(cases, config.data), machine=PROCESSOR)[0]


def images(folder: Path, *sizes: tuple[int, int], mode: str = "RGB") -> list[Case]:
    cases = []
    for index, (height, width) in enumerate(sizes):
        path = folder / f"{index}.png"
        Image.fromarray(np.full((height, width), index, np.uint8)).convert(mode).save(path)
        cases.append(Case(name=path.stem, image=path, label=None, group=path.stem))
    return cases


def disc(length: int, radius: float, centre: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    y, x = (np.arange(length) - length * at for at in centre)
    distance = np.hypot(y[:, None], x)
    return (distance < radius).astype(np.uint8) + (distance < radius / 2)


def nodules() -> list[np.ndarray]:
    """As large as in DDTI."""
    return [(disc(300, radius) > 0).astype(np.uint8) for radius in (80, 90, 100)]


def seen(*labels: np.ndarray, **changes: object) -> Seen:
    """Pictures, or volumes of 1 mm, with these labels of `CLASSES`."""
    counts = np.array([np.bincount(label.ravel(), minlength=3) for label in labels])
    spacing = None if labels[0].ndim == 2 else (1.0, 1.0, 1.0)
    values: dict[str, object] = {
        "sizes": tuple(label.shape for label in labels), "spacings": (spacing,) * len(labels), "channels": 3,
        "eight_bits": True, "cases": len(labels), "shares": tuple(counts.sum(0) / counts.sum()),
        "occurs": tuple((counts > 0).mean(0)), "outlines": tuple(Outline(classes=each, spacing=spacing) for each in labels),
    }  # fmt: skip
    return Seen(**{**values, **changes})  # type: ignore[arg-type]


def planned(data: Seen, *overrides: str) -> tuple[Config, dict[str, Reason]]:
    classes = f"Data.Classes={','.join(CLASSES)}"
    config, reasons = choose_all(load_config(None, ["Data.Dimensions=2D", classes, *overrides]), data, machine=PROCESSOR)
    return config, {reason.name: reason for reason in reasons}


def test_the_size_of_glas(tmp_path: Path) -> None:
    """Scaled down, in proportion, and rounded to what the networks stride over."""
    data = choose(load_config(None), images(tmp_path, (522, 775), (522, 775), (433, 574))).data
    assert (data.size, data.patch, data.fit) == ((256, 384), (256, 384), "resize")
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


def test_a_grid_that_loses_next_to_nothing_is_taken_for_its_speed() -> None:
    config, reasons = planned(seen(*nodules()))
    assert config.data.size == (224, 224)
    assert config.data.fit == "resize"
    assert "next to nothing" in reasons["Data.Size"].why
    assert config.training.focus == 0.0


def test_fewer_minutes_mean_a_smaller_grid_and_a_smaller_batch() -> None:
    data = seen(*nodules())
    sizes = [planned(data, f"Training.Minutes={minutes}")[0].data.size[0] for minutes in (60, 3, 0.5)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < sizes[1] < sizes[0] == 224
    config, reasons = planned(data, "Training.Minutes=0.5", "Data.Size=256,256")
    assert config.parameters.batch_size == 2
    assert "minutes are few" in reasons["Parameters.BatchSize"].why


def test_the_updates_of_minutes_are_those_of_the_minutes_left() -> None:
    config = load_config(None, ["Data.Dimensions=2D", f"Data.Classes={','.join(CLASSES)}", "Training.Minutes=10"])
    told = [choose_all(config, seen(*nodules()), machine=PROCESSOR, spent=60.0 * over)[1][-1].why for over in (0, 4, 11)]
    assert told[0].startswith("10 minutes: about ")
    assert told[1].startswith("10 minutes, of which 4.0 are over: about ")
    updates = [int(text.partition("about ")[2].split()[0]) for text in told]
    assert updates[1] == pytest.approx(updates[0] * (6 * 54 - 20) / (10 * 54 - 20), abs=1)
    assert updates[2] == 0


def test_a_small_disc_gets_its_own_resolution() -> None:
    """A fundus: a disc of 2 % of the picture, a cup of half a percent."""
    data = seen(*(disc(1024, 82, (0.5, at)) for at in (0.3, 0.35, 0.4)))
    config, reasons = planned(data, "Training.Minutes=20")
    assert config.data.fit == "aspect"
    assert 2 < float(config.data.zoom) < 4.5
    assert "tiles of it at" in reasons["Data.Fit"].why
    assert int(config.training.samples_per_case) > 1
    assert config.training.focus == pytest.approx(0.33)
    assert planned(data, "Data.Fit=resize")[0].data.zoom == 1.0  # what is set stays


def test_a_volume_that_a_grid_would_wreck_is_tiled_by_mm() -> None:
    """A sheet two voxels thick, as cartilage is, where a sample may have one voxel of 27."""
    sheet = np.zeros((48, 32, 96), np.uint8)
    sheet[20:22, 4:-4, 4:-4] = 1
    data = seen(sheet, channels=1)
    settings = load_config(None, ["Data.Dimensions=3D", f"Data.Classes={','.join(CLASSES)}"]).data
    found = grid_of(settings, data, "ZYX", PRESETS["lean"], sheet.size / 27)
    assert (found.fit, len(found.spacing)) == ("tile", 3)
    assert max(found.spacing) < 2  # the volume itself has 1 mm, and whole it would have 3
    assert "% of label Dice would be lost" in found.why["Fit"]
    whole = Preprocessing(size=found.size, axes="ZYX", channels=1, classes=CLASSES)
    assert data.lost(whole) > 0.015
    assert data.lost(found.step(settings, "ZYX")) < data.lost(whole) / 2


def test_pictures_of_many_aspects_keep_theirs() -> None:
    tall, wide = np.zeros((400, 200), np.uint8), np.zeros((200, 400), np.uint8)
    tall[100:300, 50:150] = wide[50:150, 100:300] = 1
    config, reasons = planned(seen(tall, wide))
    assert config.data.fit == "aspect"
    assert "aspect" in reasons["Data.Fit"].why


def test_augmentation_and_channels(tmp_path: Path) -> None:
    gray = [Case(name="g", image=tmp_path / "g.png", label=None, group="g")]
    Image.fromarray(np.eye(40, dtype=np.uint8)).save(tmp_path / "g.png")
    config = choose(load_config(None), gray)
    assert (config.training.augmentation, config.data.channels) == ("anatomy", 1)
    label = disc(64, 20)
    assert planned(seen(label, stained=1.0))[0].training.augmentation == "histology"
    config, reasons = planned(seen(label, stained=0.1))
    assert config.training.augmentation == "anatomy"
    assert "not those of stained tissue" in reasons["Training.Augmentation"].why


def test_rare_classes_are_drawn_more_often() -> None:
    shown, empty = disc(64, 30), (disc(64, 30) > 0).astype(np.uint8)
    config, reasons = planned(seen(shown, *[empty] * 9))
    assert config.training.focus == pytest.approx(0.33)
    assert "cup" in reasons["Training.Focus"].why
    assert "disc" not in reasons["Training.Focus"].why


def test_the_grid_loses_of_regions_what_it_loses_of_these() -> None:
    """A thin rim is lost on a coarse grid, of the disc, which holds it and the cup, little is."""
    rim = (disc(128, 40) > 0).astype(np.uint8) + (disc(128, 37) > 0)
    data = seen(rim)
    steps = {
        regions: Preprocessing(size=(32, 32), classes=CLASSES, regions=regions) for regions in ((), (("disc", (1, 2)),))
    }
    assert data.lost(steps[(("disc", (1, 2)),)]) < 0.03 < 0.1 < data.lost(steps[()])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], 1.0),
        (["Model.Prediction=eps"], 0.7),  # a recycled sample has no noise to predict
        (["Model.Prediction=v"], 0.7),
        (["Model.Preset=ldseg"], 0.7),
        (["Model.Preset=ldseg", "Model.Prediction=x0"], 1.0),
        (["Model.Architecture=Control"], 0.0),
        (["Training.Recycling=0.4"], 0.4),
    ],
)
def test_recycling_suits_what_is_predicted(settings: list[str], expected: float) -> None:
    config = load_config(None, ["Data.Dimensions=2D", f"Data.Classes={','.join(CLASSES)}", *settings])
    config, _ = choose_all(config, seen(disc(64, 30)), preset=PRESETS[config.model.preset], machine=PROCESSOR)
    assert config.training.recycling == expected


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
    assert config.training.samples_per_case == 2  # of 8 of 20 frames


def test_what_is_set_stays(tmp_path: Path) -> None:
    given = {
        "Data.Size": (64, 64), "Data.Patch": (32, 64), "Data.Channels": 1, "Data.Classes": ("a", "b", "c"),
        "Data.Intensity": "zscore", "Training.Augmentation": "flips", "Data.Fit": "aspect", "Data.Zoom": 1.5,
        "Parameters.BatchSize": 3, "Training.SamplesPerCase": 5, "Training.Focus": 0.5,
    }  # fmt: skip
    config = choose(load_config(None).with_values(given), images(tmp_path, (100, 100)))
    assert {name: config.value(name) for name in given} == given


def test_a_training_that_goes_on_keeps_what_it_began_with() -> None:
    data = seen(*(disc(1024, 82, (0.5, at)) for at in (0.3, 0.35, 0.4)))
    before = {"Data.Size": [128, 128], "Data.Patch": [128, 128], "Data.Channels": 1}
    config, _ = choose_all(load_config(None, ["Data.Dimensions=2D"]), data, before, machine=PROCESSOR)
    # What was not chosen when it began is as it was then.
    assert (config.data.size, config.data.fit, config.data.zoom) == ((128, 128), "resize", 1.0)
    assert (config.parameters.batch_size, config.training.samples_per_case, config.training.focus) == (4, 1, 0.0)
    assert config.training.recycling == 0.7


def test_unreadable_cases_are_passed_over(tmp_path: Path) -> None:
    cases = images(tmp_path, (40, 40), (40, 40))
    cases[0].image.write_bytes(b"")
    assert choose(load_config(None), cases).data.size == (64, 64)
    with pytest.raises(DataError, match=r"0\.png"):
        choose(load_config(None), cases[:1])


def test_channels_are_those_of_most_images(tmp_path: Path) -> None:
    """One image of other channels does not leave out all others; gray and colours are made of each other."""
    cases = images(tmp_path, (20, 30), (20, 30), (20, 30))
    tifffile.imwrite(tmp_path / "four.tif", np.zeros((20, 30, 4), np.uint8), photometric="minisblack", planarconfig="contig")
    odd = Case(name="four", image=tmp_path / "four.tif", label=None, group="four")
    data = Config().with_values({"Data.Dimensions": "2D"}).data
    assert look([*cases, odd], data).channels == 3
    gray = images(tmp_path, (20, 30), (20, 30), (20, 30), mode="L")
    assert look([*gray, odd], data).channels == 1
    assert look([odd], data).channels == 4


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    cases = images(tmp_path, (20, 30), (20, 30), (20, 30))
    (tmp_path / "0.png").write_bytes(b"")
    Image.fromarray(np.full((20, 30), 7, np.uint8)).save(tmp_path / "label.png")
    cases[1] = replace(cases[1], label=tmp_path / "label.png")
    told = look(cases, Config().with_values({"Data.Dimensions": "2D"}).data).problems
    assert len(told) == 2 and "label.png: label values 7 do not fit" in told[0] and "0.png" in told[1]
