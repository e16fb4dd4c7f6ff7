"""Trainings on labels that say nothing at some positions: no term counts these, and networks learn from the rest."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tifffile
import tiny
from helpers import as_numpy
from keras import ops

from ldseg.base.spatial import COLOUR, IGNORE
from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import find_cases
from ldseg.data.labels import filled
from ldseg.data.preprocess import Preprocessing
from ldseg.models import Preset
from ldseg.models.presets import Networks
from ldseg.segmenter import Segmenter
from ldseg.spec import SegmenterSpec
from ldseg.training.assembly import trainer_of
from ldseg.training.losses import cross_entropy, segmentation_loss, soft_dice
from ldseg.training.prepare import plan_of
from ldseg.training.trainer import Trainer

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CELL = 4


def plain(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
    """Networks of one layer each, in any number of axes, that can only tell the brightness of a cell."""
    rank, grid, layers = len(axes), tuple(n // CELL for n in size), keras.layers
    conv = {2: layers.Conv2D, 3: layers.Conv3D}[rank]
    back = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}[rank]
    label, image, latent = keras.Input((*size, classes)), keras.Input((*size, channels)), keras.Input((*grid, 2))
    given = [keras.Input((*grid, 2)), keras.Input((*grid, 4)), keras.Input((), dtype="int32")]
    hidden = conv(8, 1, activation="swish")(layers.Concatenate()(given[:2]))
    clean = layers.GroupNormalization(-1, center=False, scale=False)(conv(2, CELL, CELL)(label))
    return Networks(
        label_encoder=keras.Model(label, clean),
        image_encoder=keras.Model(image, conv(4, CELL, CELL)(image)),
        denoiser=keras.Model(given, conv(2, 1, dtype="float32")(hidden)),
        label_decoder=keras.Model(latent, back(classes, CELL, CELL, dtype="float32")(latent)),
    )


SIDES = dict.fromkeys(("YX", "TYX", "ZYX"), CELL)
PLAIN = Preset(
    name="plain", stride=SIDES, multiple=SIDES, any_size=True, prediction="x0", build=plain, latent=lambda classes: 2
)


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


def test_a_loss_is_that_of_what_is_known() -> None:
    rng = np.random.default_rng(0)
    label, logits = rng.integers(0, 3, (2, 6, 5)), rng.normal(0, 2, (2, 6, 5, 3)).astype("float32")
    known = np.ones((2, 6, 5), "float32")
    known[:, 4:] = 0
    for loss in (cross_entropy, segmentation_loss):
        found = as_numpy(loss(label, ops.convert_to_tensor(logits), ops.convert_to_tensor(known)))
        np.testing.assert_allclose(found, as_numpy(loss(label[:, :4], ops.convert_to_tensor(logits[:, :4]))), rtol=1e-5)
    dice = as_numpy(soft_dice(label, ops.convert_to_tensor(logits), known=ops.convert_to_tensor(known)))
    np.testing.assert_allclose(dice, as_numpy(soft_dice(label[:, :4], ops.convert_to_tensor(logits[:, :4]))), rtol=1e-5)
    assert (as_numpy(cross_entropy(label, ops.convert_to_tensor(logits), ops.zeros_like(known))) == 0).all()


def test_no_term_counts_what_is_made_up() -> None:
    spec = SegmenterSpec(
        preset=PLAIN, size=(16, 16), axes="YX", channels=1, classes=2, prediction="x0", schedule=tiny.spec().schedule
    )
    rng = np.random.default_rng(1)
    segmenter = tiny.varied(Segmenter(spec))
    label = rng.integers(0, 2, (1, 16, 16)).astype("int32")
    image, when = rng.random((1, 16, 16, 1), dtype="float32"), np.array([400])
    inputs = {"image": image, "time": when, "recycle": np.zeros(1, "float32")}
    for name in ("noise", "first_noise", "latent_noise"):
        inputs[name] = rng.standard_normal((1, 4, 4, 2)).astype("float32")
    trainer = Trainer(segmenter, ignores=True)
    whole = {name: as_numpy(term) for name, term in trainer({**inputs, "label": label}).items()}
    plainly = {name: as_numpy(term) for name, term in Trainer(segmenter)({**inputs, "label": label}).items()}
    for name in whole:  # where everything is known, it is the loss that there is without
        np.testing.assert_allclose(whole[name], plainly[name], rtol=1e-5)
    part = label.copy()
    part[:, :8] += 2  # said nowhere in the upper half
    found = {name: as_numpy(term) for name, term in trainer({**inputs, "label": part}).items()}
    # The loss of the lower half, as latents of cells do not depend on each other here, but for their scale.
    logits = as_numpy(segmenter.decode(segmenter.encode_label(label) + 0.3 * inputs["latent_noise"]))
    expected = as_numpy(segmentation_loss(label[:, 8:], ops.convert_to_tensor(logits[:, 8:])))
    np.testing.assert_allclose(found["autoencoder"], expected, rtol=1e-4)
    nothing = {name: float(as_numpy(term)[0]) for name, term in trainer({**inputs, "label": label + 2}).items()}
    assert nothing["diffusion"] == 0.0
    assert nothing["segmentation"] == pytest.approx(0.0, abs=1e-5)


def annotated(kind: str, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A label of a truth as someone left it."""
    if kind == "ignore":  # a band in the middle that nobody was sure of
        found = truth.copy()
        found[5:11] = 255
        return found
    if kind == "scribbles":
        return np.where(rng.random(truth.shape) < 0.1, truth + 1, 0)
    if kind == "slices":
        found = np.zeros_like(truth)
        found[2:4] = truth[2:4]
        found[2:4, 0, 0] = 1  # not empty, whatever lies there
        return found
    return np.array([[0, 0, 0], [255, 0, 0]], np.uint8)[truth]


RULES = {
    "ignore": {"label_map": ((0, 0), (1, 1), (255, IGNORE))},
    "scribbles": {"label_map": ((0, IGNORE), (1, 0), (2, 1))},
    "slices": {"sparse": "slices"},
    "colours": {"label_map": ((COLOUR, 0), (COLOUR + 0xFF0000, 1))},
}


@pytest.mark.parametrize("kind", RULES)
def test_networks_learn_from_what_is_there(tmp_path: Path, kind: str) -> None:
    """Bright cells are the object. Few of them are annotated, or in other ways, and all of them are told in the end."""
    rng, size = np.random.default_rng(0), (8, 16, 16) if kind == "slices" else (16, 16)
    axes, truths = "ZYX" if kind == "slices" else "YX", []
    for folder in ("Image", "Label"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        cells = rng.random([n // CELL for n in size]) < 0.5
        truth = np.kron(cells, np.ones((CELL,) * len(size))).astype(np.uint8)
        image = (60 + 120 * truth + rng.integers(0, 40, size)).astype(np.uint8)
        photo = {"photometric": "minisblack"}
        tifffile.imwrite(tmp_path / "Image" / f"{index}.tif", image, **photo)
        label = annotated(kind, truth, rng).astype(np.uint8)
        photo = {"photometric": "rgb"} if kind == "colours" else photo
        tifffile.imwrite(tmp_path / "Label" / f"{index}_label.tif", label, **photo)
        truths.append(truth)
    classes, rules = ("background", "object"), RULES[kind]
    step = Preprocessing(size=size, axes=axes, channels=1, classes=classes, **rules)  # type: ignore[arg-type]
    spec = SegmenterSpec(
        preset=PLAIN, size=size, axes=axes, channels=1, classes=2, prediction="x0", schedule=tiny.spec().schedule
    )
    keras.utils.set_random_seed(0)
    segmenter = Segmenter(spec)
    trainer = Trainer(segmenter, recycling=False, ignores=step.ignores)
    trainer.compile(optimizer=keras.optimizers.Adam(0.1))
    cases = find_cases(tmp_path, axes=axes).cases
    options = {"batch_size": 4, "patch": size, "latent_shape": segmenter.latent_shape, "timesteps": 1000}
    batches = TrainingBatches(
        cases,
        step,
        augmentation="flips",
        recycling=0.0,
        seed=0,
        cache=10,
        **options,  # type: ignore[arg-type]
    )
    for index in range(30):
        trainer.train_on_batch(*batches.batch(index))
    images = np.stack([step.image_to_grid(load) for load in _images(tmp_path, len(truths))])
    noise = rng.standard_normal((len(truths), *segmenter.latent_shape)).astype("float32")
    masks = np.argmax(as_numpy(segmenter({"image": images, "noise": noise})), axis=-1)
    assert (masks == np.stack(truths)).mean() > 0.95


def _images(folder: Path, count: int) -> list[np.ndarray]:
    return [tifffile.imread(folder / "Image" / f"{index}.tif")[..., np.newaxis] / np.float32(255) for index in range(count)]


def test_a_training_of_the_settings_ignores(tmp_path: Path) -> None:
    data = tiny.phantoms(tmp_path, 4)
    pairs = [(0, 0), *((number, 1) for number in range(1, 8)), *((number, IGNORE) for number in range(8, 30))]
    settings = tiny.settings(data, tmp_path / "w", Data_LabelMap=tuple(pairs))
    prepared = plan_of(settings)
    assert prepared.plan.preprocessing.ignores
    assert trainer_of(prepared.plan, Segmenter(prepared.plan.spec), 4).ignores
    assert not trainer_of(plan_of(tiny.settings(data, tmp_path / "w")).plan, Segmenter(prepared.plan.spec), 4).ignores
    assert (filled(np.array([[0, IGNORE]]), 2) == [[0, 2]]).all()
