"""What the plugin of napari gives and takes, without napari."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

import ldseg
from ldseg.napari.layers import segmented, spacing_of
from ldseg.napari.reader import reader_of

ROOT = Path(__file__).parents[2]


class Unit:
    """A unit as pint has them."""

    def __init__(self, length: float | None) -> None:
        self.magnitude = length

    def __rmul__(self, step: float) -> "Unit":
        return Unit(None if self.magnitude is None else step * self.magnitude)

    def to(self, name: str) -> "Unit":
        if self.magnitude is None:
            raise ValueError(f"not a length, {name}")
        return self


MM, MICRON, PIXEL = Unit(1.0), Unit(1e-3), Unit(None)


@pytest.mark.parametrize(
    ("units", "spacing"), [((MM, MM), (2.0, 3.0)), ((MICRON, MM), (0.002, 3.0)), ((PIXEL, PIXEL), None), ((PIXEL, MM), None)]
)
def test_the_spacing_is_that_of_lengths_alone(units: tuple[Unit, ...], spacing: tuple[float, ...] | None) -> None:
    found = spacing_of((2.0, 3.0), units)
    assert found == (None if spacing is None else pytest.approx(spacing))


def test_a_volume_is_read_with_its_spacing_and_others_are_left_to_napari(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 99, (4, 5, 6)).astype(np.int16)
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 2.0, 3.0, 1.0])), path)
    read = reader_of(str(path))
    assert read is not None
    ((data, shown, kind),) = read(str(path))
    np.testing.assert_array_equal(data, values.T)
    assert (kind, shown["name"], shown["units"]) == ("image", "a", ("mm", "mm", "mm"))
    assert shown["scale"] == pytest.approx((3, 2, 1))
    assert reader_of(str(tmp_path)) is None
    assert reader_of([str(path), str(path)]) is None


def test_the_layers_of_a_picture() -> None:
    from ldseg.io.pictures import read_image

    pixels = read_image(ROOT / "data" / "GlaS" / "Image" / "HE_Normal.png")
    layer: Any = SimpleNamespace(
        data=[pixels, pixels[::2, ::2]], multiscale=True, name="a", scale=np.array([1.0, 1.0]),
        translate=np.array([5.0, 7.0]), units=(PIXEL, PIXEL),
    )  # fmt: skip
    unsure, members, mask = segmented(layer, "GlaS", steps=1, samples=2)
    expected = ldseg.load("GlaS").segment(pixels, steps=1, samples=2)
    np.testing.assert_array_equal(mask[0], expected.mask)
    np.testing.assert_array_equal(members[0], expected.members)
    np.testing.assert_array_equal(unsure[0], expected.entropy)
    assert [kind for *_, kind in (unsure, members, mask)] == ["image", "labels", "labels"]
    assert tuple(mask[1]["translate"]) == (5.0, 7.0)
    assert tuple(members[1]["translate"]) == (0.0, 5.0, 7.0)
    assert mask[1]["metadata"]["classes"] == ["background", "gland"]
