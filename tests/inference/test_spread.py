"""Several devices that segment together; engines of a line stand for them."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import tiny

from ldseg.inference.engine import Drawn, Engine
from ldseg.inference.spread import spread


class Counting(Engine):
    """Gives back the noise of each case, and remembers what it was given."""

    kind = "counting"

    def __init__(self, **options: Any) -> None:
        super().__init__(tiny.spec(), **options)
        self.given: list[int] = []
        self.threads: set[str] = set()

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        self.given.append(len(inputs["noise"]))
        self.threads.add(threading.current_thread().name)
        return Drawn(probabilities=inputs["noise"] + 1, features=inputs["image"] if features else None)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return latents + 2


def test_a_batch_is_shared_out_and_comes_back_in_its_order() -> None:
    made: list[Counting] = []

    def make(index: int) -> Counting:
        assert index == len(made)
        made.append(Counting(samples=2, steps=3))
        return made[-1]

    engine = spread(make, ["", "", ""], samples=2, steps=3)
    assert engine.together(4) == 3 * 2
    assert (engine.devices, engine.samples, engine.steps, engine.noise_shape) == (3, 2, 3, made[0].noise_shape)
    for count, expected in ((7, [3, 3, 1]), (2, [1, 1]), (1, [1]), (6, [2, 2, 2])):
        for one in made:
            one.given.clear()
        numbers = np.arange(count, dtype=np.float32)
        drawn = engine.run({"image": numbers * 10, "noise": numbers}, features=count != 2)
        np.testing.assert_array_equal(drawn.probabilities, numbers + 1)
        assert [length for one in made for length in one.given] == expected
        if count == 2:
            assert drawn.features is None
        else:
            np.testing.assert_array_equal(drawn.features, numbers * 10)
    assert all(name.startswith("device") for one in made for name in one.threads)
    np.testing.assert_array_equal(engine.decode(np.zeros(3)), np.full(3, 2.0))


def test_one_device_is_taken_as_it_is() -> None:
    assert isinstance(spread(lambda index: Counting(), [""]), Counting)
