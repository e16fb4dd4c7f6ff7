"""A case with what segmenting it gave."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ldseg.base.deferred import Deferred
from ldseg.base.regions import Unions
from ldseg.data.cases import Case, LoadedCase
from ldseg.evaluation.familiarity import Signature
from ldseg.evaluation.quality import Signs, SignSums, signs_of
from ldseg.inference.instances import label_instances
from ldseg.inference.parts import most_probable
from ldseg.inference.uncertainty import predictive_entropy


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """One case, segmented or not.

    Attributes:
        case: where it comes from.
        loaded: the case as read, the noise of ``sigma`` on its image; None if it could not be read.
        probabilities: mean over the members, float32 ``(*S, C)`` on the case's own grid; None if it could not be read.
            Those of a volume or a video are large, and made when they are asked for.
        members: the mask of each of several members, ``(E, *S)`` in 8 or 16 bits; None if there is one.
        variance: variance between them, float32 ``(*S)``; None if there is one.
        outline: probability of the outline of an object, float32 ``(*S)``, which is part of that of the object: mean over
            the members; None where the networks tell none.
        smallest: pixels that an object has at least, see ``label_instances``.
        video: whether the first axis is time.
        unions: the classes of the background and of each region that its quality is told for, see ``ldseg.base.regions``.
        fused: the mask, where it is not the most probable class of the mean, or was made already.
        sums: what its signs are made of, where they were added up already.
        signature: what tells how familiar its image is, see ``ldseg.evaluation.familiarity``; None unless asked for.
        states: the states of the run that made it, float32 ``(K, *L, c)``, see ``Drawn``; of several tiles that of
            ``TiledCase.middle``. None unless asked for.
        problem: what was wrong with it; empty if nothing was.
        seconds: reading, segmenting (its share of each batch) and resampling.
    """

    case: Case
    loaded: LoadedCase | None = None
    probabilities: np.ndarray | None = Deferred(None)  # type: ignore[assignment]
    members: np.ndarray | None = None
    variance: np.ndarray | None = None
    outline: np.ndarray | None = None
    smallest: float = 0.0
    video: bool = False
    unions: Unions = ()
    fused: np.ndarray | None = None
    sums: SignSums | None = None
    states: np.ndarray | None = None
    signature: Signature | None = None
    problem: str = ""
    seconds: float = 0.0

    @cached_property
    def mask(self) -> np.ndarray:
        """Class indices int32 ``(*S)``."""
        if self.fused is not None:
            return self.fused
        return most_probable(self._found)

    @property
    def signs(self) -> Signs:
        """What tells of the quality of the mask."""
        if self.sums is None:
            return signs_of(self._found, self.mask, self.entropy, self.members, self.unions)
        return self.sums.signs()

    @property
    def mean_entropy(self) -> float:
        """The mean of ``entropy``."""
        return float(self.entropy.mean()) if self.sums is None else self.sums.entropy

    @cached_property
    def instances(self) -> np.ndarray:
        """A number from 1 for each object of a mask of two classes, int32 ``(*S)``; see ``label_instances``."""
        return label_instances(self.mask, self.outline, self.smallest, video=self.video)

    @cached_property
    def entropy(self) -> np.ndarray:
        """Predictive entropy as a share of the highest there is, float32 ``(*S)``."""
        return predictive_entropy(self._found)

    @property
    def _found(self) -> np.ndarray:
        if self.probabilities is None:
            raise ValueError(f"{self.case.name} was not segmented: {self.problem}")
        return self.probabilities
