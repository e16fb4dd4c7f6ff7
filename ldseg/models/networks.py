"""What every family of networks consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The parts of a diffusion segmenter, each a Keras model of its own.

    ``label_encoder``: one-hot label ``(B, *S, C)`` to the latent ``(B, *L, c)``. ``image_encoder``: image ``(B, *S, ci)``
    in [0, 1] to the condition, one map or a list of them, such as ``(B, *L, cc)``. ``denoiser``:
    ``[x_t, condition, t int32 (B,)]`` to the prediction ``(B, *L, c)``. ``label_decoder``: latent to logits ``(B, *S, C)``.

    Where diffusion runs in the space of the mask itself, the latent is the mask, and the label's two parts have no weights.
    """

    label_encoder: keras.Model
    image_encoder: keras.Model
    denoiser: keras.Model
    label_decoder: keras.Model
