"""The bundled volumes and films with the bundled weights, through the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ldseg.cli import main
from ldseg.data.scans import read_scan, read_scan_label

ROOT = Path(__file__).parents[1]


def segment(out: Path, dataset: str, dimensions: str, *overrides: str) -> int:
    settings = [
        f"Data.Root={ROOT / 'data'}", f"Data.Dataset={dataset}", f"Data.Dimensions={dimensions}",
        f"Model.Weights={ROOT / 'weights' / dataset}", f"Output.Folder={out}", "Sampler.Sampling_Steps=2", *overrides,
    ]  # fmt: skip
    return main(["--config", str(ROOT / "cfg.ini"), *(part for setting in settings for part in ("--set", setting))])


RUNS = [("Volume", "3D", "ZYX", ".nii.gz", 0.6), ("Cine", "2D+t", "TYX", ".tif", 0.7)]


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
    summary = json.loads((tmp_path / "metrics.json").read_text())["summary"]
    assert summary["segmented"] == len(images) == 3
    assert summary["dice"]["foreground"]["mean"] > least
    assert "is not used" not in capsys.readouterr().err


def test_a_film_of_another_length_and_a_mask_of_its_own(tmp_path: Path) -> None:
    """A part of a film, alone in its batch, is segmented too, whatever its number of frames."""
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
