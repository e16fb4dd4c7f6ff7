"""Reverse diffusion on a backend of Keras: from noise to a clean latent, as one loop that the backend compiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from keras import ops

from ldseg.base.spatial import Tensor
from ldseg.diffusion.process import convert
from ldseg.diffusion.samplers import DDIM, Sampler
from ldseg.diffusion.schedules import Schedule

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""``(x_t (B, *L, c), t int32 (B,)) -> prediction (B, *L, c)``."""


def standardize(x: Tensor) -> Tensor:
    """Zero mean and unit variance over everything but the batch: a latent held in range, each case by itself."""
    axes = list(range(1, len(x.shape)))
    mean = ops.mean(x, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=axes, keepdims=True)
    return (x - mean) * ops.rsqrt(variance + 1e-6)


def bound(x: Tensor) -> Tensor:
    """Values from -1 to 1, where a mask lies."""
    return ops.clip(x, -1.0, 1.0)


HOLDS: dict[str, Callable[[Tensor], Tensor]] = {"standardize": standardize, "bound": bound}
"""What keeps a clean latent in range, by name."""


def sample(
    denoise: Denoiser,
    x: Tensor,
    *,
    schedule: Schedule,
    prediction: str,
    steps: int,
    sampler: Sampler = DDIM,
    step_noise: Tensor = None,
    hold: Callable[[Tensor], Tensor] | None = None,
    last: int | None = None,
    keep: Sequence[int] | None = None,
) -> Tensor:
    """Run the reverse process as one loop that the backend compiles.

    Args:
        denoise: the trained denoiser with its condition bound in, see ``Denoiser``.
        x: standard normal noise to start from ``(B, *L, c)``.
        schedule: the schedule of the training.
        prediction: what the denoiser predicts, one of ``PREDICTIONS``.
        steps: N, the number of evaluations from pure noise to the clean latent.
        sampler: how each step goes on. All of them evaluate the denoiser N times.
        step_noise: standard normal ``(B, N, *L, c)``, or a function of a step's index to its noise ``(B, *L, c)``, such as
            ``ldseg.diffusion.random.normal`` of a key, which takes no memory for each step; needed by a sampler that is
            ``noisy``. A case's noise is its own: what is sampled does not depend on the other cases of the batch.
        hold: keeps the estimate of the clean latent in range, each case by itself. The noise is left as predicted.
        last: run only the first so many of the N steps.
        keep: return these states, 0 the noise and N the clean latent, in place of the last alone.

    Returns:
        the state after the last step ``(B, *L, c)``, the clean latent unless ``last`` says otherwise; or the states to
        ``keep``, ``(K, B, *L, c)``.

    Raises:
        ValueError: if noise is needed and was not given.
    """
    if sampler.noisy and step_noise is None:
        raise ValueError(f"expected step_noise for the sampler {sampler.name}, got none")
    table = {
        name: ops.convert_to_tensor(values, dtype="int32" if name == "time" else "float32")
        for name, values in sampler.table(schedule, steps).items()
    }
    cases = ops.shape(x)[:1]
    noise_of = step_noise if callable(step_noise) else lambda index: ops.take(step_noise, index, axis=1)
    kept = ops.convert_to_tensor(np.asarray(keep or (), np.int32))

    def record(index: Tensor, state: Tensor, states: Tensor) -> Tensor:
        # Each state is added to zeros in a place of its own: a loop, where unrolled steps take minutes to trace.
        return states + ops.reshape(ops.cast(ops.equal(kept, index), "float32"), (-1, *[1] * len(x.shape))) * state

    def step(index: Tensor, carried: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        state, *more = carried
        at = {name: ops.take(values, index) for name, values in table.items()}
        predicted = ops.cast(denoise(state, ops.broadcast_to(at["time"], cases)), "float32")
        x0, eps = convert(prediction, predicted, state, at["signal_rate"], at["noise_rate"])
        if hold is not None:
            x0 = hold(x0)
        state = at["to_x0"] * x0 + at["to_eps"] * eps
        if sampler.second_order:
            state = state + at["to_change"] * (x0 - more[0])
            more[0] = x0
        if sampler.noisy:
            state = state + at["to_noise"] * noise_of(index)
        if keep is not None:
            more[-1] = record(index + 1, state, more[-1])
        return (state, *more)

    x = ops.convert_to_tensor(x, dtype="float32")
    start = [x]
    if sampler.second_order:
        start.append(ops.zeros_like(x))
    if keep is not None:
        start.append(record(0, x, ops.zeros((len(keep), *[1] * len(x.shape)))))
    return ops.fori_loop(0, steps if last is None else last, step, tuple(start))[0 if keep is None else -1]
