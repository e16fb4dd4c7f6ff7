"""Reverse diffusion: from noise to a clean latent in a few evaluations of the denoiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from ldseg.diffusion.process import convert
from ldseg.diffusion.schedules import Schedule

Denoiser = Callable[[Any, Any], Any]
"""``(x_t (B, *L, c), t int32 (B,)) -> prediction (B, *L, c)``."""


def step_grid(timesteps: int, steps: int) -> np.ndarray:
    """The times a sampler visits: int32 ``(steps + 1,)``, strictly descending from ``timesteps`` to 0.

    ``steps`` steps are ``steps`` evaluations of the denoiser and as many updates; the last one ends on the clean latent.

    Raises:
        ValueError: unless ``1 <= steps <= timesteps``.
    """
    if not 1 <= steps <= timesteps:
        raise ValueError(f"expected 1 to {timesteps} sampling steps, got {steps}")
    return np.round(np.linspace(timesteps, 0, steps + 1)).astype(np.int32)


def transition_table(schedule: Schedule, grid: np.ndarray, eta: float, order: int = 1) -> dict[str, np.ndarray]:
    r"""The coefficients of every update on a grid of N steps, in float64.

    With :math:`\bar\alpha` at the step's time and :math:`\bar\alpha'` at the next (1 at the end), the update is

    .. math:: x' = \sqrt{\bar\alpha'} \hat x_0 + \sqrt{1 - \bar\alpha' - \sigma^2} \hat\epsilon + \sigma n, \quad
              \sigma = \eta \sqrt{\frac{1-\bar\alpha'}{1-\bar\alpha}} \sqrt{1 - \frac{\bar\alpha}{\bar\alpha'}}

    (Song et al. 2021, arXiv 2010.02502, eq. 12 and 16): DDIM at ``eta = 0``; at ``eta = 1`` the posterior of DDPM (Ho et
    al. 2020, eq. 6 and 7) on the strided grid. On the last step both noise terms vanish.

    DDIM is DPM-Solver++ of first order. The second, DPM-Solver++ (2M) (Lu et al., arXiv 2211.01095, algorithm 2), takes
    :math:`\hat x_0` as linear in half the log-SNR :math:`\lambda = \log \sqrt{\bar\alpha / (1 - \bar\alpha)}` through the
    estimates of this step and of the one before, :math:`\hat x_0^-`, which adds

    .. math:: \frac{h}{2 h^-} \Bigl(\sqrt{\bar\alpha'} - \sqrt{\bar\alpha} \sqrt{\frac{1-\bar\alpha'}{1-\bar\alpha}}\Bigr)
              (\hat x_0 - \hat x_0^-)

    with :math:`h = \lambda' - \lambda` and :math:`h^-` the same of the step before. The first step has none before it. On
    the last, :math:`\lambda'` and with it the extrapolation grow beyond all bounds, while the update of first order goes to
    :math:`\hat x_0`: that is what it ends on. So both steps are of first order.

    Args:
        schedule: the schedule the denoiser was trained with.
        grid: times ``(N + 1,)`` as ``step_grid`` makes them.
        eta: share of the posterior's noise, from 0 to 1.
        order: 1 or, without noise, 2.

    Returns:
        ``time`` int32, ``signal_rate``, ``noise_rate`` (at the step's time), ``to_x0``, ``to_eps``, ``to_noise``,
        ``to_change`` (the factors of the update, the last that of :math:`\hat x_0 - \hat x_0^-`), each ``(N,)``.

    Raises:
        ValueError: for an eta or an order out of range.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"expected eta from 0 to 1, got {eta}")
    if order not in (1, 2) or (order == 2 and eta > 0):
        raise ValueError(f"expected order 1, or 2 with eta = 0, got order {order} with eta = {eta}")
    now, after = schedule.alpha_bar[grid[:-1]], schedule.alpha_bar[grid[1:]]
    sigma = eta * np.sqrt((1 - after) / (1 - now)) * np.sqrt(1 - now / after)
    change = np.zeros(len(now))
    if order == 2:
        step = np.diff(np.log(now / (1 - now)) / 2)
        second = slice(1, len(now) - 1)
        gain = np.sqrt(after) - np.sqrt(now * (1 - after) / (1 - now))
        change[second] = gain[second] * step[1:] / (2 * step[:-1])
    return {
        "time": grid[:-1].astype(np.int32),
        "signal_rate": np.sqrt(now),
        "noise_rate": np.sqrt(1 - now),
        "to_x0": np.sqrt(after),
        "to_eps": np.sqrt(np.maximum(1 - after - sigma**2, 0)),
        "to_noise": sigma,
        "to_change": change,
    }


def standardize(x: Any) -> Any:
    """Zero mean and unit variance over everything but the batch: a latent held in range, each case by itself."""
    axes = list(range(1, len(x.shape)))
    mean = ops.mean(x, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=axes, keepdims=True)
    return (x - mean) * ops.rsqrt(variance + 1e-6)


def bound(x: Any) -> Any:
    """Values from -1 to 1, where a mask lies."""
    return ops.clip(x, -1.0, 1.0)


def sample(
    denoise: Denoiser,
    x: Any,
    *,
    schedule: Schedule,
    prediction: str,
    steps: int,
    eta: float = 0.0,
    order: int = 1,
    step_noise: Any = None,
    hold: Callable[[Any], Any] | None = None,
    last: int | None = None,
    keep: Sequence[int] | None = None,
) -> Any:
    """Run the reverse process as one loop that the backend compiles.

    Args:
        denoise: the trained denoiser with its condition bound in, see ``Denoiser``.
        x: standard normal noise to start from ``(B, *L, c)``.
        schedule: the schedule of the training.
        prediction: what the denoiser predicts, one of ``PREDICTIONS``.
        steps: N, the number of evaluations from pure noise to the clean latent.
        eta: 0 is DDIM, 1 is DDPM.
        order: 1, or 2 for DPM-Solver++ (2M), with ``eta`` 0. Both evaluate the denoiser N times.
        step_noise: standard normal ``(B, N, *L, c)``, or a function of a step's index to its noise ``(B, *L, c)``, such as
            ``ldseg.diffusion.random.normal`` of a key, which takes no memory for each step; needed when ``eta > 0``. A
            case's noise is its own, so that what is sampled does not depend on the other cases of the batch.
        hold: keeps the estimate of the clean latent in range, each case by itself. The noise is left as predicted.
        last: run only the first so many of the N steps.
        keep: return these states, 0 the noise and N the clean latent, in place of the last alone.

    Returns:
        the state after the last step ``(B, *L, c)``, the clean latent unless ``last`` says otherwise; or the states to
        ``keep``, ``(K, B, *L, c)``.

    Raises:
        ValueError: if noise is needed and was not given.
    """
    if eta > 0 and step_noise is None:
        raise ValueError(f"expected step_noise for eta = {eta}, got none")
    table = {
        name: ops.convert_to_tensor(values, dtype="int32" if name == "time" else "float32")
        for name, values in transition_table(schedule, step_grid(schedule.timesteps, steps), eta, order).items()
    }
    cases = ops.shape(x)[:1]
    noise_of = step_noise if callable(step_noise) else lambda index: ops.take(step_noise, index, axis=1)
    kept = ops.convert_to_tensor(np.asarray(keep or (), np.int32))

    def record(index: Any, state: Any, states: Any) -> Any:
        # Each state is added to zeros in a place of its own: a loop, where unrolled steps take minutes to trace.
        return states + ops.reshape(ops.cast(ops.equal(kept, index), "float32"), (-1, *[1] * len(x.shape))) * state

    def step(index: Any, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        state, *more = carried
        at = {name: ops.take(values, index) for name, values in table.items()}
        predicted = ops.cast(denoise(state, ops.broadcast_to(at["time"], cases)), "float32")
        x0, eps = convert(prediction, predicted, state, at["signal_rate"], at["noise_rate"])
        if hold is not None:
            x0 = hold(x0)
        state = at["to_x0"] * x0 + at["to_eps"] * eps
        if order == 2:
            state = state + at["to_change"] * (x0 - more[0])
            more[0] = x0
        if eta > 0:
            state = state + at["to_noise"] * noise_of(index)
        if keep is not None:
            more[-1] = record(index + 1, state, more[-1])
        return (state, *more)

    x = ops.convert_to_tensor(x, dtype="float32")
    start = [x]
    if order == 2:
        start.append(ops.zeros_like(x))
    if keep is not None:
        start.append(record(0, x, ops.zeros((len(keep), *[1] * len(x.shape)))))
    return ops.fori_loop(0, steps if last is None else last, step, tuple(start))[0 if keep is None else -1]
