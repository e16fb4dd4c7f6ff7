"""Steps and masks that pay, found out in validation."""

from pathlib import Path

import pytest
import tiny

from ldseg.cli.task import settle
from ldseg.config import Config
from ldseg.description import read_description
from ldseg.training.clock import Clock
from ldseg.training.plan import plan
from ldseg.training.prepare import train_config
from ldseg.training.sampling import chosen, tried

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize(
    ("single", "several", "expected"),
    [
        ({5: 0.83, 1: 0.83, 2: 0.82, 15: 0.831}, 0.831, (1, 1)),
        ({5: 0.83, 1: 0.80, 2: 0.829, 15: 0.83}, 0.836, (2, 4)),
        ({5: 0.83, 1: 0.80, 2: 0.81, 15: 0.85}, 0.852, (15, 1)),
    ],
)
def test_the_fewest_that_are_about_as_good(single: dict[int, float], several: float, expected: tuple[int, int]) -> None:
    asked: list[tuple[int, int]] = []

    def measure(steps: int, samples: int) -> float:
        asked.append((steps, samples))
        return single[steps] if samples == 1 else several

    found = tried(measure, 1000)
    assert chosen(found) == expected
    assert asked == [(5, 1), (1, 1), (2, 1), (15, 1), (expected[0], 4)]
    assert set(tried(measure, 3)) - {(1, 4), (2, 4)} == {(1, 1), (2, 1)}  # a schedule of three steps


def test_what_would_not_end_in_time_is_not_begun() -> None:
    clock = [0.0]

    def measure(steps: int, samples: int) -> float:
        clock[0] += (steps + 1) * samples
        return 0.5

    assert set(tried(measure, 1000, 12.0, lambda: clock[0])) == {(5, 1), (1, 1), (2, 1)}
    assert clock[0] < 12
    assert tried(measure, 1000, 0.0, lambda: clock[0]) == {}


def test_the_end_of_a_training_leaves_time_for_it() -> None:
    now = [0.0]
    plain, picking = (Clock(minutes=10, now=lambda: now[0], picks=picks) for picks in (False, True))
    assert plain.reserve == picking.reserve
    for clock in (plain, picking):
        clock.validated(3.0)
    assert picking.reserve - plain.reserve == pytest.approx(12.0)
    picking.validated(60.0)
    assert picking.picking == pytest.approx(24.0)


def test_stored_with_the_weights_and_taken_from_them(tmp_path: Path) -> None:
    data = tiny.phantoms(tmp_path)
    open_to_all = {"Sampler_Sampling_Steps": "auto", "Sampler_Samples": "auto", "Parameters_Epoch": 2}
    with tiny.tiny_networks():
        result = train_config(tiny.settings(data, tmp_path / "w", **open_to_all))
        description = read_description(result.folder)
        found = description.sampling
        assert set(found) == {"steps", "samples", "tried", "cases"}
        assert found["cases"] == 2
        assert {"5x1", "1x1", "2x1", "15x1"} < set(found["tried"])
        assert all(0 <= value <= 1 for value in found["tried"].values())
        assert description.plan["chosen"] == [] or description.plan["chosen"][0]["why"]
        settled = settle(Config(), description).sampler
        assert (settled.sampling_steps, settled.samples) == (found["steps"], found["samples"])
        own = settle(Config().with_values({"Sampler.Sampling_Steps": 7, "Sampler.Samples": 3}), description).sampler
        assert (own.sampling_steps, own.samples) == (7, 3)


def test_weights_that_say_nothing_take_fifteen(tmp_path: Path) -> None:
    settings = tiny.settings(tmp_path, tmp_path, Data_Channels=3, Data_Intensity="dtype", Data_Fit="resize", Data_Zoom=1,
                             Training_SamplesPerCase=1, Training_Focus=0)  # fmt: skip
    with tiny.tiny_networks():
        from ldseg.training.assembly import description_of

        made = plan(settings, {})
        assert (made.steps, made.picks) == (2, False)  # what is set is set
        description = description_of(made, {})
    assert (description.steps, description.samples) == (15, 1)
    assert settle(Config(), description).sampler.sampling_steps == 15
