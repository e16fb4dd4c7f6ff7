"""Several engines as one ensemble, without networks: what each gives is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tiny

from ldseg.evaluation.cloud import Cloud
from ldseg.evaluation.familiarity import KINDS, Familiarities, Familiarity
from ldseg.inference.engine import Drawn, Engine
from ldseg.inference.folds import ensemble_of
from ldseg.slides.noise import noise_rows


class Plain(Engine):
    """Its probabilities are those of its own number and of the noise."""

    kind = "plain"

    def __init__(self, number: int, **options: Any) -> None:
        super().__init__(tiny.spec(), **options)
        self.number = number

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        assert inputs["noise"].shape[1:] == self.noise_shape
        one = self.number + inputs["noise"][:, :, 0, 0].mean(axis=(2, 3, 4))  # (B, E)
        shape = (*one.shape, *self.spec.size, 2)
        return Drawn(
            probabilities=np.broadcast_to(one[:, :, None, None, None], shape).astype(np.float32),
            states=np.full((len(one), 2, *self.latent_shape), self.number, np.float32) if states else None,
            features=self.encode(inputs["image"]) if features else None,
        )

    def encode(self, images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 3), self.number, np.float32)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return np.full((len(latents), *self.spec.size, 2), self.number, np.float32)


def make(**options: Any) -> Engine:
    return ensemble_of([lambda number=number, **more: Plain(number, **more) for number in (100, 200, 300)])(**options)


def drawn(engine: Engine, **more: bool) -> tuple[np.ndarray, Drawn]:
    noise = np.stack([engine.draw_noise(0, content) for content in ("a", "b")])
    image = np.zeros((2, *tiny.SIZE, 3), np.float32)
    return noise, engine.run({"image": image, "noise": noise}, **more)


@pytest.mark.parametrize("flips", [False, True])
def test_each_member_is_drawn_by_its_fold_from_its_noise(flips: bool) -> None:
    engine = make(samples=2, flips=flips, steps=3)
    assert (engine.samples, engine.at_a_time, len(engine.mirrors), engine.kind) == (6, 2, 4 if flips else 1, "plain")
    noise, found = drawn(engine)
    means = noise[:, :, 0, 0].mean(axis=(2, 3, 4))
    assert found.probabilities.shape == (2, 6, *tiny.SIZE, 2)
    np.testing.assert_allclose(found.probabilities[..., 0, 0, 0], means + [100, 200, 300, 100, 200, 300], rtol=1e-6)


def test_the_first_members_do_not_depend_on_how_many_follow() -> None:
    few, many = drawn(make(samples=1))[1], drawn(make(samples=3))[1]
    np.testing.assert_array_equal(few.probabilities, many.probabilities[:, :3])
    np.testing.assert_array_equal(drawn(make(folds=2))[1].probabilities, few.probabilities[:, :2])


def test_states_are_of_the_first_fold_and_features_of_each() -> None:
    engine = make(samples=2)
    _, found = drawn(engine, states=True, features=True)
    assert found.states is not None
    assert found.features is not None
    assert np.unique(found.states) == [100]
    assert engine.decode(found.states[0]).max() == 100
    assert found.features.shape == (2, 3, 3)
    np.testing.assert_array_equal(found.features[1, :, 0], [100, 200, 300])
    np.testing.assert_array_equal(engine.encode(np.zeros((2, *tiny.SIZE, 3))), found.features)


def test_the_noise_of_a_slide_is_that_of_any_ensemble() -> None:
    engine = make(samples=1)
    rows = np.stack(list(noise_rows(engine, 5, "slide", (6, 4))), axis=3)
    np.testing.assert_array_equal(rows, engine.draw_noise(5, "slide", (6, 4)))


def test_unfamiliar_to_several_is_the_mean_over_them() -> None:
    """By hand: clouds without directions, so that the distance is that from the centre."""

    def known(at: float, limit: float) -> Familiarity:
        cloud = Cloud(
            centre=np.full(2, at), scale=np.ones(2), axes=np.zeros((0, 2)), spread=np.zeros(0), rest=1.0, limit=limit
        )
        return Familiarity(clouds={"features": cloud, "scale": cloud}, tiles=4)

    joint = Familiarities(folds=(known(0, 1), known(1, 2)))
    signature = {kind: np.full(2, 3.0) for kind in KINDS}
    found = joint.distances({**signature, "features": np.array([[2.0, 2.0], [5.0, 5.0]])})
    assert found == {"features": (2 / 1 + 4 / 2) / 2, "scale": (3 / 1 + 2 / 2) / 2}
    assert joint.distances({**signature, "features": np.array([[2.0, 2.0]])}) == {
        "features": 2,
        "scale": 3,
    }  # one fold of two
