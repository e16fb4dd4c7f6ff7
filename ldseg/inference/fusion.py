"""One mask from the members of an ensemble."""

from __future__ import annotations

import numpy as np

from ldseg.base.options import FUSIONS
from ldseg.errors import ConfigError
from ldseg.inference.parts import most_probable

_MOST_ITERATIONS = 100


def fuse(probabilities: np.ndarray, fusion: str = "mean") -> np.ndarray:
    """Fuse the members of an ensemble, see ``fuse_labels``.

    Args:
        probabilities: ``(E, *S, C)``.
        fusion: one of ``FUSIONS``.

    Returns:
        class indices int32 ``(*S)``.
    """
    return fuse_labels(labels_of(probabilities), probabilities.mean(axis=0), fusion)


def fuse_labels(members: np.ndarray, mean: np.ndarray, fusion: str) -> np.ndarray:
    """Fuse members of which the masks and the mean probabilities are known.

    - ``mean``: the class of the highest mean probability, of equal ones the first.
    - ``vote``: the class of most members; of classes with equal votes the one of the higher mean probability.
    - ``staple``: the class that is most likely the true one, with the reliability of each member estimated along by
      expectation maximisation (Warfield et al., IEEE Trans. Med. Imaging 23(7), 2004; for several classes Rohlfing et al.,
      Information Processing in Medical Imaging, 2003). What it cannot decide is voted on.

    Args:
        members: class indices ``(E, *S)``.
        mean: mean of the members' probabilities ``(*S, C)``.
        fusion: one of ``FUSIONS``.

    Returns:
        class indices int32 ``(*S)``.

    Raises:
        ValueError: for an unknown fusion.
        ConfigError: for ``staple`` where SimpleITK is not installed.
    """
    if fusion not in FUSIONS:
        raise ValueError(f"expected a fusion of {FUSIONS}, got {fusion!r}")
    if fusion == "mean":
        return most_probable(mean)
    return _vote(members, mean) if fusion == "vote" else _staple(members, mean)


def labels_of(probabilities: np.ndarray) -> np.ndarray:
    """The most probable class of ``(..., C)``, in 8 bits where the classes fit, else in 16."""
    return most_probable(probabilities).astype(np.uint8 if probabilities.shape[-1] < 256 else np.uint16)


def _vote(members: np.ndarray, mean: np.ndarray) -> np.ndarray:
    votes = np.stack([(members == index).sum(axis=0, dtype=np.uint16) for index in range(mean.shape[-1])], axis=-1)
    leading = votes == votes.max(axis=-1, keepdims=True)
    return np.argmax(np.where(leading, mean, -1.0), axis=-1).astype(np.int32)


def _staple(members: np.ndarray, mean: np.ndarray) -> np.ndarray:
    if (members == members[0]).all():  # nothing to estimate, and without an object not a number
        return members[0].astype(np.int32)
    try:
        import SimpleITK as sitk  # a large library, for this alone
    except ModuleNotFoundError:
        wanted = 'expected SimpleITK, which is not installed: pip install "ldseg[staple]"'
        raise ConfigError(f"Sampler.Fusion = staple: {wanted}") from None
    images = [sitk.GetImageFromArray(member) for member in members]
    if mean.shape[-1] == 2:
        estimate = sitk.STAPLEImageFilter()
        estimate.SetForegroundValue(1)
        estimate.SetMaximumIterations(_MOST_ITERATIONS)
        return (sitk.GetArrayFromImage(estimate.Execute(images)) > 0.5).astype(np.int32)
    undecided = mean.shape[-1]  # a number that no class has
    several = sitk.MultiLabelSTAPLEImageFilter()
    several.SetLabelForUndecidedPixels(undecided)
    several.SetMaximumNumberOfIterations(_MOST_ITERATIONS)
    found = sitk.GetArrayFromImage(several.Execute(images)).astype(np.int32)
    return np.where(found == undecided, _vote(members, mean), found) if (found == undecided).any() else found
