"""What every engine does, whatever computes it: an image prepared and noise in, probabilities out. Needs no Keras."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ldseg.diffusion import Sampler, sampler_of
from ldseg.diffusion.random import KEYS, WORDS
from ldseg.inference.seeding import case_generator
from ldseg.spec import SegmenterSpec

STATES = 64
"""States of a run that are kept, at most."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What an engine gives for a batch.

    Attributes:
        probabilities: of each member, float32 ``(B, E, *S, P)``, of what its networks tell apart: the classes, or parts of
            which ``ldseg.inference.parts`` makes classes.
        states: the states of the diffusion of the first member, without mirroring, after the steps ``Engine.kept``:
            float32 ``(B, K, *L, c)``; None where nobody asked for them.
        features: what the image encoder makes of the image as it is: for each channel of its last map the mean over the
            positions, then the standard deviation of each, float32 ``(B, 2 cc)``; None where nobody asked for them.
    """

    probabilities: np.ndarray
    states: np.ndarray | None = None
    features: np.ndarray | None = None


class Engine:
    """Networks with their weights, and how masks are drawn with them.

    A case's masks depend on its image and its noise alone: all members of an ensemble share the image, each has its own
    noise, and the first members do not depend on how many follow. With ``flips``, the case is segmented as it is and
    mirrored along each combination of the axes of ``mirror``, each copy from noise of its own, one copy after the other;
    their probabilities, mirrored back, are averaged.

    To add an engine, write a subclass with ``run`` and ``decode`` and enter what opens it in ``ldseg.base.engines``.

    Args:
        spec: what the networks are.
        sampler: a name in ``ldseg.diffusion.SAMPLERS``, or a sampler of your own.
        steps: evaluations of the denoiser.
        flips: whether each member is an average over mirrored copies.
        mirror: letters of the axes that copies are mirrored along; all those of space by default.
        samples: E, the members of the ensemble.
        at_once: members in memory at the same time, for each image; more than that go in several loops, one after the
            other. All of them by default.

    Attributes:
        mirrors: for each copy the axes that it is mirrored along, 1 being the first axis of space.
        part: members that are in memory at the same time.
        kept: the steps after which a state is kept, from 0 (pure noise) to N (clean), all of them where there are no
            more than ``STATES``.
        devices: on how many it computes at the same time: batches may be as many times larger.

    Raises:
        ValueError: for an unknown sampler, or no member.
    """

    kind: str
    """What [GPU] Engine calls it."""

    whole_batches: bool = False
    """Whether every batch should have the same size, as another one would have to be compiled."""

    parallel: int = 1
    """How many calls of ``run`` it takes at the same time."""

    def __init__(
        self,
        spec: SegmenterSpec,
        *,
        sampler: str | Sampler = "DDIM",
        steps: int = 15,
        flips: bool = False,
        mirror: str = "ZYX",
        samples: int = 1,
        at_once: int | None = None,
    ) -> None:
        self.sampler = sampler_of(sampler)
        if samples < 1 or (at_once is not None and at_once < 1):
            raise ValueError(f"expected at least one member, got {samples} samples, {at_once} at once")
        self.spec = spec
        self.devices = 1
        self.steps = 1 if spec.control else steps  # whose every step is the same
        self.samples = samples
        # Parts of equal size, so that as few places as can be are left over in the last.
        self.part = math.ceil(samples / math.ceil(samples / (at_once or samples)))
        space = [index for index, axis in enumerate(spec.axes, start=1) if axis in mirror]
        chosen = itertools.chain.from_iterable(itertools.combinations(space, n) for n in range(len(space) + 1))
        self.mirrors = tuple(chosen) if flips else ((),)
        count = min(self.steps + 1, STATES)
        self.kept = tuple(int(step) for step in np.round(np.linspace(0, self.steps, count)))

    def run(self, inputs: Mapping[str, np.ndarray], *, states: bool = False, features: bool = False) -> Drawn:
        """Draw the masks of a batch.

        Args:
            inputs: ``image (B, *S, ci)`` in [0, 1] and ``noise (B, *noise_shape)``, float32.
            states: whether to give the states of the diffusion, too.
            features: whether to give the features of the images, too.
        """
        raise NotImplementedError

    def encode(self, images: np.ndarray) -> np.ndarray:
        """The features of images ``(B, *S, ci)`` in [0, 1], see ``Drawn``, without drawing a mask."""
        raise NotImplementedError

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """The probabilities float32 ``(N, *S, P)`` that states or clean latents ``(N, *L, c)`` stand for."""
        raise NotImplementedError

    @property
    def at_a_time(self) -> int:
        """Members of an image that share the memory of a batch with those of other images."""
        return self.samples

    def together(self, batch_size: int) -> int:
        """Images or tiles that go in one call where there are so many members in a batch, for each of its devices."""
        return max(1, batch_size // self.at_a_time) * self.devices

    def warm_up(self, batch_size: int) -> None:
        """One call on nothing, so that no case pays for what is compiled.

        Args:
            batch_size: as for ``together``.
        """
        shapes = {"image": (*self.spec.size, self.spec.channels), "noise": self.noise_shape}
        count = self.together(batch_size)
        self.run({name: np.zeros((count, *shape), np.float32) for name, shape in shapes.items()})

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of the latent along each axis."""
        return self.spec.strides

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape ``(*L, c)`` of one latent."""
        return self.spec.latent_shape

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """``(E, M, 1 + K, *L, c)``: for each member and mirrored copy the state to start from, then the K words of a key.

        K is 2 for a sampler such as DDPM, whose noise each step works out from the key of each position, else 0.
        """
        return (self.samples, len(self.mirrors), 1 + (KEYS if self.sampler.noisy else 0), *self.latent_shape)

    def draw_noise(self, seed: int, content: str, grid: tuple[int, ...] | None = None) -> np.ndarray:
        """The noise of one case, float32 ``noise_shape``, or over a latent grid of its own in place of L.

        Every sampler starts from the same state.

        Args:
            seed: of the run.
            content: what tells the case from others, see ``case_generator``.
            grid: the latent grid.
        """
        _, copies, fields, *latent = self.noise_shape
        latent = latent if grid is None else [*grid, latent[-1]]
        purposes = ["latent", *(f"latent {index}" for index in range(1, self.samples))]
        noise = np.empty((self.samples, copies, fields, *latent), np.float32)
        for member, purpose in zip(noise, purposes, strict=True):
            rng = case_generator(seed, content, purpose)
            member[:, 0] = rng.standard_normal((copies, *latent), dtype=np.float32)
            member[:, 1:] = rng.integers(0, WORDS, (copies, fields - 1, *latent))
        return noise
