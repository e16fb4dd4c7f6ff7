"""Noise schedules: how much signal is left after t steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

# Nichol & Dhariwal 2021 keep every beta below this, so that the last step does not divide by a signal rate of zero.
MAX_BETA = 0.999

# Below this, what noise implies of the clean latent overflows in float32, or its square does.
MIN_ALPHA_BAR = 1e-30


def _linear(steps: int, beta_0: float, beta_t: float) -> np.ndarray:
    return np.linspace(beta_0, beta_t, steps)


def _quadratic(steps: int, beta_0: float, beta_t: float) -> np.ndarray:
    return np.linspace(np.sqrt(beta_0), np.sqrt(beta_t), steps) ** 2


def _cosine(steps: int, beta_0: float, beta_t: float) -> np.ndarray:
    angle = (np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2
    left = np.cos(angle) ** 2
    return np.minimum(1 - left[1:] / left[:-1], MAX_BETA)


MOST_TIMESTEPS = 100_000
"""Steps that a schedule may have."""

SCHEDULES: dict[str, Callable[[int, float, float], np.ndarray]] = {
    "linear": _linear,
    "quadratic": _quadratic,
    "cosine": _cosine,
}
"""By name, as [NoiseScheduler] Scheduler knows it: the betas ``(T,)`` of so many steps, given the first and the last."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    r"""A variance-preserving noise schedule, the one table behind both training and sampling.

    The forward process is :math:`q(x_t | x_0) = N(\sqrt{\bar\alpha_t} x_0, (1 - \bar\alpha_t) I)` with
    :math:`\bar\alpha_t = \prod_{s \le t} (1 - \beta_s)` (Ho et al. 2020, arXiv 2006.11239, eq. 4). Index 0 is clean:
    :math:`\bar\alpha_0 = 1`; training draws :math:`t` from 1 to ``timesteps``.

    ``linear``: :math:`\beta` linear in t (Ho et al. 2020). ``quadratic``: :math:`\sqrt\beta` linear in t (Song et al.
    2021, arXiv 2010.02502). ``cosine``: :math:`\bar\alpha_t = f(t) / f(0)`,
    :math:`f(t) = \cos^2(\frac{t/T + 0.008}{1.008} \frac{\pi}{2})`, with :math:`\beta_t \le 0.999` (Nichol & Dhariwal
    2021, arXiv 2102.09672, eq. 17), whatever the two betas are.

    Attributes:
        name: one of ``SCHEDULES``.
        timesteps: T, from 1 to ``MOST_TIMESTEPS``.
        beta_0: beta of the first step, in (0, 1).
        beta_t: beta of the last step, in [beta_0, 1).

    Raises:
        ValueError: for a name or a number out of these ranges, or if hardly any signal is left after the last step.
    """

    name: str = "cosine"
    timesteps: int = 1000
    beta_0: float = 1e-4
    beta_t: float = 0.02

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise ValueError(f"expected a schedule of {tuple(SCHEDULES)}, got {self.name!r}")
        if not 1 <= self.timesteps <= MOST_TIMESTEPS:
            raise ValueError(f"expected from 1 to {MOST_TIMESTEPS} timesteps, got {self.timesteps}")
        if not 0 < self.beta_0 <= self.beta_t < 1:
            raise ValueError(f"expected 0 < beta_0 <= beta_t < 1, got {self.beta_0} and {self.beta_t}")
        if self.alpha_bar[-1] < MIN_ALPHA_BAR:
            wanted = f"expected signal left after the last step (alpha_bar of at least {MIN_ALPHA_BAR:g})"
            raise ValueError(f"{wanted}, got none with timesteps = {self.timesteps} and beta_t = {self.beta_t}")

    @cached_property
    def beta(self) -> np.ndarray:
        """Variance added at each step: float64 ``(T,)``, entry ``t - 1`` belongs to step t."""
        return SCHEDULES[self.name](self.timesteps, self.beta_0, self.beta_t)

    @cached_property
    def alpha_bar(self) -> np.ndarray:
        """Share of signal variance left: float64 ``(T + 1,)``, from 1 (clean) down, all positive."""
        return np.concatenate([[1.0], np.cumprod(1 - self.beta)])

    @property
    def signal_rate(self) -> np.ndarray:
        """Square root of ``alpha_bar``: the factor of the clean signal, float64 ``(T + 1,)``."""
        return np.sqrt(self.alpha_bar)

    @property
    def noise_rate(self) -> np.ndarray:
        """Square root of ``1 - alpha_bar``: the factor of the noise, float64 ``(T + 1,)``."""
        return np.sqrt(1 - self.alpha_bar)

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``Schedule(**values)`` makes the same schedule."""
        return {
            "name": self.name,
            "timesteps": self.timesteps,
            "beta_0": self.beta_0,
            "beta_t": self.beta_t,
        }
