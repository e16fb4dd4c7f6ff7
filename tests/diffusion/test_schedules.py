import json
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from ldseg.diffusion import SCHEDULES, Schedule

pytestmark = pytest.mark.core


def test_linear_by_hand() -> None:
    schedule = Schedule(name="linear", timesteps=3, beta_0=0.1, beta_t=0.3)
    np.testing.assert_allclose(schedule.beta, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(schedule.alpha_bar, [1, 0.9, 0.72, 0.504])


def test_quadratic_by_hand() -> None:
    schedule = Schedule(name="quadratic", timesteps=3, beta_0=0.01, beta_t=0.09)
    np.testing.assert_allclose(schedule.beta, [0.01, 0.04, 0.09])
    np.testing.assert_allclose(schedule.alpha_bar, [1, 0.99, 0.9504, 0.864864])


def test_cosine_by_hand() -> None:
    # cos^2 of 0.0124666, 0.4020491 and 0.7916315 over that of the first: t = 0, 1 and 2 of 4.
    schedule = Schedule(name="cosine", timesteps=4)
    np.testing.assert_allclose(schedule.alpha_bar[:3], [1, 0.8470122, 0.4938436], rtol=1e-6)


def test_cosine_is_its_closed_form_down_to_the_last_step() -> None:
    def left(share: float) -> float:
        return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2

    alpha_bar = Schedule(name="cosine", timesteps=1000).alpha_bar
    np.testing.assert_allclose(alpha_bar[:-1], [left(t / 1000) / left(0) for t in range(1000)], rtol=1e-10)
    assert alpha_bar[999] == pytest.approx(2.43e-6, abs=0.005e-6)
    assert alpha_bar[1000] == pytest.approx(alpha_bar[999] / 1000)


def test_cosine_is_whatever_the_betas_are() -> None:
    few, many = Schedule(name="cosine", beta_0=0.001, beta_t=0.002), Schedule(name="cosine")
    np.testing.assert_array_equal(few.alpha_bar, many.alpha_bar)


def test_the_schedules_differ() -> None:
    left = [Schedule(name=name).alpha_bar[1000] for name in ("linear", "quadratic", "cosine")]
    # The first two from the integral of -log(1 - beta), to second order.
    assert left[0] == pytest.approx(math.exp(-10.05 - 0.0670), rel=0.01)
    assert left[1] == pytest.approx(math.exp(-7.171 - 0.0430), rel=0.01)
    assert left[2] < 1e-8


@pytest.mark.parametrize("timesteps", [1, 2, 50, 1000, 4000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_signal_only_falls(name: str, timesteps: int) -> None:
    schedule = Schedule(name=name, timesteps=timesteps)
    alpha_bar = schedule.alpha_bar
    assert alpha_bar.shape == (timesteps + 1,)
    assert alpha_bar.dtype == np.float64
    assert alpha_bar[0] == 1
    assert alpha_bar[-1] > 0
    assert (np.diff(alpha_bar) < 0).all()
    assert schedule.beta.shape == (timesteps,)
    np.testing.assert_allclose(schedule.signal_rate**2, alpha_bar)
    np.testing.assert_allclose(schedule.noise_rate**2, 1 - alpha_bar, atol=1e-15)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": "sigmoid"}, r"'linear', 'quadratic', 'cosine'.*'sigmoid'"),
        ({"timesteps": 0}, "expected from 1 to 100000 timesteps, got 0"),
        ({"beta_0": 0.0}, "beta_0 .* got 0.0 and 0.02"),
        ({"beta_t": 1.0}, "beta_t < 1, got"),
        ({"beta_0": 0.03}, "beta_0 <= beta_t .* got 0.03 and 0.02"),
        ({"name": "linear", "timesteps": 100_000}, "signal left .* timesteps"),
        ({"name": "quadratic", "beta_t": 0.999}, "signal left .* beta_t"),
    ],
)
def test_what_is_out_of_range(values: dict, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Schedule(**values)


def test_plain_values_give_it_back() -> None:
    schedule = Schedule(name="quadratic", timesteps=77, beta_0=0.002, beta_t=0.05)
    again = Schedule(**json.loads(json.dumps(schedule.to_dict())))
    assert again == schedule
    np.testing.assert_array_equal(again.alpha_bar, schedule.alpha_bar)


def test_it_stays_as_it_was_made() -> None:
    with pytest.raises(FrozenInstanceError):
        Schedule().timesteps = 5  # type: ignore[misc]
