"""Networks as SavedModels of TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from ldseg.description import Description
from ldseg.errors import WeightsError
from ldseg.weights import load_segmenter


def write(weights: Path, description: Description, out: Path) -> None:
    """Write ``encoder``, ``denoiser`` and ``decoder``, each with a function ``serve`` for any batch, channels last.

    Raises:
        WeightsError: on another backend than TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise WeightsError(
            f"export to saved_model takes Keras on TensorFlow, it is on {backend}: set KERAS_BACKEND=tensorflow"
        )
    segmenter, _ = load_segmenter(weights, description.spec.own)

    def denoise(*given: Any) -> Any:
        state, *condition, time = given
        return segmenter.denoiser(keras.tree.pack_sequence_as(segmenter.denoiser.input, [state, *condition, time]))

    def decode(latent: Any) -> Any:
        return keras.ops.softmax(segmenter.label_decoder(latent), axis=-1)

    for name, model, function in (
        ("encoder", segmenter.image_encoder, lambda image: keras.tree.flatten(segmenter.image_encoder(image))),
        ("denoiser", segmenter.denoiser, denoise),
        ("decoder", segmenter.label_decoder, decode),
    ):
        archive = keras.export.ExportArchive()
        archive.track(model)
        signature = [keras.InputSpec(shape=tensor.shape, dtype=tensor.dtype) for tensor in model.inputs]
        archive.add_endpoint("serve", function, input_signature=signature)
        archive.write_out(str(out / name), verbose=False)
