"""Self-attention over all positions of a map, in bounded memory."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from ldseg.layers.norm import GroupNormalization


@keras.saving.register_keras_serializable("ldseg")
class SelfAttention(keras.layers.Layer):
    r"""GroupNorm, multi-head self-attention over the flattened positions, a dense layer, plus the input.

    ``(B, *S, c)`` to the same; :math:`softmax(q k^T / \sqrt{d}) v` with :math:`d = c / heads` (Vaswani et al. 2017). The
    queries are taken in chunks: the score matrix that is held has ``heads * chunk * N`` entries for each image and N
    positions, never N squared, in training too. On TensorFlow those of one image are held at a time. What comes out does not
    depend on the chunk.

    Args:
        heads: number of heads; as many as there are channels if there are fewer channels.
        groups: groups of the GroupNorm.
        scores: bound on ``heads * chunk * N``, the entries of an image's score matrix that are held at once; None for
            the whole matrix. A few megabytes of them stay in the caches of a processor, which is fastest.
        epsilon: added to the variance in GroupNorm.
        add_normed: add the normalised input in place of the input.
    """

    def __init__(
        self,
        heads: int = 1,
        groups: int = 8,
        scores: int | None = 2**20,
        epsilon: float = 1e-5,
        add_normed: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.heads = heads
        self.groups = groups
        self.scores = scores
        self.epsilon = epsilon
        self.add_normed = add_normed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        fixed = [length for length in input_shape[1:] if length is not None]
        if len(fixed) < len(input_shape) - 1:
            raise ValueError(f"expected a fixed size, got {input_shape}")
        channels = fixed[-1]
        self.used_heads = min(self.heads, channels)
        if channels % self.used_heads:
            raise ValueError(f"expected channels to be a multiple of {self.used_heads} heads, got {channels}")
        precision = {"dtype": self.dtype_policy}
        self.norm = GroupNormalization(self.groups, epsilon=self.epsilon, name="norm", **precision)
        self.norm.build(input_shape)
        self.positions = math.prod(fixed[:-1])
        for name in ("query", "key", "value", "out"):
            layer = keras.layers.Dense(channels, name=name, **precision)
            layer.build((None, self.positions, channels))
            setattr(self, name, layer)
        self.built = True

    def _chunks(self) -> int:
        """Into how many equal chunks the queries are cut: the least number that keeps to the bound and divides them."""
        if self.scores is None:
            return 1
        least = math.ceil(self.used_heads * self.positions**2 / self.scores)
        return next(count for count in range(min(least, self.positions), self.positions + 1) if self.positions % count == 0)

    def call(self, x: Any) -> Any:
        channels, chunks = x.shape[-1], self._chunks()
        normed = self.norm(x)
        flat = ops.reshape(normed, (-1, self.positions, channels))

        # One matrix in place of three.
        three = [self.query, self.key, self.value]
        kernel = ops.concatenate([layer.kernel for layer in three], axis=-1)
        mixed = ops.matmul(flat, kernel) + ops.concatenate([layer.bias for layer in three])
        mixed = ops.reshape(mixed, (-1, self.positions, 3, self.used_heads, channels // self.used_heads))
        query, key, value = ops.unstack(ops.transpose(mixed, (2, 0, 3, 1, 4)))
        query = query * (channels // self.used_heads) ** -0.5
        key = ops.swapaxes(key, -1, -2)

        def attend(part: Any, key: Any, value: Any) -> Any:
            return ops.matmul(ops.softmax(ops.matmul(part, key), axis=-1), value)

        if chunks == 1:
            mixed = attend(query, key, value)
        else:
            # Scores kept for the gradients of all chunks would be the whole matrix again: they are worked out anew.
            anew = keras.remat(attend)

            def attend_in_chunks(query: Any, key: Any, value: Any) -> Any:
                rest = (-1, self.used_heads)
                parts = ops.reshape(query, (*rest, chunks, self.positions // chunks, query.shape[-1]))
                mixed = ops.map(lambda part: anew(part, key, value), ops.moveaxis(parts, 2, 0))
                return ops.reshape(ops.moveaxis(mixed, 0, 2), (*rest, self.positions, query.shape[-1]))

            if keras.backend.backend() == "tensorflow":
                # Image by image: the scores stay in the caches of a processor. On JAX, devices could not share a batch.
                mixed = ops.map(lambda image: attend_in_chunks(*(part[None] for part in image))[0], (query, key, value))
            else:
                mixed = attend_in_chunks(query, key, value)
        mixed = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, self.positions, channels))
        return (normed if self.add_normed else x) + ops.reshape(self.out(mixed), (-1, *x.shape[1:]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        names = ("heads", "groups", "scores", "epsilon", "add_normed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
