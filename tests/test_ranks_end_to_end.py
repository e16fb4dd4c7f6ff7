"""The bundled volumes and videos with the bundled weights, through the command line."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ldseg.cli import main
from ldseg.data.cases import find_cases
from ldseg.evaluation.metrics import dice
from ldseg.inference import segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.inference.tiles import cover
from ldseg.io.scans import read_scan, read_scan_label
from ldseg.segmenter import Segmenter
from ldseg.weights import load_weights, read_description

ROOT = Path(__file__).parents[1]


def segment(out: Path, dataset: str, dimensions: str, *overrides: str) -> int:
    settings = [
        f"Data.Root={ROOT / 'data'}", f"Data.Dataset={dataset}", f"Data.Dimensions={dimensions}",
        f"Model.Weights={ROOT / 'weights' / dataset}", f"Output.Folder={out}", "Sampler.Sampling_Steps=2", *overrides,
    ]  # fmt: skip
    return main(["--config", str(ROOT / "cfg.ini"), *(part for setting in settings for part in ("--set", setting))])


RUNS = [("Volume", "3D", "ZYX", ".nii.gz", 0.8), ("Cine", "2D+t", "TYX", ".tif", 0.8)]


@pytest.mark.parametrize(("dataset", "dimensions", "axes", "suffix", "least"), RUNS)
def test_one_setting_makes_the_rank(
    dataset: str, dimensions: str, axes: str, suffix: str, least: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(tmp_path, dataset, dimensions) == 0
    images = sorted((ROOT / "data" / dataset / "Image").iterdir())
    for path in images:
        name = path.name.removesuffix(suffix)
        scan = read_scan(path, axes)
        mask, geometry = read_scan_label(tmp_path / f"{name}_segmentation{suffix}", axes)
        assert mask.shape == scan.values.shape[:-1]
        assert geometry == scan.geometry
        assert set(np.unique(mask)) == {0, 1, 2}
        for picture in ("png", "gif"):
            assert (tmp_path / "Overlay" / f"{name}_overlay.{picture}").is_file()
    assert len(list((tmp_path / "Diffusion").iterdir())) == 2
    summary = json.loads((tmp_path / "metrics.json").read_text("utf-8"))["summary"]
    assert summary["segmented"] == len(images) == 3
    assert summary["dice"]["foreground"]["mean"] > least
    assert "is not used" not in capsys.readouterr().err


def test_a_video_of_another_length_and_a_mask_of_its_own(tmp_path: Path) -> None:
    """A part of a video, alone in its batch, is segmented too, whatever its number of frames."""
    import tifffile

    images = tmp_path / "Cine" / "Image"
    images.mkdir(parents=True)
    frames = tifffile.imread(ROOT / "data" / "Cine" / "Image" / "Ventricle1.tif")
    tifffile.imwrite(images / "short.tif", frames[:3], photometric="minisblack")
    tifffile.imwrite(images / "odd.tif", frames[:11], photometric="minisblack")
    shutil.copy(ROOT / "data" / "Cine" / "Image" / "Ventricle1.tif", images)
    (images / "broken.tif").write_bytes((images / "odd.tif").read_bytes()[:5000])
    out = tmp_path / "out"
    assert segment(out, "Cine", "2D+t", f"Data.Root={tmp_path}", "Output.Diffusion=0", "Output.Overlay=False") == 1
    for name, count in (("short", 3), ("odd", 11), ("Ventricle1", 16)):
        mask, _ = read_scan_label(out / f"{name}_segmentation.tif", "TYX")
        assert mask.shape == (count, 96, 96)
        assert (mask == 1).any(axis=(1, 2)).all()
    assert not list(out.glob("broken*"))


def test_no_seam_shows_between_tiles() -> None:
    """A phantom covered with eight tiles: as good as whole, and no step where tiles begin and end."""
    description = read_description(ROOT / "weights" / "Volume")
    found = {}
    for fit, size in (("resize", description.spec.size), ("tile", (32, 48, 48))):
        segmenter = Segmenter(replace(description.spec, size=size))
        load_weights(ROOT / "weights" / "Volume", segmenter)
        step = replace(description.preprocessing, fit=fit, size=size)
        predictor = Predictor(segmenter, steps=2)
        predictor.compile()
        case = find_cases(ROOT / "data" / "Volume", ["Knee1"], axes="ZYX").cases
        (found[fit],) = segment_cases(predictor, case, step, batch_size=4, seed=0)
    label = found["tile"].loaded.label
    whole, tiled = (np.nanmean(dice(found[fit].mask, label, 3)[1:]) for fit in ("resize", "tile"))
    assert tiled > whole - 0.05
    assert cover((48, 64, 64), (32, 48, 48), (4, 4, 4)).starts == tuple(itertools.product((0, 16), repeat=3))
    for axis, seams in enumerate(((16, 32), (16, 48), (16, 48))):
        others = tuple(index for index in range(4) if index != axis)
        # Between the planes k and k + 1.
        change = np.abs(np.diff(found["tile"].probabilities, axis=axis)).mean(axis=others)
        for seam in seams:
            beside = np.r_[change[seam - 5 : seam - 1], change[seam : seam + 4]]
            assert change[seam - 1] < 1.3 * beside.max()
