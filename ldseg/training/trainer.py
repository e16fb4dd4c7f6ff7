"""One optimisation of all four networks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ldseg.base.regions import Unions
from ldseg.devices.operations import distributed
from ldseg.segmenter import Segmenter
from ldseg.training.losses import mean_known, segmentation_loss

LATENT_NOISE = 0.3
"""Standard deviation of the noise under which the label autoencoder learns to reconstruct."""


def _as_it_is(_: Any, term: Any) -> Any:
    return term


class Trainer(keras.Model):
    r"""A segmenter in training: its ``call`` gives the terms of the loss.

    The loss of a batch as ``ldseg.data.batches`` makes it is the mean over the cases of

    .. math:: S(y, D(\hat z)) + \lambda \| target - prediction \|^2 + \mu S(y, D(z_0 + 0.3 n))

    with S the segmentation loss, D the label decoder and :math:`\hat z` what the prediction at :math:`z_t` implies. The
    third term keeps the latent decodable. The target of the second is not a way to make latents easier to predict: no
    gradient flows through it.

    Recycling (Fu et al., arXiv 2303.06040): where a sample says so, :math:`z_t` is made from the model's own estimate
    at t = T instead of from the true label. In sampling the model only ever sees its own estimates; trained on true
    labels alone it learns to trust them, and more steps make masks worse. Where noise is predicted, a recycled sample
    has no target of its own, and the second term is left out for it; where that is the only term, there is no recycling.

    The factors of S and mu are those of the preset: 1 and 0.5 in a latent space, both 0 where the latent is the mask itself
    and the error of the prediction is all there is to learn from (Wu et al., arXiv 2211.00611). A control has the first term
    alone.

    An exponential moving average follows all weights that inference uses, BatchNorm statistics included. It warms up:
    after n updates its decay is at most ``(1 + n) / (10 + n)``.

    Args:
        segmenter: the networks, built for the training patch.
        diffusion_weight: lambda.
        recycling: whether batches may ask for it. Without it, an update takes one evaluation of the denoiser less.
        ema: decay of the moving average.
        ignores: whether labels may say nothing at some positions. There the encoder of labels is given what
            ``ldseg.data.labels.filled`` made up, and no term counts; the error of the prediction counts in cells of the
            latent of which every position is known.
        regions: unions of classes that are learned as wholes, too, see ``segmentation_loss``.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        diffusion_weight: float = 0.5,
        recycling: bool = True,
        ema: float = 0.999,
        ignores: bool = False,
        regions: Unions = (),
    ) -> None:
        # float32 whatever the precision of the networks: averages and rates would be lost in half of it.
        super().__init__(name="trainer", dtype="float32")
        self.segmenter = segmenter
        self.loss_weights = {**segmenter.preset.weights, "diffusion": diffusion_weight}
        if segmenter.spec.control:
            self.loss_weights |= {"autoencoder": 0.0, "diffusion": 0.0}
        learns = self.loss_weights["segmentation"] > 0 or segmenter.spec.prediction == "x0"
        self.recycling = recycling and learns and not segmenter.spec.control
        self.ema = ema
        self.ignores = ignores
        self.regions = tuple(regions)
        # Every replica computes the same average; the first one's is kept.
        shared = {"trainable": False, "aggregation": "only_first_replica", "dtype": "float32"}
        self.updates = self.add_weight(shape=(), initializer="zeros", name="updates", **shared)
        self.averages = [
            self.add_weight(shape=weight.shape, initializer="zeros", name=f"average_{index}", **shared)
            for index, weight in enumerate(segmenter.weights)
        ]
        for average, weight in zip(self.averages, segmenter.weights, strict=True):
            # A copy: JAX would let both share the memory that it gives away in an update.
            average.assign(ops.convert_to_numpy(weight))
        self.built = True

    def compile(self, optimizer: keras.optimizers.Optimizer, **options: Any) -> None:
        """Join the terms of the loss; the log shows each as ``<term>_loss``.

        What ``call`` returns are the losses themselves: Keras weighs, logs and, on several devices, scales them. Where the
        networks compute in float16, the loss is scaled, too, so that small gradients survive.
        """
        if keras.config.dtype_policy().name == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        losses = dict.fromkeys(self.loss_weights, _as_it_is)
        super().compile(optimizer=optimizer, loss=losses, loss_weights=self.loss_weights, **options)
        if not distributed():
            # What the loss makes for itself when it is first computed: made within the first update, it would have
            # TensorFlow trace that update twice.
            nothing = {name: ops.zeros(1) for name in losses}
            self.compute_loss(y=nothing, y_pred=nothing)

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """A batch to the terms of the loss by name, each ``(B,)``."""
        model = self.segmenter
        # Integers may come as floats: Keras traces a distributed model on inputs of one type.
        label, time = ops.cast(inputs["label"], "int32"), ops.cast(inputs["time"], "int32")
        said: Any = None
        if self.ignores:
            said = ops.cast(label < model.spec.parts, "float32")
            label = ops.where(label < model.spec.parts, label, label - model.spec.parts)
        condition = model.encode_image(inputs["image"], training)
        clean = model.encode_label(label, training)
        known = ops.stop_gradient(clean)
        recycle, source = ops.zeros_like(inputs["recycle"]), clean
        if self.recycling:
            recycle = inputs["recycle"]
            mixing = ops.reshape(recycle, (-1, *[1] * (len(clean.shape) - 1)))
            first = self._first_estimate(condition, inputs["first_noise"])
            source = mixing * first + (1 - mixing) * clean

        state = model.corrupt(source, inputs["noise"], time)
        predicted = ops.cast(model.denoise(state, condition, time, training), "float32")
        latents = [model.decodable(predicted, state, time)]
        if self.loss_weights["autoencoder"]:
            latents.append(clean + LATENT_NOISE * inputs["latent_noise"])
        # One call for both: BatchNorm, where a preset has it, then normalises by the mixture that its statistics follow.
        logits = ops.split(model.decode(ops.concatenate(latents, axis=0), training), len(latents), axis=0)
        segmentation, *autoencoder = (segmentation_loss(label, given, said, self.regions) for given in logits)
        wanted = model.target(known, inputs["noise"], time)
        error = ops.square(predicted - wanted)
        if said is None:
            error = ops.mean(error, axis=tuple(range(1, len(clean.shape))))
        else:
            error = mean_known(ops.mean(error, axis=-1), self._whole(said))
        if model.spec.prediction != "x0":
            error = error * (1 - recycle)
        if training:
            self._follow()
        return {
            "segmentation": segmentation,
            "diffusion": error,
            "autoencoder": autoencoder[0] if autoencoder else ops.zeros_like(error),
        }

    def _whole(self, said: Any) -> Any:
        """Which cells of the latent ``(B, *L)`` are known at every position, 1 or 0, from that of positions ``(B, *S)``."""
        sides: list[int] = []
        for length, stride in zip(said.shape[1:], self.segmenter.strides, strict=True):
            sides += [length // stride, stride]
        return ops.min(ops.reshape(said, (-1, *sides)), axis=tuple(range(2, len(sides) + 1, 2)))

    def _first_estimate(self, condition: Any, noise: Any) -> Any:
        """The model's estimate of the clean latent from pure noise, as the sampler's first step makes it."""
        model = self.segmenter
        last = ops.full((ops.shape(noise)[0],), model.spec.schedule.timesteps, dtype="int32")
        condition = keras.tree.map_structure(ops.stop_gradient, condition)
        predicted = ops.cast(model.denoise(noise, condition, last), "float32")
        estimate, _ = model.convert(predicted, noise, last)
        return ops.stop_gradient(estimate if model.hold is None else model.hold(estimate))

    def _follow(self) -> None:
        decay = ops.minimum(self.ema, (1 + self.updates) / (10 + self.updates))
        for average, weight in zip(self.averages, self.segmenter.weights, strict=True):
            # decay * average + (1 - decay) * weight, in the fewest operations: there are hundreds of weights.
            self.optimizer.assign_sub(average, (1 - decay) * ops.subtract(average, weight))
        self.updates.assign(self.updates + 1)

    def copy_average(self, segmenter: Segmenter) -> None:
        """Set the weights of another segmenter of the same preset, of any size, to the moving average."""
        for weight, average in zip(segmenter.weights, self.averages, strict=True):
            weight.assign(ops.convert_to_numpy(average))
