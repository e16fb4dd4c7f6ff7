"""What a diffusion segmenter is: encode the image, encode the label, denoise, decode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ldseg.base.spatial import Tensor
from ldseg.diffusion import DDIM, Sampler, convert, corrupt, decodable, target
from ldseg.diffusion.compiled import HOLDS, sample
from ldseg.models import build_networks
from ldseg.spec import SegmenterSpec


class Segmenter(keras.Model):
    """The four networks under one schedule; it holds the weights, ``Trainer`` and ``Predictor`` use them.

    Attributes:
        spec: how it was built.
        preset: what its family and size are.
        strides: strides of the latent, one for each axis.
        grid: latent grid L.
        latent_channels: channels c of the latent.
    """

    def __init__(self, spec: SegmenterSpec) -> None:
        # The latent is float32 whatever the precision of the networks.
        super().__init__(name="segmenter", dtype="float32")
        networks = build_networks(
            spec.family,
            size=spec.size,
            channels=spec.channels,
            classes=spec.parts,
            axes=spec.axes,
            control=spec.control,
            dynamic_conditioning=spec.dynamic_conditioning,
            ff_parser=spec.ff_parser,
        )
        self.spec = spec
        self.preset = spec.family
        self.label_encoder = networks.label_encoder
        self.image_encoder = networks.image_encoder
        self.denoiser = networks.denoiser
        self.label_decoder = networks.label_decoder
        self.strides = spec.strides
        self.grid = spec.grid
        self.latent_channels = int(self.label_encoder.output_shape[-1])
        if spec.latent_shape[-1] != self.latent_channels:
            said = f"its preset says {spec.latent_shape[-1]}"
            raise ValueError(
                f"expected one number of channels of the latent, but {said}, its networks {self.latent_channels}"
            )
        # Keras would otherwise take a model that is never called for one without weights.
        self.built = True

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape ``(*L, c)`` of one latent."""
        return (*self.grid, self.latent_channels)

    def encode_image(self, image: Tensor, training: bool = False) -> Tensor:
        """Image ``(B, *S, ci)`` in [0, 1] to the condition, a map such as ``(B, *L, cc)`` or a list of them."""
        return self.image_encoder(image, training=training)

    def encode_label(self, label: Tensor, training: bool = False) -> Tensor:
        """Parts int ``(B, *S)``, see ``ldseg.data.outline``, to the clean latent ``(B, *L, c)``."""
        return self.label_encoder(ops.one_hot(label, self.spec.parts, dtype="float32"), training=training)

    def denoise(self, x_t: Tensor, condition: Tensor, time: Tensor, training: bool = False) -> Tensor:
        """The denoiser's prediction ``(B, *L, c)`` for the latent x_t at time int ``(B,)``."""
        return self.denoiser([x_t, condition, time], training=training)

    def decode(self, latent: Tensor, training: bool = False) -> Tensor:
        """Latent ``(B, *L, c)`` to logits ``(B, *S, P)`` of the parts."""
        return self.label_decoder(latent, training=training)

    def class_logits(self, logits: Tensor) -> Tensor:
        """Logits ``(B, *S, P)`` of the parts to those of the classes ``(B, *S, C)``: an outline belongs to its object."""
        if not self.spec.outline:
            return logits
        return ops.concatenate([logits[..., :-2], ops.logaddexp(logits[..., -2:-1], logits[..., -1:])], axis=-1)

    def rates(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise rate at time int ``(B,)``, shaped to broadcast over a latent."""
        shape = (-1, *[1] * (len(self.grid) + 1))
        signal, noise = (
            ops.convert_to_tensor(np.asarray(rate, "float32"))
            for rate in (self.spec.schedule.signal_rate, self.spec.schedule.noise_rate)
        )
        return ops.reshape(ops.take(signal, time), shape), ops.reshape(ops.take(noise, time), shape)

    @property
    def hold(self) -> Callable[[Tensor], Tensor] | None:
        """Keeps a clean latent in range, each case by itself: see ``SegmenterSpec.hold``."""
        return None if self.spec.hold is None else HOLDS[self.spec.hold]

    def reverse(self, condition: Tensor, noise: Tensor, *, steps: int, sampler: Sampler = DDIM, **options: Any) -> Tensor:
        """Sample a clean latent ``(B, *L, c)`` under a condition, see ``ldseg.diffusion.compiled.sample``."""
        return sample(
            lambda x_t, time: self.denoise(x_t, condition, time),
            noise,
            schedule=self.spec.schedule,
            prediction=self.spec.prediction,
            steps=steps,
            sampler=sampler,
            hold=self.hold,
            **options,
        )

    def corrupt(self, x0: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """The forward process at time int ``(B,)``."""
        return corrupt(x0, noise, *self.rates(time))

    def convert(self, predicted: Tensor, x_t: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """The pair ``(x0, eps)`` that a prediction implies."""
        return convert(self.spec.prediction, predicted, x_t, *self.rates(time))

    def target(self, x0: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """What the denoiser should have predicted."""
        return target(self.spec.prediction, x0, noise, *self.rates(time))

    def decodable(self, predicted: Tensor, x_t: Tensor, time: Tensor) -> Tensor:
        """The latent to decode in training."""
        return decodable(self.spec.prediction, predicted, x_t, *self.rates(time))

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """One evaluation from pure noise: ``{"image", "noise"}`` to logits ``(B, *S, P)``."""
        condition = self.encode_image(inputs["image"])
        return self.decode(self.reverse(condition, inputs["noise"], steps=1))
