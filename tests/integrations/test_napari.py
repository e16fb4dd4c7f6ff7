"""The plugin of napari, in napari itself, on a screen of its own (Xvfb) where there is none."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import ldseg

pytest.importorskip("napari.viewer", reason="the plugin is tested in napari: pip install 'napari[pyqt6]'")
napari = pytest.importorskip("napari")
npe2 = pytest.importorskip("npe2", reason="the plugin is tested in napari: pip install 'napari[pyqt6]'")

ROOT = Path(__file__).parents[2]
KNEE = ROOT / "data" / "Volume" / "Image" / "Knee1.nii.gz"
PICTURE = ROOT / "data" / "GlaS" / "Image" / "HE_Normal.png"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def screen() -> Iterator[None]:
    """napari draws with OpenGL, which the platform ``offscreen`` of Qt does not have."""
    if os.environ.get("DISPLAY"):
        yield
        return
    if shutil.which("Xvfb") is None:
        pytest.skip("there is no screen to draw on: apt-get install xvfb libgl1-mesa-dri libxcb-cursor0")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24"]
    server = subprocess.Popen(command, pass_fds=(writing,), stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as stream, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", f":{stream.readline().strip()}")
        patch.setenv("QT_QPA_PLATFORM", "xcb")
        yield
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture(scope="module")
def viewer(screen: None) -> Iterator[Any]:
    manifest = npe2.PluginManifest.from_file(ROOT / "ldseg" / "napari" / "napari.yaml")
    manager = npe2.PluginManager.instance()
    if "ldseg" not in manager:
        manager.register(manifest, warn_disabled=False)
    found = napari.Viewer(show=False)
    yield found
    found.close()


def layers_after(viewer: Any, widget: Any, count: int) -> None:
    from qtpy.QtWidgets import QApplication

    wanted, until = len(viewer.layers) + count, time.monotonic() + 120
    widget()
    while len(viewer.layers) < wanted:
        assert time.monotonic() < until, f"napari has only {list(viewer.layers)}"
        QApplication.processEvents()
        time.sleep(0.02)


def test_the_manifest_is_valid() -> None:
    manifest = npe2.PluginManifest.from_file(ROOT / "ldseg" / "napari" / "napari.yaml")
    manifest.validate_imports()


@pytest.mark.smoke
def test_a_picture(viewer: Any, tmp_path: Path) -> None:
    viewer.layers.clear()
    layer = viewer.open(PICTURE)[0]
    _, widget = viewer.window.add_plugin_dock_widget("ldseg", "Segment")
    widget.image.value, widget.weights.value, widget.steps.value, widget.samples.value = layer, "GlaS", 2, 3
    layers_after(viewer, widget, 3)
    expected = ldseg.load("GlaS").segment(PICTURE, steps=2, samples=3)
    np.testing.assert_array_equal(viewer.layers["HE_Normal mask"].data, expected.mask)
    np.testing.assert_array_equal(viewer.layers["HE_Normal uncertainty"].data, expected.entropy)
    viewer.screenshot(str(tmp_path / "napari.png"), canvas_only=False)
    members = viewer.layers["HE_Normal members"]
    np.testing.assert_array_equal(members.data, expected.members)
    np.testing.assert_allclose(
        viewer.layers["HE_Normal mask"].get_color(1)[:3], np.array([0x00, 0x9E, 0x73]) / 255, atol=1e-6
    )


def test_a_volume_lies_where_it_lay(viewer: Any) -> None:
    viewer.layers.clear()
    layer = viewer.open(KNEE, plugin="ldseg")[0]
    steps = nibabel.load(KNEE).header.get_zooms()
    np.testing.assert_allclose(layer.scale, steps[::-1], rtol=1e-6)
    _, widget = viewer.window.add_plugin_dock_widget("ldseg", "Segment")
    widget.image.value, widget.weights.value, widget.steps.value, widget.samples.value = layer, "Volume", 1, 1
    layers_after(viewer, widget, 2)
    mask = viewer.layers[f"{layer.name} mask"]
    np.testing.assert_array_equal(mask.data, ldseg.load("Volume").segment(KNEE, steps=1).mask)
    np.testing.assert_allclose(mask.scale, layer.scale)
    np.testing.assert_allclose(mask.translate, layer.translate)
