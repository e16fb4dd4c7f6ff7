"""The optimiser: AdamW with warm-up, cosine decay and clipping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ldseg.devices.operations import adam_in_one


class AdamW(keras.optimizers.Adam):
    """Keras's AdamW with the same state and the same mathematics, in far fewer operations where TensorFlow computes.

    Networks here have hundreds of small weights. To trace, to optimise and to start fifty operations for each costs more
    than what they compute.

    Args:
        decay: of weights, see ``adamw``.
        options: of ``keras.optimizers.Adam``.
    """

    def __init__(self, *options: Any, decay: float = 0.0, **named: Any) -> None:
        super().__init__(*options, **{"name": "adamw", **named})
        self.decay = decay
        self._in_one: Callable[..., Any] | None = None
        self._powers: tuple[Any, Any] | None = None

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One update; what is the same for all variables is worked out once."""
        self._in_one = adam_in_one()
        if self._in_one is not None:
            step = ops.cast(self.iterations + 1, "float32")
            self._powers = ops.power(self.beta_1, step), ops.power(self.beta_2, step)
        super().apply(grads, trainable_variables)
        self._powers = None

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Decay a variable, where it is one to decay, then do a step of Adam."""
        if self.decay and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * self.decay * ops.cast(learning_rate, variable.dtype))
        if self._in_one is None or self._powers is None:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        numbers = *self._powers, learning_rate, self.beta_1, self.beta_2, self.epsilon, gradient
        self._in_one(variable, self._momentums[index], self._velocities[index], *numbers)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decay": self.decay}


def adamw(*, learning_rate: float, updates: int, warm_up: int, weight_decay: float) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), gradients clipped to a global norm of 1.

    Args:
        learning_rate: the peak, reached after ``warm_up`` updates, from which a half cosine falls to a hundredth at the
            last of all ``updates``.
        updates: length of the training; 0 where ``ldseg.training.callbacks.OnTime`` sets the step size.
        warm_up: linear from zero; at most a tenth of the training.
        weight_decay: on kernels only, not on offsets, norms, and the filter of ``ldseg.layers.FFParser``, which begins at 1.
    """
    warm_up = min(warm_up, updates // 10)
    rate: Any = (
        learning_rate
        if not updates
        else keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warm_up else learning_rate,
            decay_steps=max(updates - warm_up, 1),
            alpha=0.01,
            warmup_target=learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
    )
    optimizer = AdamW(rate, decay=weight_decay, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "^real$", "^imaginary$"])
    return optimizer
