"""The bundled weights on the bundled samples, through the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ldseg.cli import main
from ldseg.io.pictures import read_image, read_label

ROOT = Path(__file__).parents[1]


def _segment(data: Path, out: Path, *overrides: str) -> int:
    settings = [f"Data.Root={data}", f"Model.Weights={ROOT / 'weights' / 'GlaS'}", f"Output.Folder={out}", *overrides]
    arguments = ["--config", str(ROOT / "cfg.ini")]
    for setting in settings:
        arguments += ["--set", setting]
    return main([*arguments, "--set", "Sampler.Sampling_Steps=2"])


@pytest.fixture(scope="module")
def batched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("batched")
    assert _segment(ROOT / "data", out) == 0
    return out


def test_the_demo_writes_what_it_promises(batched: Path) -> None:
    images = sorted((ROOT / "data" / "GlaS" / "Image").iterdir())
    shown = []
    for path in images:
        mask = read_label(batched / f"{path.stem}_segmentation.png")
        assert mask.shape == read_image(path).shape[:2]
        assert set(np.unique(mask)) <= {0, 1}
        shown += [path.stem] * bool(mask.any())
        assert (batched / "Overlay" / f"{path.stem}_overlay.png").is_file()
    assert (batched / "schedule.png").is_file()
    assert sorted(path.name for path in (batched / "Diffusion").iterdir()) == [
        f"{shown[0]}_diffusion.gif", f"{shown[0]}_diffusion.png",
    ]  # fmt: skip
    assert (batched / "metrics.csv").is_file()
    metrics = json.loads((batched / "metrics.json").read_text("utf-8"))
    assert metrics["summary"]["segmented"] == len(images)
    assert metrics["summary"]["dice"]["foreground"]["n"] == len(images) - 1  # the immunohistochemistry has no label
    assert metrics["summary"]["dice"]["foreground"]["mean"] > 0.9


def test_a_bad_case_is_skipped_and_a_mask_depends_on_its_image_alone(batched: Path, tmp_path: Path) -> None:
    images = tmp_path / "GlaS" / "Image"
    images.mkdir(parents=True)
    for name in ("Phantom2", "Phantom3"):
        shutil.copy(ROOT / "data" / "GlaS" / "Image" / f"{name}.png", images)
    whole = (images / "Phantom2.png").read_bytes()
    (images / "Broken.png").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    assert _segment(tmp_path, out, "Parameters.BatchSize=1", "Output.Diffusion=0") == 1
    for name in ("Phantom2", "Phantom3"):
        alone = read_label(out / f"{name}_segmentation.png")
        assert np.array_equal(alone, read_label(batched / f"{name}_segmentation.png"))
    assert not list(out.glob("Broken*"))


@pytest.mark.parametrize("override", ["Sampler.Sampling_Stepps=3", "Sampler.Sampler=DDIN", "Model.Weights=/nowhere"])
def test_what_cannot_be_done_ends_with_two_and_one_line(
    override: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(ROOT / "cfg.ini"), "--set", f"Output.Folder={tmp_path / 'out'}", "--set", override]
    assert main([*arguments, "--set", f"Data.Root={ROOT / 'data'}"]) == 2
    error = capsys.readouterr().err
    assert "error: " in error
    assert override.split("=")[-1].strip("/") in error or override.split("=")[0].split(".")[-1] in error
    assert not (tmp_path / "out").exists()
