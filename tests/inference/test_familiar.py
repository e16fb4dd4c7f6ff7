"""From a training to a warning: what weights learned from is kept with them, and images unlike it are named."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny

import ldseg
from ldseg.cli import main
from ldseg.data.cases import find_cases
from ldseg.evaluation.collapse import SOUND
from ldseg.evaluation.familiarity import FEWEST, KINDS
from ldseg.inference import familiar
from ldseg.io.pictures import read_image, write_image
from ldseg.training.prepare import train_config
from ldseg.weights import change_description, read_description

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks(stateful=False):
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data set ``Set`` and the weights ``w`` that learned from it."""
    place = tmp_path_factory.mktemp("place")
    tiny.phantoms(place, FEWEST + 8)
    config = tiny.settings(place, place / "w", Parameters_Epoch=1, Training_Workers=0, Parameters_BatchSize=4)
    train_config(config.with_values({"Data.Classes": ("background", "gland")}))
    figures = read_description(place / "w").figures
    change_description(place / "w", figures={**figures, "collapse": SOUND})  # so few updates may well say otherwise
    return place


def test_a_training_keeps_what_it_learned_from(place: Path) -> None:
    description = read_description(place / "w")
    assert description.familiarity is not None
    assert set(description.familiarity.clouds) == set(KINDS)
    assert description.familiarity.tiles == sum(map(len, description.split["training"].values()))
    assert (
        json.loads((place / "w" / "segmenter.json").read_text("utf-8"))["familiarity"] == description.familiarity.to_dict()
    )


def test_unlike_images_are_named_by_result_table_and_report(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ldseg.load(place / "w", engine="keras")
    usual = place / "Set" / "Image" / "Phantom1.png"
    known = model.segment(usual, steps=1)
    assert known.unfamiliar is not None and known.unfamiliar < 1
    assert known.warnings == ()
    dark = write_image(place / "Dark.png", (read_image(usual) // 16).astype(np.uint8))
    result = model.segment(dark, steps=1)
    assert result.unfamiliar is not None and result.unfamiliar > 1
    (line,) = result.warnings
    assert line.startswith("unlike what the weights learned from: ") and "brightness" in line

    quick = ["--steps", "1", "--set", "GPU.Engine=keras", "--set", "Output.Diffusion=0"]
    assert main(["segment", str(usual), str(dark), "--weights", str(place / "w"), "--out", str(place / "out"), *quick]) == 0
    told = capsys.readouterr().out
    assert f"{result.unfamiliar:.2f}!" in told
    assert "unlike what the weights learned from, not to be trusted: Dark" in told
    cases = {case["name"]: case for case in json.loads((place / "out" / "metrics.json").read_text("utf-8"))["cases"]}
    assert cases["Dark"]["unfamiliar"] == pytest.approx(result.unfamiliar, rel=1e-3)
    assert (cases["Dark"]["warnings"], cases["Phantom1"]["warnings"]) == ([line], [])
    assert line in (place / "out" / "report.html").read_text("utf-8")


def test_a_fit_looks_at_a_sample_and_passes_over_what_cannot_be_read(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = list(find_cases(tiny.phantoms(tmp_path, FEWEST + 4) / "Set").cases)
    cases[0].image.write_bytes(b"no image")
    seen: list[int] = []

    def encode(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return images.mean(axis=(1, 2))

    description = read_description(place / "w")
    fit = familiar.fit(encode, description.spec, description.preprocessing, cases, augmentation="anatomy")
    assert fit is not None and fit.tiles == FEWEST + 3
    assert len(seen) == 6 * fit.tiles  # as it is, in other colours, twice larger and smaller
    hurried = familiar.fit(encode, description.spec, description.preprocessing, cases, seconds=0.0)
    assert hurried is not None and hurried.tiles == FEWEST  # as few as it takes, however slow the machine
    monkeypatch.setattr(familiar, "MOST_CASES", FEWEST)
    assert familiar.fit(encode, description.spec, description.preprocessing, cases[1:]).tiles == FEWEST  # type: ignore[union-attr]


def test_an_image_at_other_magnifications(place: Path) -> None:
    step = read_description(place / "w").preprocessing
    rows = np.linspace(0, 1, 60, dtype=np.float32)
    image = np.repeat(np.stack([rows] * 48)[..., np.newaxis], 3, axis=-1)
    found = familiar.at_other_magnifications(image, "YX", step, np.random.default_rng(0))
    assert {name: each.shape for name, each in found.items()} == dict.fromkeys(("larger", "smaller"), image.shape)
    slope = {name: float(np.median(np.abs(np.diff(each[..., 0], axis=1)))) for name, each in found.items()}
    assert slope["larger"] == pytest.approx(1 / 59 / 3, rel=0.01)
    assert slope["smaller"] == pytest.approx(3 / 59, rel=0.01)
    assert np.abs(np.diff(found["smaller"][..., 0], axis=1)).max() < 4 / 59  # without a seam
    video = np.stack([image] * 3)
    assert familiar.at_other_magnifications(video, "TYX", step, np.random.default_rng(0))["smaller"].shape == video.shape
    assert familiar.at_other_magnifications(video, "ZYX", step, np.random.default_rng(0)) == {}
    assert familiar.at_other_magnifications(image[:20], "YX", step, np.random.default_rng(0)) == {}


def test_a_description_is_changed_and_the_weights_stay(place: Path, tmp_path: Path) -> None:
    import dataclasses
    import shutil

    shutil.copytree(place / "w", tmp_path / "w")
    before = read_description(tmp_path / "w")
    change_description(tmp_path / "w", familiarity=None)
    model = ldseg.load(tmp_path / "w", engine="keras")
    result = model.segment(place / "Set" / "Image" / "Phantom1.png", steps=1)
    assert (result.unfamiliar, result.warnings) == (None, ())
    again = ldseg.load(place / "w", engine="keras").segment(place / "Set" / "Image" / "Phantom1.png", steps=1)
    np.testing.assert_array_equal(result.mask, again.mask)
    assert dataclasses.replace(read_description(tmp_path / "w"), made={}) == dataclasses.replace(
        before, familiarity=None, made={}
    )
