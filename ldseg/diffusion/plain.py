"""Reverse diffusion in NumPy, for networks that run outside Keras: the same arithmetic as ``compiled``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ldseg.diffusion.process import convert
from ldseg.diffusion.samplers import DDIM, Sampler
from ldseg.diffusion.schedules import Schedule

Denoiser = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``(x_t (B, *L, c), t int32 (B,)) -> prediction (B, *L, c)``."""


def standardize(x: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance over everything but the batch."""
    axes = tuple(range(1, x.ndim))
    mean = x.mean(axis=axes, keepdims=True)
    variance = np.square(x - mean).mean(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + np.float32(1e-6))


def bound(x: np.ndarray) -> np.ndarray:
    """Values from -1 to 1, where a mask lies."""
    return np.clip(x, -1.0, 1.0)


HOLDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"standardize": standardize, "bound": bound}
"""What keeps a clean latent in range, by name."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sample(
    denoise: Denoiser,
    x: np.ndarray,
    *,
    schedule: Schedule,
    prediction: str,
    steps: int,
    sampler: Sampler = DDIM,
    step_noise: Callable[[int], np.ndarray] | None = None,
    hold: Callable[[np.ndarray], np.ndarray] | None = None,
    keep: Sequence[int] = (),
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Run the reverse process, see ``ldseg.diffusion.compiled.sample``.

    Args:
        denoise: the trained denoiser with its condition bound in, see ``Denoiser``.
        x: standard normal noise to start from, float32 ``(B, *L, c)``.
        schedule: the schedule of the training.
        prediction: what the denoiser predicts, one of ``PREDICTIONS``.
        steps: N, the number of evaluations from pure noise to the clean latent.
        sampler: how each step goes on.
        step_noise: from a step's index to its noise ``(B, *L, c)``; needed by a sampler that is ``noisy``.
        hold: keeps the estimate of the clean latent in range, each case by itself.
        keep: the states to give beside the last, in ascending order: 0 is the noise, N the clean latent.

    Returns:
        the clean latent ``(B, *L, c)``, and the states to ``keep``.

    Raises:
        ValueError: if noise is needed and was not given.
    """
    if sampler.noisy and step_noise is None:
        raise ValueError(f"expected step_noise for the sampler {sampler.name}, got none")
    table = sampler.table(schedule, steps)
    rows = {name: values if name == "time" else values.astype(np.float32) for name, values in table.items()}
    before = np.zeros_like(x)
    kept = [x] if 0 in keep else []
    for index in range(steps):
        at = {name: values[index] for name, values in rows.items()}
        predicted = denoise(x, np.full(len(x), at["time"], np.int32))
        x0, eps = convert(prediction, predicted, x, at["signal_rate"], at["noise_rate"])
        if hold is not None:
            x0 = hold(x0)
        x = at["to_x0"] * x0 + at["to_eps"] * eps
        if sampler.second_order:
            x, before = x + at["to_change"] * (x0 - before), x0
        if sampler.noisy and step_noise is not None:
            x = x + at["to_noise"] * step_noise(index)
        if index + 1 in keep:
            kept.append(x)
    return x, kept
