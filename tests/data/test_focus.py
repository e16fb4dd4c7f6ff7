"""Samples laid around an object, and drawn by class."""

import numpy as np
import pytest
import tiny

from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import Case
from ldseg.data.focus import around


@pytest.mark.parametrize(("axes", "size", "patch"), [("YX", (90, 120), (32, 32)), ("TYX", (40, 60, 60), (4, 64, 64))])
def test_surroundings_show_the_place(axes: str, size: tuple[int, ...], patch: tuple[int, ...]) -> None:
    label = np.zeros(size, np.int32)
    label[(-2, *[slice(3, 6)] * (len(size) - 1))] = 2
    image = np.random.default_rng(0).random((*size, 1), dtype=np.float32)
    for seed in range(20):
        part, classes = around(image, label, 2, patch, axes, np.random.default_rng(seed))
        assert part.shape[:-1] == classes.shape
        assert (classes == 2).any()
        if axes[0] == "T":
            assert classes.shape == (4, 60, 60)  # as long as a sample, in space no larger than there is
        else:
            assert classes.shape == (51, 51)
    same, _ = around(image, label, 1, patch, axes, np.random.default_rng(0))
    assert same is image  # nothing of the class


def batches(**options: object) -> TrainingBatches:
    cases = [Case(name=name, image=tiny.Path(name), label=tiny.Path(name), group=name) for name in "abcdef"]
    values: dict[str, object] = {
        "batch_size": 6, "patch": tiny.SIZE, "latent_shape": (4, 4, 2), "timesteps": 10, "augmentation": "none",
        "recycling": 0.5, "seed": 3,
    }  # fmt: skip
    found = TrainingBatches(cases, tiny.preprocessing(), **{**values, **options})  # type: ignore[arg-type]
    for index, case in enumerate(cases):
        label = np.zeros((32, 32), np.int32)
        label[4:8, 4:8] = case.name == "f"
        found._cache[case.name] = (np.full((32, 32, 3), index / 10, np.float32), label)
    return found


def test_a_rare_class_is_drawn_as_often_as_asked() -> None:
    focused = batches(focus=0.5, shown={1: ("f", "not here")})
    shown = [label.any() for index in range(40) for label in focused.batch(index)[0]["label"]]
    assert 0.5 < np.mean(shown) < 0.68  # half by class, and a sixth of the others
    assert np.mean([label.any() for label in batches().batch(0)[0]["label"]]) == pytest.approx(1 / 6)
    again = batches(focus=0.5, shown={1: ("f",)})
    np.testing.assert_array_equal(again.batch(3)[0]["image"], focused.batch(3)[0]["image"])


def test_without_it_samples_are_what_they_were() -> None:
    one, other = batches(), batches(focus=0.0, shown={1: ("f",)})
    for name, value in one.batch(1)[0].items():
        np.testing.assert_array_equal(value, other.batch(1)[0][name])
