"""Masks stay what they were, to the pixel: networks of fixed weights over phantoms, and the hash of what came out.

The hashes were made when noise began to be keyed by the content of an image; a change of one of them changes what users get.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tiny

from ldseg.description import Description
from ldseg.inference.opening import Opened
from ldseg.inference.predictor import Predictor
from ldseg.model import Model
from ldseg.phantoms import gland_phantom
from ldseg.segmenter import Segmenter

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SETTINGS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "DDIM": ("c87cd29f966910c6", {"steps": 3}, {}),
    "DDPM": ("672dbe7f4c9a78c0", {"steps": 3, "sampler": "DDPM"}, {}),
    "DPM-Solver++": ("0c68ea994be0e943", {"steps": 4, "sampler": "DPM-Solver++"}, {}),
    "flips": ("e7ff3d2dfe07c55e", {"steps": 2, "flips": True}, {}),
    "vote": ("3ef987204e19697c", {"steps": 2, "samples": 3, "fusion": "vote"}, {}),
    "tiles": ("25fa111fb8ed24ae", {"steps": 2, "seed": 4}, {"fit": "tile"}),
    "noise": ("ad3018307112efe9", {"steps": 3, "seed": 2}, {"prediction": "ldseg"}),
}


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.mark.parametrize("name", SETTINGS)
def test_masks_stay_the_same(name: str) -> None:
    expected, settings, changes = SETTINGS[name]
    step = tiny.preprocessing(fit=changes.get("fit", "resize"))
    spec = tiny.spec(prediction=changes.get("prediction", "x0"))
    segmenter = tiny.varied(Segmenter(spec))
    opened = Opened(
        kind="keras",
        version="keras",
        description=Description(spec=spec, preprocessing=step),
        make=lambda **options: Predictor(segmenter, **options),
    )
    model = Model(opened)
    image, _ = gland_phantom(np.random.default_rng(7), (48, 56))
    mask = model.segment(image, **settings).mask
    assert 0.02 < mask.mean() < 0.98
    assert hashlib.sha256(mask.astype(np.uint8).tobytes()).hexdigest()[:16] == expected
