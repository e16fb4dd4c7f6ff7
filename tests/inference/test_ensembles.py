"""Several members for each case: what they are, and what becomes of them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tiny
from helpers import as_numpy
from keras import ops

from ldseg.base.options import FUSIONS
from ldseg.data.cases import Case, find_cases
from ldseg.diffusion import ddim
from ldseg.diffusion.random import normal
from ldseg.inference import Segmented, case_generator, segment_cases
from ldseg.inference.fusion import fuse_labels
from ldseg.inference.predictor import Predictor
from ldseg.inference.uncertainty import member_variance, predictive_entropy
from ldseg.segmenter import Segmenter

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SAMPLERS = pytest.mark.parametrize("sampler", ["DDIM", "DDPM"])


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def segmenter(tiny_lean: None) -> Segmenter:
    return tiny.varied(Segmenter(tiny.spec()))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    return find_cases(tiny.phantoms(tmp_path_factory.mktemp("data"), 4) / "Set").cases


def a_predictor(segmenter: Segmenter, **options: Any) -> Predictor:
    predictor = Predictor(segmenter, **{"steps": 3, **options})
    predictor.compile()
    return predictor


def segment(predictor: Predictor, cases: Sequence[Case], tile: bool = False, **options: Any) -> dict[str, Segmented]:
    step = tiny.preprocessing(fit="tile") if tile else tiny.preprocessing()
    found = segment_cases(predictor, cases, step, **{"batch_size": 4, "seed": 5, **options})
    return {item.case.name: item for item in found}


def images(count: int) -> np.ndarray:
    return np.random.default_rng(1).random((count, *tiny.SIZE, 3), dtype=np.float32)


def members(predictor: Predictor, count: int = 2) -> np.ndarray:
    noise = np.stack([predictor.draw_noise(0, f"case{index}") for index in range(count)])
    return as_numpy(predictor.predict_on_batch({"image": images(count), "noise": noise}))


@SAMPLERS
def test_one_member_is_the_plain_segmentation_bit_for_bit(sampler: str, segmenter: Segmenter) -> None:
    """Written again from the networks: the state to start from, then the keys of the noise of each step."""
    eta = 1.0 if sampler == "DDPM" else 0.0
    starts, keys = [], []
    for index in range(2):
        rng = case_generator(0, f"case{index}")
        starts.append(rng.standard_normal(segmenter.latent_shape, dtype=np.float32))
        keys.append(rng.integers(0, 2**24, (2, *segmenter.latent_shape)))
    step_noise = ops.stack([normal(np.stack(keys, axis=1), step, ops) for step in range(3)], axis=1) if eta else None
    condition = segmenter.encode_image(images(2))
    latent = segmenter.reverse(condition, np.stack(starts), steps=3, sampler=ddim(eta), step_noise=step_noise)
    expected = as_numpy(ops.softmax(segmenter.decode(latent), axis=-1))
    found = members(a_predictor(segmenter, sampler=sampler))
    assert found.shape == (2, 1, *tiny.SIZE, 2)
    np.testing.assert_array_equal(found[:, 0], expected)


@pytest.mark.parametrize("flips", [False, True])
@SAMPLERS
def test_few_members_are_the_first_of_many(sampler: str, flips: bool, segmenter: Segmenter) -> None:
    one, five, ten = (a_predictor(segmenter, sampler=sampler, flips=flips, samples=count) for count in (1, 5, 10))
    noise = ten.draw_noise(3, "a")
    assert noise.shape == ten.noise_shape == (10, *one.noise_shape[1:])
    assert len({member.tobytes() for member in noise}) == 10
    for few in (one, five):
        np.testing.assert_array_equal(few.draw_noise(3, "a"), noise[: few.samples])
        np.testing.assert_allclose(members(few), members(ten)[:, : few.samples], atol=1e-6)
    assert np.abs(np.diff(members(ten), axis=1)).max() > 0.05


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 9])
@SAMPLERS
def test_members_in_parts_are_the_same(sampler: str, at_once: int, segmenter: Segmenter) -> None:
    """Parts that fit, that leave places over, and one that holds all."""
    expected = members(a_predictor(segmenter, sampler=sampler, samples=5))
    predictor = a_predictor(segmenter, sampler=sampler, samples=5, at_once=at_once)
    np.testing.assert_allclose(members(predictor), expected, atol=1e-6)


@pytest.mark.parametrize("at_once", [None, 2])
def test_compiled_as_in_use(at_once: int | None, segmenter: Segmenter) -> None:
    expected = members(a_predictor(segmenter, samples=3, flips=True))
    predictor = Predictor(segmenter, steps=3, samples=3, flips=True, at_once=at_once)
    predictor.compile(run_eagerly=False)
    np.testing.assert_allclose(members(predictor), expected, atol=1e-4)


def test_the_image_is_encoded_once_for_all_members(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, seen = segmenter.encode_image, []

    def watched(image: Any, training: bool = False) -> Any:
        seen.append(image.shape)
        return encode(image, training=training)

    monkeypatch.setattr(segmenter, "encode_image", watched)
    members(a_predictor(segmenter, samples=6, at_once=2))
    assert [tuple(shape) for shape in seen] == [(2, *tiny.SIZE, 3)]


@pytest.mark.parametrize("tile", [False, True])
@SAMPLERS
def test_members_depend_on_their_image_and_the_seed_alone(
    sampler: str, tile: bool, segmenter: Segmenter, cases: tuple[Case, ...]
) -> None:
    predictor = a_predictor(segmenter, sampler=sampler, steps=2, samples=3, flips=True)
    predictor.compile(run_eagerly=not tile)  # of the many tiles, to compile takes less time
    cases = cases[:3]
    alone = segment(predictor, cases, tile, batch_size=1)
    for chosen, size in ((cases, 3), (cases, 9), (cases[::-1], 6), (cases[1:], 6)):
        for name, item in segment(predictor, chosen, tile, batch_size=size).items():
            assert item.members is not None
            np.testing.assert_array_equal(item.members, alone[name].members)
            np.testing.assert_array_equal(item.mask, alone[name].mask)
            np.testing.assert_allclose(item.variance, alone[name].variance, atol=1e-6)


@pytest.mark.parametrize("tile", [False, True])
def test_what_members_make(tile: bool, segmenter: Segmenter, cases: tuple[Case, ...]) -> None:
    """Each fusion from the members one by one, which are those of other numbers of members."""
    single = []
    for count in (1, 2, 3):
        item = segment(a_predictor(segmenter, samples=count), cases[:1], tile)["Phantom1"]
        assert item.probabilities is not None
        single.append(item.probabilities * count - sum(single, np.float32(0)))
    given = np.stack(single)
    found = {fusion: segment(a_predictor(segmenter, samples=3), cases[:1], tile, fusion=fusion) for fusion in FUSIONS}
    for fusion, items in found.items():
        item = items["Phantom1"]
        assert item.members is not None
        assert item.probabilities is not None
        assert item.members.shape == (3, 40, 48)
        assert item.mask.dtype == np.int32
        np.testing.assert_allclose(item.probabilities, given.mean(0), atol=1e-5)
        np.testing.assert_allclose(item.variance, member_variance(given), atol=1e-5)
        np.testing.assert_allclose(item.entropy, predictive_entropy(given.mean(0)), atol=1e-4)
        np.testing.assert_array_equal(item.mask, fuse_labels(item.members, item.probabilities, fusion))


def test_one_member_keeps_nothing_beside_its_probabilities(segmenter: Segmenter, cases: tuple[Case, ...]) -> None:
    for fusion in FUSIONS:
        item = segment(a_predictor(segmenter), cases[:1], fusion=fusion)["Phantom1"]
        assert (item.members, item.variance, item.fused) == (None, None, None)
        assert item.entropy.shape == item.mask.shape


def test_no_member(segmenter: Segmenter) -> None:
    for options in ({"samples": 0}, {"at_once": 0}):
        with pytest.raises(ValueError, match="at least one member"):
            Predictor(segmenter, **options)
