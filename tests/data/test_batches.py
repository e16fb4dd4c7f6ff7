"""Batches of a training: a function of the seed and their number."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import tiny

from ldseg.data.batches import TERMS, Batch, TrainingBatches
from ldseg.data.cases import Case, find_cases
from ldseg.errors import DataError


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    return find_cases(tiny.phantoms(tmp_path_factory.mktemp("data")) / "Set").cases


def batches(cases: tuple[Case, ...], **changes: Any) -> TrainingBatches:
    values: dict[str, Any] = {
        "batch_size": 2, "patch": (24, 16), "latent_shape": (3, 2, 2), "timesteps": 1000, "augmentation": "histology",
        "recycling": 0.5, "seed": 5,
    }  # fmt: skip
    return TrainingBatches(cases, tiny.preprocessing(), **{**values, **changes})


def flat(batch: Batch) -> np.ndarray:
    return np.concatenate([np.ravel(batch[0][name]) for name in sorted(batch[0])])


def test_what_a_batch_holds(cases: tuple[Case, ...]) -> None:
    inputs, zeros = batches(cases).batch(0)
    found = {name: (array.shape, str(array.dtype)) for name, array in inputs.items()}
    noise = ((2, 3, 2, 2), "float32")
    assert found == {
        "image": ((2, 24, 16, 3), "float32"), "label": ((2, 24, 16), "int32"), "time": ((2,), "int32"),
        "recycle": ((2,), "float32"), "noise": noise, "first_noise": noise, "latent_noise": noise,
    }  # fmt: skip
    assert inputs["image"].min() >= 0
    assert inputs["image"].max() <= 1
    assert set(zeros) == set(TERMS)
    assert not np.array_equal(inputs["noise"], inputs["first_noise"])
    assert not np.array_equal(inputs["noise"][0], inputs["noise"][1])


def test_a_batch_is_a_function_of_seed_and_index(cases: tuple[Case, ...]) -> None:
    """Through all epochs, in whatever order and by however many workers, from the start or from the middle."""
    first = [flat(batches(cases).batch(index)) for index in range(8)]
    assert len({batch.tobytes() for batch in first}) == 8
    assert not np.array_equal(flat(batches(cases, seed=6).batch(0)), first[0])
    some = batches(cases)
    for index in (5, 0, 3):
        np.testing.assert_array_equal(flat(some.batch(index)), first[index])
    for workers, epoch in ((0, 0), (2, 0), (3, 1)):
        stream = batches(cases, workers=workers, epoch=epoch)
        # Keras looks at the first batches, and then begins again.
        for index in (0, 1, 0, 1, 2, 3, 4):
            np.testing.assert_array_equal(flat(stream[index]), first[3 * epoch + index])


def test_time_runs_from_one_to_the_last(cases: tuple[Case, ...]) -> None:
    drawn = batches(cases, timesteps=3, batch_size=60, augmentation="none").batch(0)[0]["time"]
    assert set(drawn) == {1, 2, 3}


@pytest.mark.parametrize(("recycling", "expected"), [(0.0, {0.0}), (1.0, {1.0}), (0.5, {0.0, 1.0})])
def test_the_share_of_recycled_samples(recycling: float, expected: set[float], cases: tuple[Case, ...]) -> None:
    drawn = batches(cases, recycling=recycling, batch_size=30, augmentation="none").batch(0)[0]["recycle"]
    assert set(drawn) == expected


def test_an_epoch_visits_every_case_and_fills_its_last_batch(cases: tuple[Case, ...]) -> None:
    some = batches(cases[:5], augmentation="none")
    assert len(some) == 3
    orders = []
    for epoch in range(2):
        images = [image.tobytes() for index in range(3) for image in some.batch(3 * epoch + index)[0]["image"]]
        assert len(set(images)) == 5
        assert images[5] == images[0]
        orders.append(images)
    assert orders[0] != orders[1]


def test_several_samples_of_a_case(cases: tuple[Case, ...]) -> None:
    many = batches(cases, samples_per_case=3)
    assert len(many) == 9
    first = [many.batch(index)[0]["image"] for index in range(9)]
    assert len({image.tobytes() for batch in first for image in batch}) == 18


def test_the_cache_changes_nothing_and_keeps_to_its_bound(cases: tuple[Case, ...]) -> None:
    size = sum(array.nbytes for array in batches(cases)._prepared(cases[0]))
    for room in (0, 2 * size, 1_000_000_000):
        kept = batches(cases)
        kept._room = room
        for _ in range(2):
            for index in range(3):
                np.testing.assert_array_equal(flat(kept.batch(index)), flat(batches(cases).batch(index)))
        assert len(kept._cache) == min(room // size, 6)


def test_a_case_that_two_threads_prepare_is_counted_once(cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    made, both = batches(cases), threading.Barrier(2)
    decoded = made._decoded

    def together(case: Case) -> tuple[np.ndarray, np.ndarray]:
        both.wait(timeout=30)
        return decoded(case)

    monkeypatch.setattr(made, "_decoded", together)
    made._room = room = 10**9
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(made._prepared, [cases[0]] * 2)
    assert room - made._room == sum(array.nbytes for array in one)
    assert all(mine is theirs for mine, theirs in zip(one, other, strict=True))


@pytest.mark.parametrize("shares", [2, 3])
def test_shares_of_a_batch_are_the_whole(shares: int, cases: tuple[Case, ...]) -> None:
    """Each process makes its own samples alone, the same ones whatever their number; also the rest of an epoch."""
    whole = batches(cases, batch_size=6)
    parts = [batches(cases, batch_size=6, share=(index, shares)) for index in range(shares)]
    for number in (0, 1, len(whole) - 1):
        (inputs, zeros), made = whole.batch(number), [part.batch(number) for part in parts]
        for name, array in inputs.items():
            assert all(len(own[name]) == 6 // shares for own, _ in made)
            np.testing.assert_array_equal(np.concatenate([own[name] for own, _ in made]), array)
        assert [len(own["diffusion"]) for _, own in made] == [len(zeros["diffusion"]) // shares] * shares
    assert [len(part) for part in parts] == [len(whole)] * shares


def test_batches_need_labelled_cases(cases: tuple[Case, ...]) -> None:
    with pytest.raises(DataError, match="no labelled case"):
        batches(())
    bare = Case(name=cases[0].name, image=cases[0].image, label=None, group="a")
    with pytest.raises(DataError, match=str(bare.image)):
        batches((bare,)).batch(0)
