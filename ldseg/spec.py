"""What a segmenter is, as data: all that it takes to build one again. Needs no Keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ldseg.base.spatial import AXES, MOST_CHANNELS
from ldseg.diffusion import PREDICTIONS, Schedule
from ldseg.models.presets import CONTROL, Preset, preset_of

MOST_CLASSES = 1 << 16
"""Classes that a mask of 16 bits can tell apart."""
_PLAIN = ("axes", "channels", "classes", "prediction", "control", "dynamic_conditioning", "ff_parser")


@dataclass(frozen=True, kw_only=True)
class SegmenterSpec:
    """All that it takes to build a segmenter again: what its weights fix.

    Attributes:
        preset: a name in ``ldseg.models.PRESETS``. An own preset is given as an object, and its name stands here.
        size: image grid S.
        axes: axes string of S.
        channels: channels of the image.
        classes: number of classes C.
        prediction: what the denoiser predicts.
        schedule: the noise schedule.
        control: whether state and time are hidden from the denoiser, which leaves a plain function of the image.
        dynamic_conditioning, ff_parser: whether the networks have these, for presets that can do without.
        outline: whether the networks tell the outline of an object from its inside, see ``parts``.
        own: the own preset, if one was given.
    """

    preset: str | Preset
    size: tuple[int, ...]
    axes: str
    channels: int
    classes: int
    prediction: str
    schedule: Schedule
    control: bool = False
    dynamic_conditioning: bool = True
    ff_parser: bool = True
    outline: bool = False
    own: Preset | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.preset, Preset):
            object.__setattr__(self, "own", self.preset)
            object.__setattr__(self, "preset", self.preset.name)
        elif self.own is not None and self.own.name != self.preset:  # replaced by one of another name
            object.__setattr__(self, "own", None)
        if self.axes not in AXES.values():
            raise ValueError(f"expected axes of {', '.join(AXES.values())}, got {self.axes!r}")
        if len(self.size) != len(self.axes) or min(self.size) < 1:
            raise ValueError(f"expected a positive size for each axis of {self.axes}, got {self.size}")
        if not 1 <= self.channels <= MOST_CHANNELS or not 2 <= self.classes <= MOST_CLASSES:
            wanted = f"expected 1 to {MOST_CHANNELS} channels and 2 to {MOST_CLASSES} classes"
            raise ValueError(f"{wanted}, got {self.channels} and {self.classes}")
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"expected a prediction of {PREDICTIONS}, got {self.prediction!r}")
        if self.control and self.prediction != "x0":
            raise ValueError(f"expected the prediction 'x0' of a control, got {self.prediction!r}")
        if self.outline and self.classes != 2:
            raise ValueError(f"expected two classes for networks that tell outlines, got {self.classes}")

    @property
    def family(self) -> Preset:
        """What family and size its networks are.

        Raises:
            ValueError: for a name that is not known here, such as that of an own preset.
        """
        return self.own or preset_of(self.preset)

    @property
    def architecture(self) -> str:
        """The family of the networks, as [Model] Architecture names it."""
        return CONTROL if self.control else self.family.architecture

    @property
    def parts(self) -> int:
        """P, what the networks tell apart at a pixel: the classes, and with ``outline`` that of the object as one more.

        ``ldseg.inference.parts`` makes classes and objects of them.
        """
        return self.classes + self.outline

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of the latent along each axis."""
        return self.family.strides(self.axes)

    @property
    def grid(self) -> tuple[int, ...]:
        """Latent grid L."""
        return self.family.latent_grid(self.size, self.axes)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape ``(*L, c)`` of one latent."""
        return (*self.grid, self.family.latent(self.parts))

    @property
    def hold(self) -> str | None:
        """What keeps an estimate of the clean latent in range, by its name in ``HOLDS``, each case by itself.

        A latent implied by noise is amplified up to twenty thousand times near pure noise, so it is standardised, as
        LDSeg does; a network that predicts the latent itself has learnt its range. One that is bounded is cut to its bounds.
        """
        if self.family.bounded:
            return "bound"
        return "standardize" if self.prediction in ("eps", "ldseg") else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; an own preset is there by its name."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        if self.outline:  # said only where it is so: descriptions from before it was known stay what they are
            plain["outline"] = True
        return {"preset": self.preset, "size": list(self.size), **plain, "schedule": self.schedule.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any], preset: Preset | None = None) -> SegmenterSpec:
        """The inverse of ``to_dict``.

        Args:
            values: plain values.
            preset: the own preset that they name, if they name one.

        Raises:
            ValueError: if they name another.
        """
        if preset is not None and preset.name != values["preset"]:
            raise ValueError(f"expected the preset {values['preset']!r}, got {preset.name!r}")
        schedule = Schedule(**values["schedule"])
        return cls(**{**values, "preset": preset or values["preset"], "size": tuple(values["size"]), "schedule": schedule})
