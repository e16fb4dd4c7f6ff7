"""Operations that a backend of Keras has in a faster form than Keras takes; elsewhere they are those of Keras."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled with XLA where TensorFlow traces it for a CPU; unchanged when it runs eagerly and elsewhere.

    Everything that JAX compiles is compiled with XLA, and what TensorFlow compiles for a GPU, by Keras. On a CPU, XLA's
    convolutions of large maps are slower than TensorFlow's, so Keras leaves it off. With small maps, starting an operation
    costs more than computing it, and XLA starts fewer.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    # A strategy runs the function on devices, too, that do not hold the weights: XLA cannot reach them there.
    if tf.executing_eagerly() or tf.distribute.has_strategy() or tf.config.list_logical_devices("GPU"):
        return function
    compiled: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
    return compiled


def distributed() -> bool:
    """Whether what is done now is done on several devices of TensorFlow at once, see ``data_parallel``."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.distribute.has_strategy())


def adam_in_one() -> Callable[..., Any] | None:
    """TensorFlow's own Adam update of one variable, a single operation in place of fifteen; None on other backends.

    It takes the variable, its momentum and velocity, the powers of both betas, the step size, the betas, epsilon and the
    gradient, and does what ``keras.optimizers.Adam.update_step`` does (Kingma and Ba 2015, the end of section 2).
    """
    import keras

    if keras.backend.backend() != "tensorflow" or distributed():
        return None
    import tensorflow as tf

    def update(variable: Any, momentum: Any, velocity: Any, *numbers: Any) -> None:
        handles = [
            getattr(one, "value", one) if isinstance(one, keras.Variable) else one for one in (variable, momentum, velocity)
        ]
        tf.raw_ops.ResourceApplyAdam(
            **dict(zip(("var", "m", "v"), (one.handle for one in handles), strict=True)),
            **dict(zip(("beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon", "grad"), numbers, strict=True)),
        )

    return update


def batch_norm_in_one(x: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any] | None:
    """TensorFlow's own BatchNorm of a batch in training, with its gradient; None where it has none that may be taken.

    One operation forwards and one backwards, in place of some ten passes over the map each.

    Args:
        x: ``(B, *S, c)``, float32 or bfloat16.
        gamma, beta: float32 ``(c,)``.
        epsilon: added to the variance.

    Returns:
        the map in the type of x; mean and (biased) variance of the batch, float32 ``(c,)``.
    """
    import keras

    if keras.backend.backend() != "tensorflow" or keras.backend.standardize_dtype(x.dtype) not in ("float32", "bfloat16"):
        return None
    import tensorflow as tf

    flat = tf.reshape(x, (-1, math.prod(x.shape[1:-1]), 1, x.shape[-1]))
    weights = (tf.convert_to_tensor(gamma, tf.float32), tf.convert_to_tensor(beta, tf.float32))
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(flat, *weights, epsilon=epsilon, is_training=True)
    count = tf.cast(tf.size(flat) / x.shape[-1], tf.float32)
    return tf.reshape(y, tf.shape(x)), mean, variance * (count - 1) / tf.maximum(count, 1)
