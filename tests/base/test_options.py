"""One vocabulary: what the settings offer is what the code has."""

from typing import Any

import numpy as np
import pytest

from ldseg.augmentation.strength import KINDS
from ldseg.base import options
from ldseg.base.engines import ENGINES
from ldseg.config import KEYS
from ldseg.config.kinds import Choice
from ldseg.data.intensity import scale_intensity
from ldseg.diffusion import PREDICTIONS, SAMPLERS, SCHEDULES
from ldseg.inference import degrade
from ldseg.inference.fusion import fuse

AUTO = (options.AUTO,)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("NoiseScheduler.Scheduler", tuple(SCHEDULES)),
        ("Sampler.Sampler", tuple(SAMPLERS)),
        ("Sampler.Fusion", options.FUSIONS),
        ("Training.Augmentation", AUTO + KINDS),
        ("GPU.Engine", AUTO + tuple(ENGINES)),
        ("GPU.Precision", AUTO + tuple(options.PRECISIONS)),
        ("Data.Fit", AUTO + options.FITS),
        ("Data.Labels", options.LABEL_RULES),
        ("Data.Intensity", AUTO + options.INTENSITIES),
        ("Model.Prediction", AUTO + tuple(PREDICTIONS)),
        ("Output.Masks", options.MASKS),
        ("Evaluation.Noise", tuple(options.DEGRADATIONS)),
    ],
)
def test_settings_offer_what_is_there(key: str, names: tuple[str, ...]) -> None:
    kind: Any = KEYS[key].kind
    assert isinstance(kind, Choice)
    assert kind.values == names


def test_every_word_does_something_of_its_own() -> None:
    image = np.random.default_rng(0).uniform(0.2, 0.8, (16, 16, 1)).astype(np.float32)
    degraded = [degrade(image, kind, 0.1, 0, "a") for kind in options.DEGRADATIONS]
    assert all((one != image).any() for one in degraded)
    assert len({one.tobytes() for one in degraded}) == len(options.DEGRADATIONS)
    stored = (image * 1000).astype(np.uint16)
    scaled = [scale_intensity(stored, rule, "a", window=(0.0, 700.0)) for rule in options.INTENSITIES]
    assert len({one.tobytes() for one in scaled}) == len(options.INTENSITIES)
    members = np.random.default_rng(1).dirichlet((1, 1), (3, 8, 8)).astype(np.float32)
    assert all(fuse(members, fusion).shape == (8, 8) for fusion in options.FUSIONS)
