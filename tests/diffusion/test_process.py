from typing import Any

import numpy as np
import pytest
from helpers import as_numpy
from keras import ops

from ldseg.diffusion import PREDICTIONS, SCHEDULES, Schedule, convert, corrupt, decodable, target

pytestmark = pytest.mark.core

DRAWS = 20_000
T = 1000


def rates(schedule: Schedule, t: Any) -> tuple[Any, Any]:
    return schedule.signal_rate[t], schedule.noise_rate[t]


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_draw_has_the_moments_of_many_small_steps(name: str) -> None:
    schedule = Schedule(name=name, timesteps=40, beta_0=0.002, beta_t=0.2)
    rng = np.random.default_rng(0)
    start = 1.5
    chain = np.full(DRAWS, start)
    for t in range(1, 41):
        beta = schedule.beta[t - 1]
        chain = np.sqrt(1 - beta) * chain + np.sqrt(beta) * rng.normal(size=DRAWS)
        if t not in (1, 13, 27, 40):
            continue
        drawn = corrupt(start, rng.normal(size=DRAWS), *rates(schedule, t))
        mean, variance = start * np.sqrt(schedule.alpha_bar[t]), 1 - schedule.alpha_bar[t]
        for values in (chain, drawn):
            # Four standard errors of the mean and of the variance of as many normal draws.
            assert abs(values.mean() - mean) < 4 * np.sqrt(variance / DRAWS)
            assert abs(values.var() - variance) < 4 * variance * np.sqrt(2 / DRAWS)


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_step_kernels_multiply_to_the_marginal(name: str) -> None:
    """Mean factor and variance, carried through the one-step kernels exactly."""
    schedule = Schedule(name=name, timesteps=300)
    factor, variance = 1.0, 0.0
    for t in range(1, 301):
        beta = schedule.beta[t - 1]
        factor, variance = factor * np.sqrt(1 - beta), variance * (1 - beta) + beta
        assert corrupt(1.0, 0.0, *rates(schedule, t)) == pytest.approx(factor, rel=1e-10)
        assert corrupt(0.0, 1.0, *rates(schedule, t)) ** 2 == pytest.approx(variance, rel=1e-10)


def test_targets_by_hand() -> None:
    given = {"x0": 2.0, "noise": -1.0, "signal_rate": 0.8, "noise_rate": 0.6}
    assert target("x0", **given) == 2
    assert target("eps", **given) == target("ldseg", **given) == -1
    assert target("v", **given) == pytest.approx(0.8 * -1 - 0.6 * 2)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_convert_inverts_target_at_every_time(prediction: str, name: str) -> None:
    schedule, rng = Schedule(name=name, timesteps=T), np.random.default_rng(0)
    x0, noise = rng.normal(size=(2, T, 5))
    signal, noisy = (rate[1:, None] for rate in (schedule.signal_rate, schedule.noise_rate))
    x_t = corrupt(x0, noise, signal, noisy)
    found = convert(prediction, target(prediction, x0, noise, signal, noisy), x_t, signal, noisy)
    np.testing.assert_allclose(found[0], x0, atol=1e-9)
    np.testing.assert_allclose(found[1], noise, atol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_what_any_prediction_implies_lies_under_the_state(prediction: str, name: str) -> None:
    schedule, rng = Schedule(name=name, timesteps=T), np.random.default_rng(1)
    predicted, x_t = rng.normal(size=(2, T, 5))
    signal, noisy = (rate[1:, None] for rate in (schedule.signal_rate, schedule.noise_rate))
    x0, eps = convert(prediction, predicted, x_t, signal, noisy)
    np.testing.assert_allclose(corrupt(x0, eps, signal, noisy), x_t, atol=1e-9)
    implied = {"x0": x0, "eps": eps, "ldseg": eps, "v": signal * eps - noisy * x0}[prediction]
    np.testing.assert_allclose(implied, predicted, atol=1e-9)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_tensors_of_the_backend(prediction: str) -> None:
    schedule, rng = Schedule(name="linear"), np.random.default_rng(2)
    x0, noise = rng.normal(size=(2, 3, 4, 5, 2)).astype("float32")
    signal, noisy = (
        ops.convert_to_tensor(rate.astype("float32").reshape(3, 1, 1, 1)) for rate in rates(schedule, [1, 400, 900])
    )
    clean, drawn = ops.convert_to_tensor(x0), ops.convert_to_tensor(noise)
    x_t = corrupt(clean, drawn, signal, noisy)
    found = convert(prediction, target(prediction, clean, drawn, signal, noisy), x_t, signal, noisy)
    np.testing.assert_allclose(as_numpy(found[0]), x0, atol=1e-4)
    np.testing.assert_allclose(as_numpy(found[1]), noise, atol=1e-4)


@pytest.mark.parametrize("t", [1, 500, T])
def test_what_is_decoded(t: int) -> None:
    schedule, rng = Schedule(name="cosine", timesteps=T), np.random.default_rng(3)
    predicted, x_t = rng.normal(size=(2, 7))
    for prediction in ("eps", "x0", "v"):
        np.testing.assert_array_equal(
            decodable(prediction, predicted, x_t, *rates(schedule, t)),
            convert(prediction, predicted, x_t, *rates(schedule, t))[0],
        )
    np.testing.assert_array_equal(decodable("ldseg", predicted, x_t, *rates(schedule, t)), x_t - predicted)


@pytest.mark.parametrize("function", [target, convert, decodable])
def test_an_unknown_prediction(function: Any) -> None:
    with pytest.raises(ValueError, match="'score'"):
        function("score", 1.0, 1.0, 0.8, 0.6)
