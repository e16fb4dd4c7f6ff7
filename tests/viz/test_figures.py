"""Pictures and figures in files, and what drawing them imports."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from ldseg import viz
from ldseg.errors import DataError


def test_saved_files_are_readable(tmp_path: Path) -> None:
    figure = viz.training_curves_figure([{"epoch": 1, "loss": 1.0, "val_dice": 0.5}])
    png = viz.save_figure(figure, tmp_path / "deep" / "curves.png", dpi=50)
    with Image.open(png) as image:
        assert image.size == (450, 190)
    assert viz.save_figure(figure, tmp_path / "curves.svg").read_text("utf-8").lstrip().startswith("<?xml")
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    with Image.open(viz.save_image(picture, tmp_path / "overlay.png")) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.svg", "deep", "overlay.png"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left")])
def test_a_failed_save_names_the_path_and_keeps_the_old_file(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "o.png"
    viz.save_image(np.zeros((4, 4, 3), np.uint8), path)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(DataError, match=rf"o\.png.*{error.strerror}"):
        viz.save_image(np.ones((4, 4, 3), np.uint8), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_unfit_targets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(DataError, match="file"):
        viz.save_image(picture, tmp_path / "file" / "o.png")
    with pytest.raises(DataError, match=r"expected the suffix \.png, got '\.jpg'"):
        viz.save_image(picture, tmp_path / "o.jpg")
    with pytest.raises(DataError, match="float64"):
        viz.save_image(picture.astype(float), tmp_path / "o.png")
    with pytest.raises(DataError, match=r"'\.xyz'"):
        viz.save_figure(Figure(), tmp_path / "o.xyz")
    with pytest.raises(DataError, match=r"\.gif"):
        viz.reverse_diffusion_gif(
            tmp_path / "o.png",
            viz.Trace(latents=np.zeros((1, 4, 5, 2)), masks=np.zeros((1, 8, 9)), times=[0], image=np.zeros((8, 9, 1))),
        )


def test_matplotlib_waits_for_the_first_chart() -> None:
    code = (
        "import sys, numpy as np, ldseg.viz as v, ldseg.viz.report.page;"
        "image, mask = np.zeros((40, 50, 3)), np.eye(40, 50, dtype=int);"
        "v.legend(v.overlay(image, mask), ['', 'a', 'b']);"
        "v.uncertainty_picture(v.CaseView(image=image, mask=mask, title='x'), mask * 0.5, mask * 0.1, axes='YX');"
        "v.reverse_diffusion_picture(v.Trace(latents=np.zeros((1, 4, 5, 2)), masks=mask[None], times=[0], image=image));"
        "print(*sorted({'matplotlib', 'jinja2', 'scipy.ndimage', 'keras'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8")
    assert found.stdout.split() == []


def test_neither_keras_nor_pyplot_is_imported_and_the_users_style_stays() -> None:
    code = (
        "import sys, matplotlib; before = dict(matplotlib.rcParams); import ldseg.viz as v;"
        "v.training_curves_figure([{'epoch': 1, 'loss': 1.0}]); assert before == dict(matplotlib.rcParams);"
        "sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow', 'matplotlib.pyplot')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
