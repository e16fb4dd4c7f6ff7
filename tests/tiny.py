"""Networks of a few weights each, and the settings of a training that takes seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ldseg.base.spatial import AXES
from ldseg.config import Config
from ldseg.data.preprocess import Preprocessing
from ldseg.diffusion import Schedule
from ldseg.models import PRESETS
from ldseg.models.presets import Networks, Preset
from ldseg.phantoms import write_phantoms
from ldseg.segmenter import Segmenter, SegmenterSpec

SIZE = (32, 32)
STRIDE = 8


def networks(size: tuple[int, ...], channels: int, classes: int, axes: str, stateful: bool) -> Networks:
    assert axes == "YX"
    layers, grid = keras.layers, tuple(length // STRIDE for length in size)
    label = keras.Input((*size, classes))
    clean = layers.Conv2D(2, STRIDE, STRIDE)(label)
    clean = layers.GroupNormalization(-1, center=False, scale=False, dtype="float32")(clean)
    image = keras.Input((*size, channels))
    condition = layers.Conv2D(6, STRIDE, STRIDE)(image)
    if stateful:
        condition = layers.Dropout(0.2)(layers.BatchNormalization()(condition))
    given = [keras.Input((*grid, 2)), keras.Input((*grid, 6)), keras.Input((), dtype="int32")]
    when = layers.Reshape((1, 1, 1))(layers.Rescaling(1e-3)(given[2]))
    hidden = layers.Concatenate()([*given[:2], layers.UpSampling2D(grid)(when)])
    hidden = layers.Conv2D(8, 3, padding="same", activation="swish")(hidden)
    latent = keras.Input((*grid, 2))
    return Networks(
        label_encoder=keras.Model(label, clean, name="label_encoder"),
        image_encoder=keras.Model(image, layers.Activation("swish")(condition), name="image_encoder"),
        denoiser=keras.Model(given, layers.Conv2D(2, 1, dtype="float32")(hidden), name="denoiser"),
        label_decoder=keras.Model(
            latent, layers.Conv2DTranspose(classes, STRIDE, STRIDE, dtype="float32")(latent), name="label_decoder"
        ),
    )


@contextmanager
def tiny_networks(stateful: bool = True, eager: bool = True) -> Iterator[None]:
    """In place of the preset ``lean``. With BatchNorm and dropout unless ``stateful`` is False.

    Models run eagerly, if not told otherwise: a few updates take less time than to trace one.
    """

    def build(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
        return networks(size, channels, classes, axes, stateful)

    stride = dict.fromkeys(AXES.values(), STRIDE)
    preset = Preset(
        name="lean", latent=lambda classes: 2, stride=stride, multiple=stride, any_size=True, prediction="x0", build=build
    )
    compiled = keras.Model.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lean", preset)
        patch.setattr(keras.Model, "compile", lambda *args, **options: compiled(*args, **{"run_eagerly": eager, **options}))
        yield


def phantoms(root: Path, count: int = 6, size: tuple[int, int] = (40, 48)) -> Path:
    """A data set ``root/Set``, its images not of the network's size."""
    write_phantoms(root / "Set", count, size, seed=1)
    return root


def preprocessing(**changes: Any) -> Preprocessing:
    values: dict[str, Any] = {
        "size": SIZE, "channels": 3, "intensity": "dtype", "classes": ("background", "gland"), "labels": "auto",
        "axes": "YX",
    }  # fmt: skip
    return Preprocessing(**{**values, **changes})


def spec(**changes: Any) -> SegmenterSpec:
    values: dict[str, Any] = {
        "preset": "lean", "size": SIZE, "axes": "YX", "channels": 3, "classes": 2, "prediction": "x0",
        "schedule": Schedule(),
    }  # fmt: skip
    return SegmenterSpec(**{**values, **changes})


def varied(segmenter: Segmenter, seed: int = 0) -> Segmenter:
    """Weights under which masks differ from case to case and with the noise."""
    rng = np.random.default_rng(seed)
    for weight in segmenter.weights:
        value = rng.normal(0, 0.4, weight.shape)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path else value)
    return segmenter


def settings(data: Path, weights: Path, **changes: Any) -> Config:
    """A training of a few updates; ``changes`` are named Section_Key."""
    values = {
        "Data.Root": str(data), "Data.Dataset": "Set", "Data.Dimensions": "2D",
        "Data.Classes": ("background", "object"), "Data.Size": SIZE,
        "Data.Patch": SIZE, "Model.Weights": str(weights),
        "Parameters.Training": True, "Parameters.BatchSize": 2, "Parameters.Epoch": 4, "Sampler.Sampling_Steps": 2,
        "Training.ValidationFraction": 0.34, "Training.ValidateEvery": 2, "Training.Augmentation": "flips",
        "Training.Workers": 2, "Training.Recycling": 0.7, "Model.Outline": "False",
    }  # fmt: skip
    values |= {name.replace("_", ".", 1): value for name, value in changes.items()}
    return Config().with_values(values)
