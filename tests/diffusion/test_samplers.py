from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from helpers import as_numpy, posterior
from keras import ops

from ldseg.diffusion import (
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    Schedule,
    compiled,
    corrupt,
    ddim,
    target,
)
from ldseg.diffusion.compiled import standardize

pytestmark = pytest.mark.core


def sample(*given: Any, eta: float = 0.0, order: int = 1, **options: Any) -> Any:
    return compiled.sample(*given, sampler=SAMPLERS["DPM-Solver++"] if order == 2 else ddim(eta), **options)


# The sampler against one written on its own, in float64


def alpha_bar_of(name: str, timesteps: int, beta_0: float, beta_t: float) -> list[float]:
    """The schedule once more, step by step."""
    if name == "cosine":
        left = [np.cos((t / timesteps + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
                for t in range(timesteps)]  # fmt: skip
        return [*left, left[-1] * 0.001]
    values = [1.0]
    for t in range(timesteps):
        share = t / (timesteps - 1)
        if name == "linear":
            beta = beta_0 + (beta_t - beta_0) * share
        else:
            beta = (beta_0**0.5 + (beta_t**0.5 - beta_0**0.5) * share) ** 2
        values.append(values[-1] * (1 - beta))
    return values


def numpy_sampler(
    denoise: Callable[[np.ndarray, int], np.ndarray],
    x: np.ndarray,
    alpha_bar: list[float],
    grid: list[int],
    prediction: str,
    noise: np.ndarray | None,
    held: bool,
) -> np.ndarray:
    """DDIM without noise, else DDPM: by the mean of its posterior, unless a latent that is held sets x0 and eps apart."""
    for index, (now, after) in enumerate(zip(grid[:-1], grid[1:])):
        a, b = alpha_bar[now], alpha_bar[after]
        said = denoise(x, now)
        if prediction == "x0":
            x0 = said
        elif prediction == "v":
            x0 = a**0.5 * x - (1 - a) ** 0.5 * said
        else:
            x0 = (x - (1 - a) ** 0.5 * said) / a**0.5
        eps = (x - a**0.5 * x0) / (1 - a) ** 0.5
        if held:
            for case in x0:
                case -= case.mean()
                case /= np.sqrt(case.var() + 1e-6)
        if noise is None:
            x = b**0.5 * x0 + (1 - b) ** 0.5 * eps
            continue
        of_x0, of_state, variance = posterior(alpha_bar, now, after)
        towards_eps = max(1 - b - variance, 0) ** 0.5
        mean = b**0.5 * x0 + towards_eps * eps if held else of_x0 * x0 + of_state * x
        x = mean + variance**0.5 * noise[:, index]
    return x


def guess(lib: Any, x: Any, share: Any) -> Any:
    """Something like a network: not linear, of neighbouring positions and channels, and of the time's share of T."""
    return 0.7 * lib.tanh(lib.roll(x, 1, 1) * (1.5 - share) - 0.5 * lib.roll(x, 1, -1) + share) + 0.1


def denoiser(timesteps: int) -> Callable[[Any, Any], Any]:
    def denoise(x: Any, time: Any) -> Any:
        share = ops.cast(time, "float32") / timesteps
        return guess(ops, x, ops.reshape(share, (-1, *[1] * (len(x.shape) - 1))))

    return denoise


def draws(shape: tuple[int, ...], steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The state to start from, and the noise of each step."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(shape[0], 1 + steps, *shape[1:])).astype("float32")
    return noise[:, 0], noise[:, 1:]


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_sampler_is_one_written_on_its_own(prediction: str, name: str, eta: float) -> None:
    timesteps, steps, betas = 100, 6, (0.001, 0.08)
    alpha_bar = alpha_bar_of(name, timesteps, *betas)
    grid = [100, 83, 67, 50, 33, 17, 0]
    x, noise = draws((2, 5, 4, 2), steps)
    # Near pure noise the clean latent of noise is the difference of two numbers nearly the same, times thousands.
    held = prediction in ("eps", "ldseg") and name == "cosine"
    found = sample(
        denoiser(timesteps),
        x,
        schedule=Schedule(name=name, timesteps=timesteps, beta_0=betas[0], beta_t=betas[1]),
        prediction=prediction,
        steps=steps,
        eta=eta,
        step_noise=noise if eta else None,
        hold=standardize if held else None,
    )
    expected = numpy_sampler(
        lambda state, now: guess(np, state, now / timesteps),
        x.astype("float64"),
        alpha_bar,
        grid,
        prediction,
        noise.astype("float64") if eta else None,
        held,
    )
    np.testing.assert_allclose(as_numpy(found), expected, atol=2e-4 * np.abs(expected).max())


def dpm_solver(
    denoise: Callable[[np.ndarray, int], np.ndarray], x: np.ndarray, alpha_bar: list[float], grid: list[int], prediction: str
) -> np.ndarray:
    """Algorithm 2 of Lu et al. 2022 (arXiv 2211.01095) as it stands there, the last step, to t = 0, of first order."""
    alpha, sigma = np.sqrt(alpha_bar), np.sqrt(1 - np.asarray(alpha_bar))
    with np.errstate(divide="ignore"):
        lam = np.log(alpha) - np.log(sigma)
    h, buffer = [], []
    for i in range(1, len(grid)):
        s, t = grid[i - 1], grid[i]
        said = denoise(x, s)
        buffer.append(
            {
                "x0": said,
                "v": alpha[s] * x - sigma[s] * said,
                "eps": (x - sigma[s] * said) / alpha[s],
                "ldseg": (x - sigma[s] * said) / alpha[s],
            }[prediction]
        )
        h.append(lam[t] - lam[s])
        d = buffer[-1]
        if 1 < i < len(grid) - 1:
            r = h[-2] / h[-1]
            d = (1 + 1 / (2 * r)) * buffer[-1] - 1 / (2 * r) * buffer[-2]
        x = sigma[t] / sigma[s] * x - alpha[t] * (np.exp(-h[-1]) - 1) * d
    return x


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_second_order_is_dpm_solver_as_published(prediction: str, name: str) -> None:
    timesteps, steps, betas = 100, 6, (0.001, 0.08)
    x, _ = draws((2, 5, 4, 2), steps)
    schedule = Schedule(name=name, timesteps=timesteps, beta_0=betas[0], beta_t=betas[1])
    found = sample(denoiser(timesteps), x, schedule=schedule, prediction=prediction, steps=steps, order=2)
    alpha_bar = alpha_bar_of(name, timesteps, *betas)
    expected = dpm_solver(
        lambda state, now: guess(np, state, now / timesteps),
        x.astype("float64"),
        alpha_bar,
        [100, 83, 67, 50, 33, 17, 0],
        prediction,
    )
    np.testing.assert_allclose(as_numpy(found), expected, atol=2e-4 * np.abs(expected).max())


def test_one_step_is_the_networks_first_word() -> None:
    x, _ = draws((3, 4, 1), 1)
    schedule = Schedule()
    found = sample(denoiser(1000), x, schedule=schedule, prediction="x0", steps=1)
    np.testing.assert_allclose(as_numpy(found), guess(np, x, 1.0), atol=1e-6)

    def tell(x: Any, time: Any) -> Any:
        return x * 0 + ops.cast(time[:, None, None], "float32")

    # The denoiser is told the last time, one for each case.
    told = sample(tell, x, schedule=schedule, prediction="x0", steps=1)
    np.testing.assert_array_equal(as_numpy(told), np.full(x.shape, 1000))


@pytest.mark.parametrize(("eta", "order"), [(0.0, 1), (1.0, 1), (0.0, 2)])
def test_states_that_are_kept(eta: float, order: int) -> None:
    x, noise = draws((2, 6, 3), 5)
    options: dict[str, Any] = {
        "schedule": Schedule(name="linear"), "prediction": "v", "steps": 5, "eta": eta, "order": order, "step_noise": noise,
    }  # fmt: skip
    states = [x, *(as_numpy(sample(denoiser(1000), x, last=last, **options)) for last in range(1, 6))]
    np.testing.assert_array_equal(states[-1], as_numpy(sample(denoiser(1000), x, **options)))
    for keep in (range(6), (0, 3, 5), ()):
        found = as_numpy(sample(denoiser(1000), x, keep=keep, **options))
        assert found.shape[0] == len(keep)
        for state, index in zip(found, keep):
            np.testing.assert_allclose(state, states[index], atol=1e-6)
    assert np.abs(states[2] - states[5]).max() > 0.1


def test_noise_by_a_function_of_the_step() -> None:
    x, noise = draws((2, 6, 3), 5)
    options: dict[str, Any] = {"schedule": Schedule(), "prediction": "v", "steps": 5, "eta": 1.0}
    given = ops.convert_to_tensor(noise)
    found = sample(denoiser(1000), x, step_noise=lambda index: ops.take(given, index, axis=1), **options)
    np.testing.assert_array_equal(as_numpy(found), as_numpy(sample(denoiser(1000), x, step_noise=noise, **options)))


@pytest.mark.parametrize("prediction", ["eps", "x0"])
def test_a_case_is_sampled_as_if_alone(prediction: str) -> None:
    x, noise = draws((3, 6, 5, 2), 4)
    x = x * np.reshape([1, 20, 0.1], (3, 1, 1, 1)).astype("float32") + np.float32(3) * x[:, :1, :1]

    def run(rows: Any) -> np.ndarray:
        return as_numpy(
            sample(
                denoiser(1000),
                x[rows],
                schedule=Schedule(),
                prediction=prediction,
                steps=4,
                eta=1.0,
                step_noise=noise[rows],
                hold=standardize,
            )
        )

    together = run([0, 1, 2])
    for case in range(3):
        np.testing.assert_allclose(run([case])[0], together[case], atol=2e-5)
    np.testing.assert_allclose(run([2, 0, 1]), together[[2, 0, 1]], atol=2e-5)
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_held_by_itself() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 6, 5, 2)) * [[[[2.0, 5.0]]]] + np.reshape([0, 7, -300], (3, 1, 1, 1))
    held = as_numpy(standardize(ops.convert_to_tensor(x.astype("float32"))))
    np.testing.assert_allclose(held.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(held.std((1, 2, 3)), 1, atol=1e-5)
    # The channels share one scale: what they are to each other stays.
    assert (held[..., 1].std((1, 2)) > 1.5 * held[..., 0].std((1, 2))).all()
    np.testing.assert_array_equal(as_numpy(standardize(ops.full((2, 4, 1), 3.0))), np.zeros((2, 4, 1)))


class Sampling(keras.Model):
    """The loop inside a call that the backend compiles, the batch not known beforehand."""

    def __init__(self, denoise: Callable[[Any, Any], Any], **options: Any) -> None:
        super().__init__()
        self.denoise = denoise
        self.options = options
        self.built = True
        self.compile(jit_compile=keras.backend.backend() == "jax")

    def call(self, inputs: dict[str, Any]) -> Any:
        return sample(self.denoise, inputs["x"], step_noise=inputs["noise"], **self.options)


def test_compiled_with_any_batch() -> None:
    options: dict[str, Any] = {"schedule": Schedule(), "prediction": "v", "steps": 4, "eta": 1.0}
    model = Sampling(denoiser(1000), **options)
    for batch in (2, 3):
        x, noise = draws((batch, 5, 2), 4)
        expected = sample(denoiser(1000), x, step_noise=noise, **options)
        found = model.predict({"x": x, "noise": noise}, batch_size=batch, verbose=0)
        np.testing.assert_allclose(found, as_numpy(expected), atol=1e-5)


def test_noise_that_is_missing() -> None:
    with pytest.raises(ValueError, match="step_noise for the sampler DDIM .eta 0.5., got none"):
        sample(denoiser(1000), np.zeros((1, 2, 1)), schedule=Schedule(), prediction="x0", steps=3, eta=0.5)


# The denoiser of a Gaussian, which is known

EVERY_SCHEDULE = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "cosine" else pytest.mark.once) for name in SCHEDULES]
)

MEAN, STD = 0.7, 0.4


def gaussian_denoiser(schedule: Schedule, prediction: str) -> Callable[[Any, Any], Any]:
    """The best prediction there is for data N(MEAN, STD^2): E[x0 | x_t], and what it implies."""
    signal, noise = (ops.convert_to_tensor(r.astype("float32")) for r in (schedule.signal_rate, schedule.noise_rate))

    def denoise(x: Any, time: Any) -> Any:
        a, b = (ops.reshape(ops.take(rate, time), (-1, 1, 1)) for rate in (signal, noise))
        excess = (x - a * MEAN) / (a**2 * STD**2 + b**2)
        x0, eps = MEAN + a * STD**2 * excess, b * excess
        return target(prediction, x0, eps, a, b)

    return denoise


def landed(schedule: Schedule, prediction: str, steps: int, eta: float, order: int = 1) -> tuple[float, float]:
    """Mean and variance of what is sampled, exactly.

    Every update is affine in the state and the noise, so one batch reads off all factors: a case of zeros, one that
    starts from 1, and one for a 1 in the noise of each step. All that is drawn is standard normal: squares add up.
    """
    x = np.zeros((steps + 2, 1, 1), "float32")
    noise = np.zeros((steps + 2, steps, 1, 1), "float32")
    x[1] = 1
    noise[np.arange(steps) + 2, np.arange(steps)] = 1
    model = Sampling(
        gaussian_denoiser(schedule, prediction),
        schedule=schedule,
        prediction=prediction,
        steps=steps,
        eta=eta,
        order=order,
    )
    out = model.predict_on_batch({"x": x, "noise": noise})[:, 0, 0].astype("float64")
    return float(out[0]), float(np.sum((out[1:] - out[0]) ** 2))


@pytest.mark.parametrize("eta", [0.0, 1.0])
@EVERY_SCHEDULE
@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_a_gaussian_is_sampled_right(prediction: str, name: str, eta: float) -> None:
    schedule = Schedule(name=name)
    (_, coarse), (mean, fine) = (landed(schedule, prediction, steps, eta) for steps in (100, 200))
    # DDIM keeps what little the start, drawn around 0, lacks of the signal that this schedule leaves.
    a, b = schedule.signal_rate[-1], schedule.noise_rate[-1]
    lacking = 0 if eta else STD * a * MEAN / np.hypot(a * STD, b)
    assert mean == pytest.approx(MEAN - lacking, abs=0.0005)
    assert fine == pytest.approx(STD**2, rel=0.09)
    # The error of the variance is of first order in the step: this takes it out.
    assert 2 * fine - coarse == pytest.approx(STD**2, rel=0.02)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_more_steps_land_nearer(eta: float) -> None:
    schedule = Schedule(name="cosine")
    errors = [abs(landed(schedule, "x0", steps, eta)[1] - STD**2) for steps in (10, 40, 160)]
    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 2


def test_ddim_is_the_affine_map_of_a_gaussian() -> None:
    """The probability-flow map x_T -> MEAN + STD (x_T - a MEAN) / sqrt(a^2 STD^2 + b^2) (Song et al. 2021, section 4.3)."""
    schedule = Schedule(name="linear")
    a, b = schedule.signal_rate[-1], schedule.noise_rate[-1]
    start = np.linspace(-3, 3, 7, dtype="float32").reshape(1, 7, 1)
    model = Sampling(gaussian_denoiser(schedule, "eps"), schedule=schedule, prediction="eps", steps=500)
    out = model.predict_on_batch({"x": start, "noise": np.zeros((1, 1), "float32")})
    exact = MEAN + STD * (start - a * MEAN) / np.sqrt(a**2 * STD**2 + b**2)
    np.testing.assert_allclose(out, exact, atol=0.01)


@EVERY_SCHEDULE
def test_the_second_order_samples_a_gaussian_in_few_steps(name: str) -> None:
    schedule = Schedule(name=name)
    errors = {
        (order, steps): abs(landed(schedule, "x0", steps, 0.0, order)[1] - STD**2) / STD**2
        for order, steps in ((1, 40), (1, 200), (2, 40))
    }
    assert errors[2, 40] < 0.02
    assert errors[2, 40] < errors[1, 40] / 5
    assert errors[2, 40] < errors[1, 200]


@EVERY_SCHEDULE
@pytest.mark.parametrize(("order", "falls"), [(1, (1.9, 2.1)), (2, (3.4, 4.8))])
def test_half_the_step_and_the_error_falls_by_the_order(order: int, falls: tuple[float, float], name: str) -> None:
    """Against the exact flow of a Gaussian, to t = 200: half the error for the first order, a quarter for the second.

    Near t = 0 the log-SNR is not smooth on a grid even in t, and the last step is of first order for both.
    """
    schedule, time = Schedule(name=name), 200
    (a, b), (a_end, b_end) = ((schedule.signal_rate[t], schedule.noise_rate[t]) for t in (1000, time))
    start = np.linspace(-3, 3, 7, dtype="float32").reshape(1, 7, 1)
    exact = a_end * MEAN + np.hypot(a_end * STD, b_end) * (start - a * MEAN) / np.hypot(a * STD, b)
    errors = []
    for steps in (20, 40, 80):
        model = Sampling(
            gaussian_denoiser(schedule, "x0"), schedule=schedule, prediction="x0", steps=steps, order=order,
            last=steps * (1000 - time) // 1000,
        )  # fmt: skip
        out = model.predict_on_batch({"x": start, "noise": np.zeros((1, 1), "float32")})
        errors.append(np.abs(out - exact).max())
    for coarse, fine in zip(errors[:-1], errors[1:]):
        assert falls[0] < coarse / fine < falls[1]


def test_ddpm_drawn_from_lands_on_the_moments() -> None:
    """What ``landed`` works out, drawn: 40,000 samples, four standard errors."""
    schedule, steps, count = Schedule(name="cosine"), 40, 40_000
    x, noise = draws((1, count, 1), steps, seed=5)
    out = sample(
        gaussian_denoiser(schedule, "x0"), x, schedule=schedule, prediction="x0", steps=steps, eta=1.0, step_noise=noise
    )
    mean, variance = landed(schedule, "x0", steps, 1.0)
    values = as_numpy(out).astype("float64")
    assert abs(values.mean() - mean) < 4 * np.sqrt(variance / count)
    assert abs(values.var() - variance) < 4 * variance * np.sqrt(2 / count)


def test_a_known_clean_latent_is_found_again() -> None:
    """A denoiser that knows x0 leads any noise to it, and through the states that the forward process would make."""
    schedule = Schedule(name="quadratic")
    x0, eps = np.random.default_rng(0).normal(size=(2, 1, 5, 1)).astype("float32")
    start = corrupt(x0, eps, schedule.signal_rate[1000], schedule.noise_rate[1000]).astype("float32")
    options: dict[str, Any] = {"schedule": schedule, "prediction": "x0", "steps": 10}
    for last, time in ((4, 600), (9, 100), (10, 0)):
        state = sample(lambda x, t: ops.convert_to_tensor(x0), start, last=last, **options)
        there = corrupt(x0, eps, schedule.signal_rate[time], schedule.noise_rate[time])
        np.testing.assert_allclose(as_numpy(state), there, atol=1e-5)
