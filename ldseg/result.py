"""What comes out of segmenting one image."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ldseg.base.options import MASKS
from ldseg.base.paths import named_path
from ldseg.base.spatial import Image, Mask, Numbers
from ldseg.config.sections import DataConfig
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.evaluation.evaluate import TOLERANCE, Evaluation, evaluate
from ldseg.evaluation.familiarity import Familiarity, unfamiliar
from ldseg.evaluation.quality import Quality, predicted_dice
from ldseg.inference import Engine
from ldseg.inference.segmented import Segmented
from ldseg.outputs import Outputs
from ldseg.writers.codes import codes_of
from ldseg.writers.contract import Segmentation
from ldseg.writers.table import check_formats, write_formats

if TYPE_CHECKING:
    from ldseg.viz import Trace

logger = logging.getLogger(__name__)


def segmentation_of(
    item: Segmented, preprocessing: Preprocessing, *, look: DataConfig, instances: Mask | None = None
) -> Segmentation:
    """A segmented case as the formats of `ldseg.writers` are given it.

    Args:
        item: the case, without a problem.
        preprocessing: of the cases: their axes and classes.
        look: settings with the colours and the codes of the classes.
        instances: a number for each object, where these are wanted and not the parts of classes.
    """
    from ldseg.viz.style import class_bytes

    loaded = item.loaded
    assert loaded is not None and loaded.stored is not None  # as it was loaded
    return Segmentation(
        name=item.case.name,
        axes=preprocessing.axes,
        classes=preprocessing.classes,
        colours=class_bytes(len(preprocessing.classes), look.colours),
        mask=item.mask,
        instances=instances,
        probabilities=lambda: item.probabilities,  # type: ignore[arg-type]
        entropy=lambda: item.entropy,  # type: ignore[arg-type]
        image=loaded.stored,
        geometry=loaded.geometry,
        source=item.case.image if item.case.image.name else None,
        codes=codes_of(look.codes, preprocessing.classes),
    )


class Result:
    """One image, segmented or not.

    Where something was wrong with the image, ``problem`` says what; then the arrays raise it as a ``DataError``, and
    ``save`` writes nothing and logs it, so that a loop over a folder goes on.

    Attributes:
        name: of the case: that of its file without extension.
        source: the file or folder of the image; None for an array.
        classes: their names, background first.
        axes: a letter for each axis of the arrays, such as ``YX`` or ``ZYX``.
        problem: what was wrong; empty if nothing was.
        seconds: what reading, segmenting and resampling took.
    """

    def __init__(
        self,
        segmented: Segmented,
        preprocessing: Preprocessing,
        source: Path | None,
        quality: Quality | None = None,
        look: DataConfig | None = None,
        familiarity: Familiarity | None = None,
        engine: Engine | None = None,
        doubts: Sequence[str] = (),
    ) -> None:
        self._quality, self._preprocessing, self._look = quality, preprocessing, look or DataConfig()
        self._familiarity, self._engine, self._doubts = familiarity, engine, tuple(doubts)
        self._segmented = segmented
        self.source = source
        self.name = segmented.case.name
        self.classes = preprocessing.classes
        self.axes = preprocessing.axes
        self.problem = segmented.problem
        self.seconds = segmented.seconds

    def __repr__(self) -> str:
        if self.problem:
            return f"Result({self.name!r}, problem={self.problem!r})"
        size = "×".join(map(str, self.mask.shape))
        return f"Result({self.name!r}, {size}, {', '.join(self.classes)})"

    @property
    def colours(self) -> tuple[str, ...]:
        """Colours of the classes that the weights were trained with; nothing for those of ``ldseg.viz``."""
        return tuple(self._look.colours)

    @property
    def _found(self) -> Segmented:
        if self.problem:
            raise DataError(self.problem)
        return self._segmented

    @cached_property
    def mask(self) -> Mask:
        """Class numbers int32 ``(*S)``, of the image's own size."""
        return self._found.mask

    @property
    def probabilities(self) -> Numbers:
        """Probability of each class, float32 ``(*S, C)``: the mean over the masks that were drawn."""
        found = self._found.probabilities
        assert found is not None  # else there was a problem
        return found

    @property
    def entropy(self) -> Numbers:
        """How unsure each position is: entropy as a share of the highest there is, float32 ``(*S)`` from 0 to 1."""
        return self._found.entropy

    @cached_property
    def predicted_dice(self) -> float:
        """The Dice to expect of the mask, told without a label, from 0 to 1; see ``ldseg.evaluation.quality``.

        Where few cases of validation have checked it, or none, ``warnings`` says so.
        """
        return predicted_dice(self._found.signs, self._quality)

    @cached_property
    def unfamiliar(self) -> float | None:
        """How far the image lies from what the weights learned from, as a share of the limit, told without a label.

        None where the weights do not know; see ``ldseg.evaluation.familiarity``.
        """
        return unfamiliar(self._segmented.signature, self._familiarity)[0]

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Why not to trust the mask or its predicted Dice, one line each.

        Weights whose masks were noise in validation, a predicted Dice that few cases have checked, an image that is unlike
        those that the weights learned from.
        """
        return (*self._doubts, *unfamiliar(self._segmented.signature, self._familiarity)[1])

    @cached_property
    def trace(self) -> Trace | None:
        """The way from noise to mask: states, and the mask decoded from each; None unless ``states`` was asked for.

        Of an image that is covered with several tiles, that of the middle one.
        """
        from ldseg.viz.traces import trace_of

        if self._engine is None or self._found.states is None:
            return None
        return trace_of(self._found, self._engine, self._preprocessing, self._look.colours)

    @property
    def members(self) -> Mask | None:
        """The mask of each of several samples ``(E, *S)``; None where one was drawn."""
        return self._found.members

    @property
    def variance(self) -> Numbers | None:
        """Variance of the probabilities between several samples, float32 ``(*S)``; None where one was drawn."""
        return self._found.variance

    @cached_property
    def instances(self) -> Mask:
        """A number from 1 for each object of the mask, int32 ``(*S)``: its connected parts, those of a few pixels left out.

        Objects that touch are told apart by weights that learned the outline of each (``Model.Outline`` of their training).

        Raises:
            DataError: the mask has several classes.
        """
        if len(self.classes) > 2:
            raise DataError(f"{self.name}: objects are numbered in masks of two classes, got {', '.join(self.classes)}")
        return self._found.instances

    @property
    def image(self) -> Numbers:
        """The image as it was segmented: float32 ``(*S, c)`` in [0, 1]."""
        assert self._found.loaded is not None
        return self._found.loaded.image

    @property
    def label(self) -> Mask | None:
        """The true classes int32 ``(*S)`` of a case of a data set, -1 where it does not say; None where it has no label."""
        assert self._found.loaded is not None
        return self._found.loaded.label

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """mm along each axis; None where neither the file nor the caller said."""
        assert self._found.loaded is not None
        return self._found.loaded.spacing

    def evaluate(self, label: Mask | None = None, *, tolerance: float = TOLERANCE) -> Evaluation:
        """Compare the mask with a label, by default that of the data set, see ``ldseg.evaluate``.

        By regions, where the weights were trained with some.

        Raises:
            DataError: there is no label, or it does not fit.
        """
        label = self.label if label is None else label
        if label is None:
            raise DataError(f"{self.name}: expected a label to compare with, found none")
        regions = dict(self._preprocessing.regions)
        common = {"spacing": self.spacing, "tolerance": tolerance, "video": self.axes.startswith("T"), "regions": regions}
        return evaluate(self.mask, label, classes=self.classes, **common)  # type: ignore[arg-type]

    def overlay(self, *, alpha: float = 0.25) -> Image:
        """The image with its mask over it, and the outline of the label where there is one, uint8 ``(H, W, 3)``.

        Of a volume or a video the plane with the most object in it.

        Args:
            alpha: how much of the colour covers the image, from 0 to 1.
        """
        from ldseg.viz import overlay  # draws with OpenCV alone

        image, mask = self.image, self.mask
        true = None if self.label is None else np.maximum(self.label, 0)
        if image.shape[-1] not in (1, 3):  # modalities: the first of them
            image = image[..., :1]
        if mask.ndim == 3:
            plane = int(np.argmax((mask > 0).sum(axis=(1, 2))))
            image, mask, true = image[plane], mask[plane], None if true is None else true[plane]
        return overlay(image, mask, true=true, alpha=alpha)

    def save(
        self, folder: str | Path, *, masks: str = "classes", formats: Sequence[str] = ("mask",), overlay: bool = True
    ) -> Mapping[str, Path]:
        """Write what there is to write: the mask as ``<name>_segmentation`` in the format of the image, and the overlay.

        The mask has the size and the geometry of the image. A format that this image cannot have is logged, and the others
        are written.

        Args:
            folder: where to, ``~`` for the home folder; it is made if it is not there.
            masks: ``classes``, or ``instances`` for a number for each object.
            formats: names of ``ldseg.writers.table.WRITERS``, as [Output] Formats has them.
            overlay: whether to draw ``Overlay/<name>_overlay.png`` as well.

        Returns:
            the files by format, and ``overlay``; nothing for a result with a problem.

        Raises:
            ConfigError: there is no such format, or what it needs is not installed; nobody has the home of the folder.
            DataError: none of the formats can be written, or ``masks`` is neither.
        """
        if masks not in MASKS:
            raise DataError(f"masks: expected {' or '.join(MASKS)}, got {masks!r}")
        formats = (formats,) if isinstance(formats, str) else tuple(formats)
        check_formats(formats)
        if self.problem:
            logger.error("skipped %s: %s", self.name, self.problem)
            return {}
        folder, numbered = named_path("folder", str(folder)), self.instances if masks == "instances" else None
        case = segmentation_of(self._found, self._preprocessing, look=self._look, instances=numbered)
        files, missing = write_formats(folder, case, formats)
        if missing and not files:
            raise DataError("; ".join(missing))
        for line in missing:
            logger.error(line)
        if overlay:
            from ldseg.viz import save_image

            files["overlay"] = Outputs(folder).overlay(self.name)
            save_image(self.overlay(), files["overlay"])
        return files
