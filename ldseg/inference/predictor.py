"""The engine of Keras: encode the image once, run the whole reverse diffusion in one compiled loop, decode."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ldseg import devices
from ldseg.base.spatial import Tensor
from ldseg.description import Description
from ldseg.devices import operations, together
from ldseg.diffusion.random import normal
from ldseg.inference.engine import Drawn, Engine
from ldseg.inference.spread import spread
from ldseg.segmenter import Segmenter
from ldseg.weights import load_segmenter

FUSED = 64 * 64
"""Positions of a latent of two axes up to which fused loops were measured to be faster; in three axes they are slower."""


class Predictor(keras.Model, Engine):
    """The engine of Keras, on any of its backends and devices; see ``Engine``.

    Args:
        segmenter: the networks with their weights.
        options: how masks are drawn, see ``Engine``.

    Raises:
        ValueError: for an unknown sampler, or no member.
    """

    kind = "keras"
    whole_batches = True

    def __init__(self, segmenter: Segmenter, **options: Any) -> None:
        keras.Model.__init__(self, name="predictor", dtype="float32")
        Engine.__init__(self, segmenter.spec, **options)
        self.segmenter = segmenter
        self.built = True
        # Past Keras, which would otherwise take them for parts of this model.
        object.__setattr__(self, "_traced", {})

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        """See ``Engine``. Each way of calling it is compiled once."""
        more = tuple(name for name, asked in (("states", states), ("features", features)) if asked)
        if not more:
            return Drawn(probabilities=_array(self.predict_on_batch(dict(inputs))))
        traced: dict[tuple[str, ...], Traced] = self._traced
        if more not in traced:
            traced[more] = Traced(self, more)
            traced[more].compile(run_eagerly=self.run_eagerly)
        found = traced[more].predict_on_batch(dict(inputs))
        return Drawn(**{name: _array(value) for name, value in found.items()})

    def encode(self, images: np.ndarray) -> np.ndarray:
        """See ``Engine``; one image after the other."""
        encoder = self.segmenter.image_encoder
        return np.concatenate([_array(_features(encoder.predict_on_batch(image[np.newaxis]))) for image in images])

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """See ``Engine``; one latent after the other."""
        decoder = self.segmenter.label_decoder
        logits = np.concatenate([_array(decoder.predict_on_batch(latent[np.newaxis])) for latent in latents])
        return _array(ops.softmax(logits, axis=-1))

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """``{"image": (B, *S, ci) in [0, 1], "noise": (B, *noise_shape)}`` to probabilities ``(B, E, *S, P)``."""
        return self.draw(inputs, ())["probabilities"]

    def draw(self, inputs: dict[str, Tensor], kept: tuple[int, ...]) -> dict[str, Tensor]:
        """What ``Drawn`` has: the probabilities and features, and the states where there are some to be kept."""
        reverse = self._loop(())
        total, states, features = 0.0, None, None
        for index, mirror in enumerate(self.mirrors):
            image = ops.flip(inputs["image"], mirror) if mirror else inputs["image"]
            condition = self.segmenter.encode_image(image)
            noise = inputs["noise"][:, :, index]
            if index == 0:
                features = _features(condition)
            if kept and index == 0:
                probabilities, states = self._members(self._loop(kept), condition, noise, kept)
            else:
                probabilities, _ = self._members(reverse, condition, noise, ())
            total = total + (ops.flip(probabilities, [axis + 1 for axis in mirror]) if mirror else probabilities)
        return {"probabilities": total / len(self.mirrors), "states": states, "features": features}

    def _members(
        self, reverse: Callable[[Tensor, Tensor], Tensor], condition: Tensor, noise: Tensor, kept: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """One copy's noise of all members ``(B, E, 1 + K, *L, c)`` to probabilities ``(B, E, *S, P)``, and the states."""
        part, rest = self.part, noise.shape[2:]
        if part > 1:
            condition = keras.tree.map_structure(lambda features: ops.repeat(features, part, axis=0), condition)

        def one(noise: Tensor) -> tuple[Tensor, Tensor]:
            found = reverse(condition, noise)
            clean = found[-1] if kept else found
            # Those of the first member of each part: (B, K, *L, c), where nothing is kept of no length.
            states = ops.moveaxis(found[:, ::part], 0, 1) if kept else ops.zeros((0,))
            return ops.softmax(self.segmenter.decode(clean), axis=-1), states

        if part == self.samples:
            members, states = one(ops.reshape(noise, (-1, *rest)))
            return ops.reshape(members, (-1, part, *members.shape[1:])), states
        parts = math.ceil(self.samples / part)
        left_over = parts * part - self.samples
        if left_over:
            noise = ops.concatenate([noise, noise[:, :left_over]], axis=1)
        noise = ops.moveaxis(ops.reshape(noise, (-1, parts, part, *rest)), 1, 0)
        members, states = ops.map(one, ops.reshape(noise, (parts, -1, *rest)))
        members = ops.moveaxis(ops.reshape(members, (parts, -1, part, *members.shape[2:])), 0, 1)
        return ops.reshape(members, (-1, parts * part, *members.shape[3:]))[:, : self.samples], states[0]

    def _loop(self, kept: tuple[int, ...]) -> Callable[[Tensor, Tensor], Tensor]:
        """From a condition and one copy's noise to the clean latent, or to the states that are kept."""
        positions = math.prod(self.latent_shape[:-1])
        small = self.spec.axes == "YX" and positions <= FUSED and self.steps > 1  # one step is no loop

        def reverse(condition: Tensor, noise: Tensor) -> Tensor:
            return self.reverse(condition, noise, **({"keep": kept} if kept else {}))

        return operations.fused(reverse) if small else reverse

    def reverse(self, condition: Tensor, noise: Tensor, **part: Any) -> Tensor:
        """Run the sampler, or the part of it that ``ldseg.diffusion.compiled.sample`` is told, on one copy's noise."""
        keys = (noise[:, 1], noise[:, 2]) if self.sampler.noisy else None
        return self.segmenter.reverse(
            condition,
            noise[:, 0],
            steps=self.steps,
            sampler=self.sampler,
            step_noise=None if keys is None else lambda index: normal(keys, index, ops),
            **part,
        )


class Traced(keras.Model):
    """A predictor that gives more of what ``Drawn`` has beside its probabilities: ``states``, ``features``."""

    def __init__(self, predictor: Predictor, more: tuple[str, ...]) -> None:
        super().__init__(name="traced", dtype="float32")
        self.predictor = predictor
        self.more = more
        self.built = True

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The inputs of ``Predictor`` to probabilities and more."""
        drawn = self.predictor.draw(inputs, self.predictor.kept if "states" in self.more else ())
        return {name: drawn[name] for name in ("probabilities", *self.more)}


def _features(condition: Tensor) -> Tensor:
    """Of images, from their maps ``(B, *L, cc)``; see ``Drawn``."""
    last = ops.cast(keras.tree.flatten(condition)[-1], "float32")
    mean, variance = ops.moments(last, axes=tuple(range(1, len(last.shape) - 1)))
    return ops.concatenate([mean, ops.sqrt(ops.maximum(variance, 0.0))], axis=-1)


def _array(tensor: Tensor) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor), dtype=np.float32)


def missing() -> str:
    """Nothing: this module could be imported."""
    return ""


def version() -> str:
    """Keras and its backend, in words."""
    return f"Keras {keras.__version__} on {keras.backend.backend()}"


def open_networks(folder: Path, description: Description, precision: str, multiple: bool = False) -> Callable[..., Engine]:
    """From the options of ``Engine`` to a compiled predictor on the weights in a folder, see ``ldseg.base.engines``.

    With ``multiple`` on all devices of the machine.
    """
    devices.set_precision(precision)
    names = together.own_devices(multiple)
    segmenters = []
    for name in names:
        with together.on_device(name):
            segmenters.append(load_segmenter(folder, description.spec.own)[0])

    def make(**options: Any) -> Engine:
        def one(index: int) -> Engine:
            predictor = Predictor(segmenters[index], **options)
            predictor.compile()
            return predictor

        return spread(one, names, **options)

    return make
