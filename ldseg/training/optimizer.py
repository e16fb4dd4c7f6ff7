"""The optimiser: AdamW with warm-up, cosine decay and clipping."""

from __future__ import annotations

import keras


def adamw(*, learning_rate: float, updates: int, warm_up: int, weight_decay: float) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), gradients clipped to a global norm of 1.

    Args:
        learning_rate: the peak, reached after ``warm_up`` updates, from which a half cosine falls to a hundredth at the
            last of all ``updates``.
        updates: length of the training.
        warm_up: linear from zero; at most a tenth of the training.
        weight_decay: on kernels only, not on offsets, norms, and the filter of ``ldseg.layers.FFParser``, which begins at 1.
    """
    warm_up = min(warm_up, updates // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warm_up else learning_rate,
        decay_steps=max(updates - warm_up, 1),
        alpha=0.01,
        warmup_target=learning_rate if warm_up else None,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "^real$", "^imaginary$"])
    return optimizer
