"""The layers by which MedSegDiff lets the noisy mask speak to the image (Wu et al., arXiv 2211.00611)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Spectrum = tuple[Any, Any]
"""Real and imaginary part."""


@keras.saving.register_keras_serializable("ldseg")
class FFParser(keras.layers.Layer):
    r"""A learned filter over frequencies: ``(B, *S, c)`` to the same, of any rank.

    :math:`m' = F^{-1}(A \otimes F(m))`, with F the Fourier transform of each channel over all axes of the map and A complex
    and learned, one number for each frequency and channel, 1 to begin with. A map is real, so that half of its spectrum
    is the mirror image of the other: A holds the half with frequencies of 0 and more along the last axis, and what comes out
    is real. The sizes of A are those of the map: its weights serve maps of one size.

    It computes in float32 whatever the precision: half of it would lose small frequencies beside the mean.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        size = [length for length in input_shape[1:-1] if length is not None]
        if len(size) < len(input_shape) - 2 or not size:
            raise ValueError(f"expected a fixed size of at least one axis, got {input_shape}")
        shape = (input_shape[-1], *size[:-1], size[-1] // 2 + 1)
        options = {"shape": shape, "dtype": "float32", "autocast": False}
        self.real = self.add_weight(name="real", initializer="ones", **options)
        self.imaginary = self.add_weight(name="imaginary", initializer="zeros", **options)

    def call(self, x: Any) -> Any:
        rank = len(x.shape) - 2
        m = ops.transpose(ops.cast(x, "float32"), (0, rank + 1, *range(1, rank + 1)))
        real, imaginary = ops.rfft(m)
        for axis in range(2, rank + 1):
            real, imaginary = _along(axis, ops.fft, (real, imaginary))
        real, imaginary = (
            real * self.real - imaginary * self.imaginary,
            real * self.imaginary + imaginary * self.real,
        )
        for axis in range(2, rank + 1):
            real, imaginary = _along(axis, _inverse, (real, imaginary))
        m = ops.irfft((real, imaginary), fft_length=m.shape[-1])
        return ops.cast(ops.transpose(m, (0, *range(2, rank + 2), 1)), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def _along(axis: int, transform: Callable[[Spectrum], Spectrum], spectrum: Spectrum) -> Spectrum:
    """A transform of the last axis along another one."""
    real, imaginary = transform((ops.swapaxes(spectrum[0], axis, -1), ops.swapaxes(spectrum[1], axis, -1)))
    return ops.swapaxes(real, axis, -1), ops.swapaxes(imaginary, axis, -1)


def _inverse(spectrum: Spectrum) -> Spectrum:
    """The inverse transform of the last axis, which Keras has in two axes only: that of the conjugate, conjugated."""
    real, imaginary = ops.fft((spectrum[0], -spectrum[1]))
    length = real.shape[-1]
    return real / length, -imaginary / length


@keras.saving.register_keras_serializable("ldseg")
class AttentiveFusion(keras.layers.Layer):
    r"""Image features as the noisy mask sees them: the pair ``(m_I, m_x)``, each ``(B, *S, c)``, to the same shape.

    :math:`A(m_I, m_x) = (LN(m_I) \otimes LN(m_x)) \otimes m_I`, with LN over the channels of each position.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        precision = {"dtype": self.dtype_policy}
        self.norm_image = keras.layers.LayerNormalization(epsilon=1e-5, name="norm_image", **precision)
        self.norm_mask = keras.layers.LayerNormalization(epsilon=1e-5, name="norm_mask", **precision)

    def build(self, input_shape: Any) -> None:
        image, mask = map(tuple, input_shape)
        if image != mask:
            raise ValueError(f"expected two maps of one shape, got {image} and {mask}")
        self.norm_image.build(image)
        self.norm_mask.build(mask)
        self.built = True

    def call(self, inputs: Any) -> Any:
        image, mask = inputs
        return self.norm_image(image) * self.norm_mask(mask) * image

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return tuple(input_shape[0])
