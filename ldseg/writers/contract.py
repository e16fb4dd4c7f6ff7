"""What a format of results offers, and the segmented case that it is given.

A new format is one module with a `Writer` and one entry in the table `ldseg.writers.table.WRITERS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ldseg.base.deferred import Deferred
from ldseg.base.spatial import Mask, Numbers
from ldseg.errors import ConfigError
from ldseg.io.geometry import Geometry
from ldseg.writers.codes import ClassCode
from ldseg.writers.objects import Measurements, Objects, measure, objects_of


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """A segmented case, as formats are given it.

    Attributes:
        name: of the case.
        axes: a letter for each axis S, see ``ldseg.base.spatial``.
        classes: their names, background first.
        colours: red, green and blue from 0 to 255 of each class.
        mask: class numbers int32 ``(*S)``.
        instances: a number for each object ``(*S)``, where the objects are not the connected parts of each class.
        probabilities: of each class, float32 ``(*S, C)``.
        entropy: how unsure each position is, float32 ``(*S)`` from 0 to 1.
        image: ``(*S, c)``, as its file stores it.
        geometry: where it lies; None where that is not known.
        source: the file or folder of the image; None for an array.
        codes: coded terms of classes, by name.
    """

    name: str
    axes: str
    classes: Sequence[str]
    colours: Sequence[tuple[int, int, int]]
    mask: Mask
    instances: Mask | None = None
    probabilities: Numbers = Deferred()  # type: ignore[assignment]
    entropy: Numbers = Deferred()  # type: ignore[assignment]
    image: np.ndarray
    geometry: Geometry | None = None
    source: Path | None = None
    codes: Mapping[str, ClassCode] = field(default_factory=dict)

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """mm along each axis of the arrays; None where it is not known."""
        return None if self.geometry is None else self.geometry.array_spacing

    @cached_property
    def objects(self) -> Objects:
        """The objects of the mask, numbered."""
        return objects_of(self.mask, self.instances)

    @cached_property
    def measurements(self) -> Measurements:
        """What is measured of each object."""
        return measure(
            self.objects,
            axes=self.axes,
            classes=self.classes,
            spacing=self.spacing,
            image=self.image,
            uncertainty=self.entropy,
        )


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A format of results.

    Attributes:
        about: what it is, in a few words.
        files: what its file is called behind the name of the case, an extension aside where it is that of the image.
        write: write a segmented case into a folder, whole or not at all, and return the path. Where a case has not what the
            format needs it raises a `DataError` that names the case. It may raise anything.
        needs: modules of other projects that it imports.
        extra: the extra of LDSeg that brings them.
    """

    about: str
    files: str
    write: Callable[[Path, Segmentation], Path]
    needs: tuple[str, ...] = ()
    extra: str = ""

    def check(self, name: str) -> None:
        """Make sure that what it needs is installed.

        Raises:
            ConfigError: it is not; with what to install.
        """
        for module in self.needs:
            if importlib.util.find_spec(module) is None:
                raise ConfigError(f"Output.Formats: {name} needs {module}: pip install 'ldseg[{self.extra}]'")
