"""What looks like stained tissue, and what does not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ldseg.augmentation.stain import looks_stained
from ldseg.io.pictures import read_image

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "GlaS" / "Image").glob("*.png"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_tissue_of_any_stain_does(path: Path) -> None:
    picture = read_image(path)
    assert looks_stained(picture)
    assert looks_stained(picture.astype(np.float32))


def fundus() -> np.ndarray:
    """A bright disc on an orange retina, in a black frame."""
    picture = np.zeros((200, 240, 3), np.uint8)
    cv2.circle(picture, (120, 100), 95, (190, 100, 40), -1)
    cv2.circle(picture, (90, 100), 14, (250, 220, 150), -1)
    return picture


def skin() -> np.ndarray:
    picture = np.full((200, 240, 3), (225, 180, 160), np.uint8)
    cv2.circle(picture, (120, 100), 50, (110, 70, 50), -1)
    return picture


def mucosa() -> np.ndarray:
    y = np.linspace(0.3, 1, 200)[:, None, None]
    return (y * np.array([220, 120, 100]) * np.ones((200, 240, 1))).astype(np.uint8)


@pytest.mark.parametrize("picture", [fundus(), skin(), mucosa(), np.full((64, 64, 3), 90, np.uint8)])
def test_what_is_lit_from_the_front_or_gray_does_not(picture: np.ndarray) -> None:
    assert not looks_stained(picture)
