import numpy as np
import pytest
from helpers import posterior

from ldseg.diffusion import (
    SCHEDULES,
    Schedule,
    step_grid,
    transition_table,
)

pytestmark = pytest.mark.core


# The grid


@pytest.mark.parametrize(
    ("timesteps", "steps", "expected"),
    [
        (1000, 1, [1000, 0]),
        (1000, 5, [1000, 800, 600, 400, 200, 0]),
        (5, 5, [5, 4, 3, 2, 1, 0]),
        (10, 4, [10, 8, 5, 2, 0]),
        (1, 1, [1, 0]),
    ],
)
def test_grids_by_hand(timesteps: int, steps: int, expected: list[int]) -> None:
    assert step_grid(timesteps, steps).tolist() == expected


@pytest.mark.parametrize("timesteps", [1, 7, 50, 1000])
def test_every_number_of_steps_descends_to_the_clean_latent(timesteps: int) -> None:
    for steps in range(1, timesteps + 1):
        grid = step_grid(timesteps, steps)
        assert grid.shape == (steps + 1,)
        assert grid.dtype == np.int32
        assert (grid[0], grid[-1]) == (timesteps, 0)
        assert (np.diff(grid) < 0).all()
        assert np.ptp(np.diff(grid)) <= 1


@pytest.mark.parametrize("steps", [0, -1, 101])
def test_a_number_of_steps_out_of_range(steps: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 100 sampling steps, got {steps}"):
        step_grid(100, steps)


# The coefficients


@pytest.mark.parametrize("steps", [1, 3, 15, 200])
@pytest.mark.parametrize("name", SCHEDULES)
def test_eta_1_is_the_posterior_of_ddpm(name: str, steps: int) -> None:
    schedule = Schedule(name=name, timesteps=200)
    grid = step_grid(200, steps)
    table = transition_table(schedule, grid, eta=1.0)
    for index in range(steps):
        row = {key: values[index] for key, values in table.items()}
        # eps is (x_t - signal_rate x0) / noise_rate.
        of_state = row["to_eps"] / row["noise_rate"]
        of_x0 = row["to_x0"] - of_state * row["signal_rate"]
        expected = posterior(schedule.alpha_bar.tolist(), int(grid[index]), int(grid[index + 1]))
        np.testing.assert_allclose((of_x0, of_state, row["to_noise"] ** 2), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_eta_1_on_the_full_grid_is_eq_6_and_7_of_ho(name: str) -> None:
    schedule = Schedule(name=name, timesteps=60, beta_0=0.001, beta_t=0.1)
    beta, alpha_bar = schedule.beta, schedule.alpha_bar
    table = transition_table(schedule, step_grid(60, 60), eta=1.0)
    for t in range(60, 0, -1):
        row = {key: values[60 - t] for key, values in table.items()}
        assert row["time"] == t
        rest = 1 - alpha_bar[t]
        of_state = row["to_eps"] / row["noise_rate"]
        of_x0 = row["to_x0"] - of_state * row["signal_rate"]
        assert of_x0 == pytest.approx(np.sqrt(alpha_bar[t - 1]) * beta[t - 1] / rest, rel=1e-9)
        assert of_state == pytest.approx(np.sqrt(1 - beta[t - 1]) * (1 - alpha_bar[t - 1]) / rest, abs=1e-10)
        assert row["to_noise"] ** 2 == pytest.approx((1 - alpha_bar[t - 1]) / rest * beta[t - 1], abs=1e-15)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", SCHEDULES)
def test_an_update_keeps_the_marginal(name: str, eta: float) -> None:
    schedule, grid = Schedule(name=name), step_grid(1000, 15)
    table = transition_table(schedule, grid, eta)
    np.testing.assert_array_equal(table["time"], grid[:-1])
    np.testing.assert_allclose(table["signal_rate"], schedule.signal_rate[grid[:-1]])
    np.testing.assert_allclose(table["noise_rate"], schedule.noise_rate[grid[:-1]])
    np.testing.assert_allclose(table["to_x0"], schedule.signal_rate[grid[1:]])
    variance = table["to_eps"] ** 2 + table["to_noise"] ** 2
    np.testing.assert_allclose(variance, 1 - schedule.alpha_bar[grid[1:]], atol=1e-14)
    assert (table["to_noise"][:-1] > 0).all() == (eta > 0)
    assert (table["to_x0"][-1], table["to_eps"][-1], table["to_noise"][-1]) == (1, 0, 0)


def test_the_noise_grows_with_eta() -> None:
    schedule, grid = Schedule(), step_grid(1000, 15)
    whole = transition_table(schedule, grid, 1.0)["to_noise"]
    np.testing.assert_allclose(transition_table(schedule, grid, 0.25)["to_noise"], whole / 4)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_second_order_adds_to_ddim(name: str) -> None:
    schedule, grid = Schedule(name=name), step_grid(1000, 15)
    first, second = transition_table(schedule, grid, 0.0), transition_table(schedule, grid, 0.0, order=2)
    for key in set(first) - {"to_change"}:
        np.testing.assert_array_equal(first[key], second[key])
    assert not first["to_change"].any()
    assert (second["to_change"][[0, -1]] == 0).all()
    assert (second["to_change"][1:-1] > 0).all()


@pytest.mark.parametrize(("order", "eta"), [(0, 0.0), (3, 0.0), (2, 0.5)])
def test_an_order_that_cannot_be(order: int, eta: float) -> None:
    with pytest.raises(ValueError, match=f"got order {order} with eta = {eta}"):
        transition_table(Schedule(), step_grid(1000, 5), eta, order)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_eta_out_of_range(eta: float) -> None:
    with pytest.raises(ValueError, match=f"eta from 0 to 1, got {eta}"):
        transition_table(Schedule(), step_grid(1000, 5), eta)
