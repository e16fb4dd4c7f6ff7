"""Reverse diffusion: from noise to a clean latent in a few evaluations of the denoiser."""

from __future__ import annotations

from collections.abc import Callable
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


def transition_table(schedule: Schedule, grid: np.ndarray, eta: float) -> dict[str, np.ndarray]:
    r"""The coefficients of every update on a grid of N steps, in float64.

    With :math:`\bar\alpha` at the step's time and :math:`\bar\alpha'` at the next (1 at the end), the update is

    .. math:: x' = \sqrt{\bar\alpha'} \hat x_0 + \sqrt{1 - \bar\alpha' - \sigma^2} \hat\epsilon + \sigma n, \quad
              \sigma = \eta \sqrt{\frac{1-\bar\alpha'}{1-\bar\alpha}} \sqrt{1 - \frac{\bar\alpha}{\bar\alpha'}}

    (Song et al. 2021, arXiv 2010.02502, eq. 12 and 16): DDIM at ``eta = 0``; at ``eta = 1`` the posterior of DDPM (Ho et
    al. 2020, eq. 6 and 7) on the strided grid. On the last step both noise terms vanish.

    Args:
        schedule: the schedule the denoiser was trained with.
        grid: times ``(N + 1,)`` as ``step_grid`` makes them.
        eta: share of the posterior's noise, from 0 to 1.

    Returns:
        ``time`` int32, ``signal_rate``, ``noise_rate`` (at the step's time), ``to_x0``, ``to_eps``, ``to_noise`` (the three
        factors of the update), each ``(N,)``.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"expected eta from 0 to 1, got {eta}")
    now, after = schedule.alpha_bar[grid[:-1]], schedule.alpha_bar[grid[1:]]
    sigma = eta * np.sqrt((1 - after) / (1 - now)) * np.sqrt(1 - now / after)
    return {
        "time": grid[:-1].astype(np.int32),
        "signal_rate": np.sqrt(now),
        "noise_rate": np.sqrt(1 - now),
        "to_x0": np.sqrt(after),
        "to_eps": np.sqrt(np.maximum(1 - after - sigma**2, 0)),
        "to_noise": sigma,
    }


def standardize(x: Any) -> Any:
    """Zero mean and unit variance over everything but the batch: a latent held in range, each case by itself."""
    axes = list(range(1, len(x.shape)))
    mean = ops.mean(x, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=axes, keepdims=True)
    return (x - mean) * ops.rsqrt(variance + 1e-6)


def sample(
    denoise: Denoiser,
    x: Any,
    *,
    schedule: Schedule,
    prediction: str,
    steps: int,
    eta: float = 0.0,
    step_noise: Any = None,
    hold: Callable[[Any], Any] | None = None,
    first: int = 0,
    last: int | None = None,
) -> Any:
    """Run the reverse process as one loop that the backend compiles.

    Args:
        denoise: the trained denoiser with its condition bound in, see ``Denoiser``.
        x: the state to start from ``(B, *L, c)``: standard normal noise when ``first`` is 0.
        schedule: the schedule of the training.
        prediction: what the denoiser predicts, one of ``PREDICTIONS``.
        steps: N, the number of evaluations from pure noise to the clean latent.
        eta: 0 is DDIM, 1 is DDPM.
        step_noise: standard normal ``(B, N, *L, c)``, needed when ``eta > 0``; a case's noise is its own, so that what
            is sampled does not depend on the other cases of the batch.
        hold: keeps the estimate of the clean latent in range, each case by itself. The noise is left as predicted.
        first, last: run only the steps ``first <= i < last`` of the N (all by default), to look at the states between.

    Returns:
        the state after the last step ``(B, *L, c)``; the clean latent when ``last`` is N.

    Raises:
        ValueError: if noise is needed and was not given.
    """
    if eta > 0 and step_noise is None:
        raise ValueError(f"expected step_noise for eta = {eta}, got none")
    last = steps if last is None else last
    table = {
        name: ops.convert_to_tensor(values, dtype="int32" if name == "time" else "float32")
        for name, values in transition_table(schedule, step_grid(schedule.timesteps, steps), eta).items()
    }
    cases = ops.shape(x)[:1]

    def step(index: Any, state: Any) -> Any:
        at = {name: ops.take(values, index) for name, values in table.items()}
        predicted = ops.cast(denoise(state, ops.broadcast_to(at["time"], cases)), "float32")
        x0, eps = convert(prediction, predicted, state, at["signal_rate"], at["noise_rate"])
        if hold is not None:
            x0 = hold(x0)
        state = at["to_x0"] * x0 + at["to_eps"] * eps
        if eta > 0:
            state = state + at["to_noise"] * ops.take(step_noise, index, axis=1)
        return state

    return ops.fori_loop(first, last, step, x)
