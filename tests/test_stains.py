"""Copies in other colours, made by benchmarks/stains.py."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "stains.py"
_spec = importlib.util.spec_from_file_location("stains", SCRIPT)
assert _spec is not None and _spec.loader is not None
stains = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stains)


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(20, 250, (12, 10, 3), dtype=np.uint8)


def test_each_kind_does_what_it_says() -> None:
    image = picture()
    found = {kind: stains.stained(image, kind, "a", 0) for kind in stains.KINDS}
    assert all(each.shape == image.shape and each.dtype == np.uint8 for each in found.values())
    assert (np.ptp(found["gray"].astype(int), axis=-1) == 0).all()
    np.testing.assert_array_equal(np.sort(found["channels"], axis=-1), np.sort(image, axis=-1))
    assert (found["channels"] != image).any()
    tones = [cv2.cvtColor(each, cv2.COLOR_RGB2HSV) for each in (image, found["hue"])]
    np.testing.assert_allclose(tones[0][..., 2], tones[1][..., 2], atol=2)
    assert (found["faded"] >= image).all() and found["faded"].mean() > image.mean() + 20
    assert (found["eosin"] <= image + 1).all() and (found["eosin"] < image - 10).any()


def test_twice_the_eosin_is_twice_the_eosin() -> None:
    haematoxylin, eosin, _ = stains.STAINS
    once, twice = (np.rint(255 * np.exp(-(0.4 * haematoxylin + k * eosin))).astype(np.uint8) for k in (0.5, 1.0))
    changed = stains.stained(np.broadcast_to(once, (2, 2, 3)), "eosin", "a", 0)
    np.testing.assert_allclose(changed[0, 0], twice, atol=2)
    assert changed[0, 0, 1] < once[1] - 30  # eosin absorbs green


def test_name_and_seed_decide() -> None:
    image = picture()
    assert (stains.stained(image, "hue", "a", 0) == stains.stained(image, "hue", "a", 0)).all()
    assert (stains.stained(image, "hue", "a", 0) != stains.stained(image, "hue", "b", 0)).any()
    assert (stains.stained(image, "hue", "a", 0) != stains.stained(image, "hue", "a", 1)).any()


def test_a_data_set_is_copied(tmp_path: Path) -> None:
    for folder in ("Image", "Label"):
        (tmp_path / "Set" / folder).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "Set" / "Image" / "one.png"), picture())
    (tmp_path / "Set" / "Label" / "one_label.png").write_bytes(b"label")
    (tmp_path / "Set" / "patients.csv").write_text("name,patient\none,1\n")
    subprocess.run([sys.executable, SCRIPT, tmp_path / "Set", tmp_path / "out"], check=True)
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == sorted(stains.KINDS)
    for kind in stains.KINDS:
        copy = tmp_path / "out" / kind
        assert (copy / "Label" / "one_label.png").read_bytes() == b"label" and (copy / "patients.csv").is_file()
        assert cv2.imread(str(copy / "Image" / "one.png")).shape == (12, 10, 3)
