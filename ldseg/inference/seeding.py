"""Noise that belongs to a case: drawn from the seed and what the case holds, whatever else is segmented along."""

from __future__ import annotations

import hashlib

import numpy as np


def case_generator(seed: int, content: str, purpose: str = "latent") -> np.random.Generator:
    """A generator for one case and one purpose, the same on every machine and in every order of cases.

    Args:
        seed: the run's seed, at least 0.
        content: what tells the case from others: the digest of its image, see ``ldseg.data.cases.LoadedCase``.
        purpose: keeps the streams of one case apart: "latent" for the sampler, "image" for noise on the image.
    """
    digest = hashlib.sha256(f"{purpose}/{content}".encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, "<u4").tolist()])
