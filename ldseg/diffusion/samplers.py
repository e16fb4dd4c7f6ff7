"""Samplers: the steps of the reverse diffusion, as a table of coefficients. ``compiled`` and ``plain`` run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ldseg.diffusion.schedules import Schedule

Coefficients = Mapping[str, np.ndarray]
"""What ``transition_table`` gives."""


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


@dataclass(frozen=True, kw_only=True)
class Sampler:
    r"""How a step goes on from the estimate of the clean latent.

    Every update is of the form :math:`x' = a \hat x_0 + b \hat\epsilon + c n + d (\hat x_0 - \hat x_0^-)`. To add a sampler,
    give the factors of its steps and enter it in ``SAMPLERS``, or hand the object to whoever takes a sampler's name.

    Attributes:
        name: what settings and reports call it.
        coefficients: the factors on a grid of times, in the form of ``transition_table``.
        noisy: whether a step draws noise (c is not 0).
        second_order: whether a step uses the estimate of the step before (d is not 0).
    """

    name: str
    coefficients: Callable[[Schedule, np.ndarray], Coefficients]
    noisy: bool = False
    second_order: bool = False

    def table(self, schedule: Schedule, steps: int) -> Coefficients:
        """The coefficients of so many steps."""
        return self.coefficients(schedule, step_grid(schedule.timesteps, steps))


def ddim(eta: float = 0.0) -> Sampler:
    """DDIM with a share of the posterior's noise, see ``transition_table``.

    Raises:
        ValueError: for a share that is not from 0 to 1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"expected eta from 0 to 1, got {eta}")
    name = {0.0: "DDIM", 1.0: "DDPM"}.get(eta, f"DDIM (eta {eta:g})")
    return Sampler(name=name, coefficients=partial(transition_table, eta=eta), noisy=eta > 0)


DDIM = ddim()

SAMPLERS: dict[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        DDIM,
        ddim(1.0),
        Sampler(name="DPM-Solver++", coefficients=partial(transition_table, eta=0.0, order=2), second_order=True),
    )
}
"""Every sampler by its name, as [Sampler] Sampler knows it."""


def sampler_of(sampler: str | Sampler) -> Sampler:
    """The sampler of a name, or the one that was given.

    Raises:
        ValueError: for an unknown name.
    """
    if isinstance(sampler, Sampler):
        return sampler
    if sampler not in SAMPLERS:
        raise ValueError(f"expected a sampler of {sorted(SAMPLERS)}, got {sampler!r}")
    return SAMPLERS[sampler]
