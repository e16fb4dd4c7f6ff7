"""The control of a diffusion model: the same networks, of which nothing but the image is seen."""

from __future__ import annotations

import keras
from keras import ops

from ldseg.models.networks import Networks


def image_only(networks: Networks) -> Networks:
    """The image encoder, the denoiser with zeros in place of state and time, and the label decoder.

    So the control has as many parameters as the diffusion model has in use and takes as much work a step, but it is a plain
    function of the image: what it lacks in figures is what diffusion brings. Its latent is whatever the decoder makes a mask
    of; the label's encoder is left out, and gives zeros.
    """
    given = [keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in networks.denoiser.inputs]
    state, condition, time = given
    predicted = networks.denoiser([ops.zeros_like(state), condition, ops.zeros_like(time)])
    label = keras.Input(networks.label_encoder.input_shape[1:], name="label")
    grid, channels = state.shape[1:-1], state.shape[-1]
    every = (slice(None, None, size // length) for size, length in zip(label.shape[1:-1], grid, strict=True))
    blank = 0.0 * ops.repeat(label[(slice(None), *every, slice(0, 1))], channels, axis=-1)
    return Networks(
        label_encoder=keras.Model(label, blank, name="label_encoder"),
        image_encoder=networks.image_encoder,
        denoiser=keras.Model(given, predicted, name="denoiser"),
        label_decoder=networks.label_decoder,
    )
