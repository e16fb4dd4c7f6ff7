"""Images unlike those of training are named, and hardly any other is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ldseg.evaluation.cloud import Cloud
from ldseg.evaluation.familiarity import (
    BANDS,
    FEWEST_GROUPS,
    KINDS,
    WIDTHS,
    Familiarity,
    Signature,
    fit_familiarity,
    mean_signature,
    measure,
    unfamiliar,
)


def tissue(rng: np.random.Generator, size: int = 48, coarse: int = 4) -> np.ndarray:
    """Blobs of one size in one colour, with some noise."""
    blobs = np.kron(rng.random((size // coarse, size // coarse)), np.ones((coarse, coarse)))[..., np.newaxis]
    colour = np.array([0.7, 0.4, 0.6]) + rng.normal(0, 0.02, 3)
    return np.clip(colour * (0.5 + 0.5 * blobs) + rng.normal(0, 0.02, (size, size, 3)), 0, 1).astype(np.float32)


def signature(image: np.ndarray) -> Signature:
    features = np.concatenate([image.mean(axis=(0, 1)), image.std(axis=(0, 1))]).astype(np.float64)
    return {"features": features, **measure(image)}


def case(rng: np.random.Generator, tiles: int = 2) -> list[Signature]:
    return [signature(tissue(rng)) for _ in range(tiles)]


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    rng = np.random.default_rng(0)
    cases = [case(rng) for _ in range(60)]
    found = fit_familiarity(cases, [f"patient {index // 2}" for index in range(60)], [case(rng) for _ in range(20)])
    assert found is not None
    return found


def named(image: np.ndarray, familiarity: Familiarity) -> str:
    return "".join(unfamiliar(signature(image), familiarity)[1])


def test_hardly_any_image_like_those_of_training_is_named(familiarity: Familiarity) -> None:
    rng = np.random.default_rng(1)
    distances = [unfamiliar(mean_signature(case(rng)), familiarity)[0] for _ in range(100)]
    assert sum(distance > 1 for distance in distances if distance is not None) <= 2
    assert 0.2 < float(np.median([distance or 0 for distance in distances])) < 0.9


def test_other_images_are_named_with_the_reason(familiarity: Familiarity) -> None:
    rng = np.random.default_rng(2)
    image = tissue(rng)
    assert "brightness or colours" in named(image / 16, familiarity)  # 12 bits read as 16
    assert "brightness or colours" in named(image[..., ::-1], familiarity)
    assert "magnification" in named(tissue(rng, coarse=12), familiarity)
    drawing = np.ones((48, 48, 3), np.float32)
    drawing[10:30, 8:40] = 0, 0, 1
    assert "shape of its structures" in named(drawing, familiarity)
    noise = rng.random((48, 48, 3)).astype(np.float32)
    assert named(noise, familiarity).startswith("unlike what the weights learned from: ")
    assert named(image, familiarity) == ""


def test_a_little_off_in_all_is_named_though_far_off_in_nothing(familiarity: Familiarity) -> None:
    rng = np.random.default_rng(7)
    far = signature(tissue(rng))
    clouds = familiarity.clouds

    def moved(*kinds: str) -> Signature:
        """Each of the kinds at 0.95 of its limit, the others as they are."""
        ways = {kind: 0.95 * clouds[kind].limit / clouds[kind].distance(far[kind]) for kind in kinds}
        return {
            kind: clouds[kind].centre + ways[kind] * (vector - clouds[kind].centre) if kind in kinds else vector
            for kind, vector in far.items()
        }

    alone = replace(familiarity, magnification=None)
    distance, warnings = unfamiliar(moved(*clouds), alone)
    assert distance == pytest.approx(0.95 / (alone.together or 0), rel=1e-3) and distance > 1
    assert warnings == ("unlike what the weights learned from: all that is measured, a little of each",)
    assert all(unfamiliar(moved(kind), alone)[1] == () for kind in clouds)
    assert unfamiliar(moved(*clouds), replace(alone, together=None))[1] == ()


def test_colours_that_training_makes_are_familiar() -> None:
    rng = np.random.default_rng(3)

    def recoloured(image: np.ndarray) -> np.ndarray:
        return np.clip(image * rng.uniform(0.3, 1.4, 3), 0, 1).astype(np.float32)

    images = [tissue(rng) for _ in range(60)]
    groups = [str(index) for index in range(60)]
    cases = [[signature(image)] for image in images]
    colours = [[measure(recoloured(image))] for image in images]
    plain, wide = fit_familiarity(cases, groups), fit_familiarity(cases, groups, (), colours)
    assert plain is not None and wide is not None
    changed = [measure(recoloured(tissue(rng)))["intensities"] for _ in range(40)]

    def far(fit: Familiarity) -> float:
        cloud = fit.clouds["intensities"]
        return float(np.mean([cloud.distance(vector) > cloud.limit for vector in changed]))

    assert far(plain) > 0.8
    assert far(wide) < 0.1
    assert unfamiliar(signature(images[0] / 16), wide)[1]


def test_few_cases_are_told_by_their_tiles() -> None:
    rng = np.random.default_rng(4)
    videos = [case(rng, tiles=12) for _ in range(FEWEST_GROUPS)]
    groups = [str(index) for index in range(len(videos))]
    found = fit_familiarity(videos, groups)
    assert found is not None and found.tiles == 48
    assert not unfamiliar(mean_signature(case(rng, 12)), found)[1]
    assert fit_familiarity(videos[1:], groups[1:]) is None
    assert fit_familiarity([each[:1] for each in videos], groups) is None
    assert unfamiliar(videos[0][0], None) == (None, ())
    assert unfamiliar(None, found) == (None, ())


def test_the_distance_is_that_of_mahalanobis() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 3)) + 7
    cloud = Cloud.fit(vectors, shrink=0.0)
    covariance = np.cov(vectors.T, bias=True)
    offset = vectors[0] - vectors.mean(axis=0)
    expected = np.sqrt(offset @ np.linalg.inv(covariance) @ offset / 3)
    assert cloud.distance(vectors[0]) == pytest.approx(expected, rel=1e-4)
    # More numbers than vectors: what no vector spans counts by what is left of the variance.
    wide = Cloud.fit(rng.normal(size=(30, 80)), shrink=0.1)
    assert wide.axes.shape == (16, 80)
    assert 0.5 < float(np.mean([wide.distance(vector) for vector in rng.normal(size=(50, 80))])) < 2.0


def test_it_is_written_and_read(familiarity: Familiarity) -> None:
    text = json.dumps(familiarity.to_dict())
    assert len(text) < 16_000
    read = Familiarity.from_dict(json.loads(text))
    rng = np.random.default_rng(6)
    for image in (tissue(rng), tissue(rng) / 16):
        ours, theirs = (each.distances(signature(image)) for each in (familiarity, read))
        assert ours == pytest.approx(theirs, rel=1e-3)
    values = json.loads(text)
    values["clouds"]["scale"]["axes"].pop()
    with pytest.raises(ValueError, match="expected axes of shape"):
        Familiarity.from_dict(values)
    with pytest.raises(ValueError, match="together: expected a number above 0"):
        Familiarity.from_dict(json.loads(text) | {"together": 0})


@pytest.mark.parametrize(("shape", "channels"), [((24, 20), 1), ((24, 20), 3), ((3, 24, 20), 1), ((12, 24, 20), 2)])
def test_what_is_measured(shape: tuple[int, ...], channels: int) -> None:
    image = np.random.default_rng(7).random((*shape, channels)).astype(np.float32)
    found = measure(image)
    assert set(found) == set(KINDS) - {"features"} | {"sizes"}
    assert found["intensities"].shape == (6 * channels,)
    assert found["intensities"][2 * channels] == pytest.approx(np.median(image[..., 0]), abs=1e-6)
    assert (found["scale"].shape, found["shape"].shape) == ((BANDS + 1,), (BANDS,))
    assert found["sizes"].shape == (2 * len(WIDTHS),)
    assert all(np.isfinite(values).all() for values in measure(np.zeros_like(image)).values())


@pytest.mark.parametrize("width", [4, 12, 24])
def test_sizes_are_those_of_bright_and_of_dark_parts(width: int) -> None:
    """What is narrower than a square is taken by it, and nothing before or after."""
    image = np.full((200, 200, 1), 0.2, np.float32)
    image[90 : 90 + width, 90 : 90 + width] = 0.6
    first = next(index for index, side in enumerate(WIDTHS) if side > width)
    for shown, place in ((image, first), (1 - image, len(WIDTHS) + first)):
        sizes = np.exp(measure(shown)["sizes"])
        share = width**2 / 200**2
        assert sizes[place] == pytest.approx(np.sqrt(share / (1 - share)) + 0.001, rel=0.01)
        assert np.delete(sizes, place).max() == pytest.approx(0.001, rel=0.01)
    assert measure(image / 16)["sizes"] == pytest.approx(measure(image)["sizes"], abs=1e-3)
