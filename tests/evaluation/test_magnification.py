"""Images at another magnification are named, though they look like the others."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ldseg.evaluation.familiarity import Familiarity, Signature, fit_familiarity, joined, measure, unfamiliar
from ldseg.evaluation.magnification import Magnification, Moved, fit_magnification

WAYS = {"larger": 8.0, "smaller": -8.0}


def tissue(rng: np.random.Generator, coarse: float) -> np.ndarray:
    """Blobs of a size that varies from image to image, as their strength and their sharpness do."""
    size, coarse = 48, coarse * float(np.exp(rng.uniform(-0.5, 0.5)))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    plane = np.zeros((size, size), np.float32)
    for _ in range(int(0.5 * (size / coarse) ** 2)):
        row, column = rng.uniform(0, size, 2)
        plane += np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * (coarse * rng.uniform(0.3, 0.5)) ** 2))
    plane = rng.uniform(0.1, 0.7) * np.clip(plane, 0, 1.2) + rng.normal(0, rng.uniform(0.002, 0.03), plane.shape)
    return np.clip(plane, 0, 1).astype(np.float32)[..., np.newaxis]


def signature(image: np.ndarray) -> Signature:
    return {"features": np.array([image.mean(), image.std()], np.float64), **measure(image)}


def of(rng: np.random.Generator, coarse: float) -> Signature:
    return signature(tissue(rng, coarse))


@pytest.fixture(scope="module")
def fits() -> tuple[Familiarity, Familiarity]:
    """What tells images by their distance alone, and by the magnification, too."""
    rng = np.random.default_rng(0)
    cases = [[of(rng, 8)] for _ in range(80)]
    groups = [f"patient {index // 2}" for index in range(80)]
    zoomed = [[{"larger": of(rng, 24), "smaller": of(rng, 8 / 3)}] for _ in range(80)]
    held_back = [[of(rng, 8)] for _ in range(30)]
    found = [fit_familiarity(cases, groups, held_back, (), each) for each in ((), zoomed)]
    assert found[0] is not None and found[1] is not None
    return found[0], found[1]


def named(images: Sequence[Signature], fit: Familiarity) -> float:
    told = [unfamiliar(each, fit)[1] for each in images]
    return sum("magnification" in "".join(lines) for lines in told) / len(told)


def test_another_magnification_is_named_and_hardly_any_other_image(fits: tuple[Familiarity, Familiarity]) -> None:
    rng = np.random.default_rng(1)
    without, fit = fits
    usual, larger, smaller = ([of(rng, coarse) for _ in range(40)] for coarse in (8, 24, 8 / 3))
    assert without.magnification is None and fit.magnification is not None
    assert named(usual, fit) <= 0.05
    assert named(larger, fit) > 0.9 and named(smaller, fit) > 0.8
    assert min(named(larger, without), named(smaller, without)) < 0.5


def test_colours_that_training_makes_are_known_as_well() -> None:
    """They move images as a magnification does, but in other respects, too."""
    rng = np.random.default_rng(2)
    usual = [rng.normal(size=(1, 3)) for _ in range(80)]
    colours = [each + rng.uniform(0, 8) * np.array([1, 1, 0]) for each in usual]
    moved = [
        Moved(fold=index % 10, vectors={name: rng.normal(size=3) + [way, 0, 0] for name, way in WAYS.items()})
        for index in range(80)
    ]
    fold = np.arange(80) % 10
    plain, wide = (fit_magnification(usual, known, (), moved, fold)[0] for known in ((), colours))
    changed = [rng.normal(size=3) + rng.uniform(6, 8) * np.array([1, 1, 0]) for _ in range(40)]
    larger = [rng.normal(size=3) + [WAYS["larger"], 0, 0] for _ in range(40)]

    def far(fit: Magnification, vectors: Sequence[np.ndarray]) -> float:
        return float(np.mean([fit.distance(vector) > 1 for vector in vectors]))

    assert far(plain, changed) > 0.5
    assert far(wide, changed) < 0.1
    assert min(far(plain, larger), far(wide, larger)) > 0.9


def test_it_is_written_and_read(fits: tuple[Familiarity, Familiarity]) -> None:
    values = json.loads(json.dumps(fits[1].to_dict()))
    one = of(np.random.default_rng(3), 24)
    assert Familiarity.from_dict(values).distances(one) == pytest.approx(fits[1].distances(one), rel=1e-3)
    assert "magnification" not in fits[0].to_dict()
    for name, message in (
        ("directions", "expected directions of shape"),
        ("limits", r"expected limits of shape \(2,\), got \(1,\)"),
    ):
        wrong = json.loads(json.dumps(values))
        part = wrong["magnification"][name]
        wrong["magnification"][name] = part[:1] if isinstance(part, list) else part.split()[0]
        with pytest.raises(ValueError, match=message):
            Familiarity.from_dict(wrong)
    for name, part in (("centre", 3.5), ("limits", [1.0, 1.0])):
        with pytest.raises(TypeError):
            Familiarity.from_dict({**values, "magnification": {**values["magnification"], name: part}})


def test_fits_from_before_knew_the_first_numbers_alone(fits: tuple[Familiarity, Familiarity]) -> None:
    magnification = fits[1].magnification
    assert magnification is not None
    fewer = replace(
        magnification,
        centre=magnification.centre[:-12],
        scale=magnification.scale[:-12],
        directions=magnification.directions[:, :-12],
    )
    vector = joined(of(np.random.default_rng(6), 24))
    np.testing.assert_array_equal(fewer.scores(vector), fewer.scores(vector[:-12]))


def test_few_images_have_no_such_fit() -> None:
    rng = np.random.default_rng(4)
    cases = [[of(rng, 8) for _ in range(4)] for _ in range(5)]
    zoomed = [[{"larger": of(rng, 24), "smaller": of(rng, 8 / 3)}] for _ in range(5)]
    found = fit_familiarity(cases, [str(index) for index in range(5)], (), (), zoomed)
    assert found is not None and found.magnification is None
