"""Sound masks and collapsed ones, drawn and decoded."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers import as_numpy
from scipy import ndimage

from ldseg.data.cases import find_cases, load_case
from ldseg.evaluation.collapse import Collapse
from ldseg.weights import load_segmenter

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
CLASSES = ("background", "organ", "lesion")


def regions(size: tuple[int, ...], seed: int = 0, smooth: float = 4) -> np.ndarray:
    """Smooth regions of three classes."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), smooth)
    return np.digitize(field, np.quantile(field, (0.6, 0.85)))


def noise(size: tuple[int, ...], shares: tuple[float, ...] = (0.6, 0.25, 0.15), seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(shares), size, p=shares)


def judged(masks: list[np.ndarray], labels: list[np.ndarray] | None = None, stride: int = 1) -> Collapse:
    found = Collapse(CLASSES, (stride,) * masks[0].ndim)
    for index, mask in enumerate(masks):
        found.add(mask, labels[index] if labels else None, mask.shape)
    return found


def test_roughness_counted_by_hand() -> None:
    """0 0 1 / 0 1 1: of 7 neighbours 3 differ; of 15 pairs 9 do."""
    found = judged([np.array([[0, 0, 1], [0, 1, 1]])])
    assert found.roughness[0] == pytest.approx(3 / 7 / (9 / 15))
    assert np.isnan(found.roughness[1])


@pytest.mark.parametrize("size", [(64, 80), (6, 40, 48), (24, 24, 24)], ids=str)
@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (0.98, 0.01, 0.01)], ids=str)
def test_noise_is_of_roughness_one_however_rare(size: tuple[int, ...], shares: tuple[float, ...]) -> None:
    found = judged([noise(size, shares, seed) for seed in range(4)])
    assert found.roughness[0] == pytest.approx(1, abs=0.05)
    assert found.kind == "noise"


@pytest.mark.parametrize("size", [(64, 80), (6, 40, 48), (24, 24, 24)], ids=str)
def test_what_is_sound_and_what_is_not(size: tuple[int, ...]) -> None:
    labels = [regions(size, seed) for seed in range(3)]
    near = [ndimage.shift(label, 2, order=0, mode="nearest") for label in labels]
    spotted = [np.where(RNG.random(size) < 0.05, noise(size, seed=seed), label) for seed, label in enumerate(labels)]
    for masks in (labels, near, spotted):
        assert (judged(masks, labels).kind, judged(masks).kind, judged(masks, labels).said) == ("no", "no", "")
    for index, name in enumerate(CLASSES):
        found = judged([np.full(size, index)] * 3, labels)
        assert found.kind == judged([np.full(size, index)] * 3).kind == name
        assert found.said == f"all masks are {name} alone"
    found = judged([noise(size, seed=seed) for seed in range(3)], labels)
    assert found.kind == "noise"
    assert "no better ordered than noise (roughness 1.0" in found.said or "(roughness 0.9" in found.said
    assert f"{found.roughness[1]:.2f} for the labels" in found.said


def test_a_few_stray_positions_do_not_make_a_mask() -> None:
    label, mask = regions((100, 100)), np.zeros((100, 100), int)
    mask[::20, ::20] = 1
    assert judged([mask], [label]).kind == "background"


def test_labels_of_one_class_are_no_collapse() -> None:
    empty = [np.zeros((8, 8), int)]
    assert judged(empty, empty).kind == "no"
    assert Collapse(CLASSES, (1, 1)).kind == "no"


def test_labels_count_where_every_mask_has_one() -> None:
    """Beside labels, a few positions of an object are none; without, there is no saying how many there should be."""
    label, mask = regions((100, 100)), np.zeros((100, 100), int)
    mask[0, 0] = 1
    found = judged([mask], [label])
    assert found.kind == "background"
    found.add(mask, None, mask.shape)
    assert found.kind == "no"
    assert np.isnan(found.roughness[1])


def test_masks_that_are_undecided_everywhere_are_a_guess() -> None:
    """Of so few positions that order alone does not tell; a single case does not make it, and nor does not knowing."""
    found, mask, label = Collapse(CLASSES, (8, 8)), noise((64, 64)), regions((64, 64), smooth=16)
    for entropy, kind in ((math.nan, "no"), (0.99, "undecided"), (0.86, "no"), (0.99, "no"), (0.99, "undecided")):
        found.add(mask, label, mask.shape, entropy)
        assert found.kind == kind
    assert found.said == "the masks are a guess, undecided nearly everywhere (mean entropy 0.96 of 1)"
    joined, sound = Collapse(CLASSES, (8, 8)), Collapse(CLASSES, (8, 8))
    joined.take(json.loads(json.dumps(found.counts())))
    assert joined.said == found.said
    sound.add(label, label, label.shape, 0.99)  # what is in order was learnt, however unsure
    assert sound.kind == "no"


def test_counts_of_several_make_the_whole() -> None:
    """Counted apart and told as JSON, as processes that share out a validation do."""
    masks, labels = [regions((24, 24), seed) for seed in range(3)], [noise((24, 24), seed=seed) for seed in range(3)]
    whole, joined = judged(masks, labels), Collapse(CLASSES, (1, 1))
    for mask, label in zip(masks, labels, strict=True):
        joined.take(json.loads(json.dumps(judged([mask], [label]).counts())))
    assert (joined.roughness, joined.kind, joined.said) == (whole.roughness, whole.kind, whole.said)
    joined.take(judged([masks[0]]).counts())  # one without a label
    assert np.isnan(joined.roughness[1])


def test_fine_structures_are_not_noise() -> None:
    """Lines a pixel wide, and spots of four."""
    lines, spots = np.zeros((64, 64), int), np.zeros((64, 64), int)
    lines[::4] = 1
    spots[::8, ::8] = spots[1::8, ::8] = spots[::8, 1::8] = spots[1::8, 1::8] = 1
    for label in (lines, spots):
        found = judged([np.roll(label, 1, axis=0)], [label])
        assert found.kind == "no"


def test_decoded_noise_is_looked_at_where_it_was_drawn() -> None:
    """Blobs of 8 x 8 are as rough as their own grid shows them, at a size of its own too."""
    drawn, label = noise((32, 24), seed=3), regions((256, 192), smooth=24)
    blobs = drawn.repeat(8, 0).repeat(8, 1)
    assert judged([blobs], [label]).roughness[0] < 0.2
    assert judged([blobs], [label], 8).kind == "noise"
    assert judged([blobs[:64, :64]], stride=8).kind == "no"  # too few to tell
    larger = ndimage.zoom(blobs, (1.7, 2.3), order=0)
    found = Collapse(CLASSES, (8, 8))
    found.add(larger, None, blobs.shape)
    assert found.roughness[0] == pytest.approx(judged([drawn]).roughness[0], abs=0.1)


@pytest.mark.parametrize("dataset", ["GlaS", "Cine", "Volume"])
def test_noise_through_the_bundled_decoders(dataset: str) -> None:
    """Beside the labels of the samples, which are sound themselves."""
    segmenter, description = load_segmenter(ROOT / "weights" / dataset)
    step = description.preprocessing
    latent = np.random.default_rng(0).normal(size=(8, *segmenter.latent_shape)).astype("float32")
    masks = list(as_numpy(segmenter.class_logits(segmenter.decode(latent))).argmax(-1))
    found, usual = (Collapse(step.classes, segmenter.strides) for _ in range(2))
    loaded = [load_case(case, step) for case in find_cases(ROOT / "data" / dataset, axes=step.axes).cases if case.label]
    for mask, case in zip(masks, loaded * 8, strict=False):
        assert case.label is not None
        found.add(mask, None, step.size)
        usual.add(case.label, case.label, step.grid_of(case.size, case.spacing))
    assert usual.kind == "no"
    assert found.kind == "noise"
    assert found.roughness[0] > max(0.5, usual.roughness[1] ** 0.5)
