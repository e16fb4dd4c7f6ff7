"""The sections of ``cfg.ini``, one dataclass each.

To add a key, write its line here and its paragraph in ``cfg.ini``.
"""

import contextlib
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ldseg.augmentation.strength import KINDS
from ldseg.base.engines import ENGINES
from ldseg.base.options import (
    AUTO,
    DEGRADATIONS,
    FITS,
    FUSIONS,
    INTENSITIES,
    LABEL_RULES,
    MASKS,
    OUTLINES,
    PRECISIONS,
    SPARSE,
)
from ldseg.base.regions import Regions, check_regions
from ldseg.base.shards import Shard
from ldseg.base.spatial import AXES, MOST_CHANNELS
from ldseg.config.kinds import Auto, Choice, Flag, Kind, Named, Number, Pairs, Several, Text, convert, shown
from ldseg.diffusion import PREDICTIONS, SAMPLERS, SCHEDULES
from ldseg.errors import ConfigError
from ldseg.hosts import EXPECTED, check_hosts
from ldseg.models import presets_by_architecture
from ldseg.writers.codes import SHAPE, codes_of
from ldseg.writers.table import WRITERS

MOST_FOLDS = 100

FOLDS_SHARE = 0.92
"""Of the minutes, what trainings of folds share; the rest is for measuring all that they hold back."""

_SEED = Number(0, 2**31 - 1)
_FOLDER_NAME = "the name of a folder in Data.Root, not a path"
_FOLDERS = "folders with commas between them"
_PATTERNS = "patterns such as testA_* with commas between them"
_NAMES = "names with commas between them"
_LENGTHS = "whole numbers from 1 to 65536, one per axis, with commas between them"
_LENGTH = Number(1, 65536)
_MM = "numbers above 0 (mm), one per axis, with commas between them, or nothing"
_SIGMAS = "numbers from 0.0 to 1.0 with commas between them"
_STEPS = "whole numbers from 1 to 100000 with commas between them, or nothing"
_CODES = f"{SHAPE} with commas between them"
_FORMATS = f"some of {', '.join(WRITERS)} with commas between them"
_REGIONS = "names of regions with their classes, such as disc:1+2, cup:2, or nothing"
_MAP = "pairs such as 0:0, 128:1, 255:ignore, or #ff0000:1 (value in the file: class), each value once, or nothing"


def _key(name: str, default: object, kind: Kind) -> Any:
    """A dataclass field that stands for the key `name` of the file."""
    return field(default=default, metadata={"name": name, "kind": kind})


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the file: one field per key, checked when made. Raises ConfigError that names the key."""

    NAME: ClassVar[str]

    def __post_init__(self) -> None:
        for entry in fields(self):
            name, kind = f"{self.NAME}.{entry.metadata['name']}", entry.metadata["kind"]
            # Frozen for its users; here it is still being made.
            object.__setattr__(self, entry.name, convert(name, kind, getattr(self, entry.name)))

    def _refuse(self, key: str, message: str) -> None:
        raise ConfigError(f"{self.NAME}.{key}: {message}")


@dataclass(frozen=True, kw_only=True)
class NoiseSchedulerConfig(Section):
    """[NoiseScheduler]: how noise grows over the steps of the diffusion."""

    NAME: ClassVar[str] = "NoiseScheduler"
    beta_0: float = _key("Beta_0", 1e-4, Number(1e-8, 0.999))
    beta_t: float = _key("Beta_T", 0.02, Number(1e-8, 0.999))
    scheduler: str = _key("Scheduler", "cosine", Choice(tuple(SCHEDULES)))
    timesteps: int = _key("Timesteps", 1000, Number(1, 100_000))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta_0 < self.beta_t:
            self._refuse("Beta_0", f"expected a number below Beta_T ({self.beta_t:g}), got {self.beta_0:g}")


@dataclass(frozen=True, kw_only=True)
class SamplerConfig(Section):
    """[Sampler]: how a mask is drawn.

    `sigma` is the standard deviation of Gaussian noise added to the image, whose values lie in [0, 1]. `samples` counts the
    members of an ensemble, which `fusion` makes one mask of; of weights of several folds, each of the first `folds` draws as
    many.
    """

    NAME: ClassVar[str] = "Sampler"
    sampler: str = _key("Sampler", "DDIM", Choice(tuple(SAMPLERS)))
    sampling_steps: int | str = _key("Sampling_Steps", AUTO, Auto(Number(1, 100_000)))
    sigma: float = _key("Sigma", 0.0, Number(0.0, 1.0))
    seed: int = _key("Seed", 0, _SEED)
    flips: bool = _key("Flips", False, Flag())
    samples: int | str = _key("Samples", AUTO, Auto(Number(1, 1000)))
    fusion: str = _key("Fusion", "mean", Choice(FUSIONS))
    folds: int | str = _key("Folds", AUTO, Auto(Number(1, MOST_FOLDS)))

    @property
    def members(self) -> int:
        """Masks of each image, once nothing is left open: those of all folds."""
        return int(self.samples) * (1 if self.folds == AUTO else int(self.folds))


@dataclass(frozen=True, kw_only=True)
class ParametersConfig(Section):
    """[Parameters]: what to do, and the settings of training that LDSeg published."""

    NAME: ClassVar[str] = "Parameters"
    training: bool = _key("Training", False, Flag())
    checkpoint: bool = _key("Checkpoint", True, Flag())
    batch_size: int | str = _key("BatchSize", AUTO, Auto(Number(1, 4096)))
    epoch: int = _key("Epoch", 2500, Number(1, 1_000_000))
    learning_rate: float = _key("LearningRate", 1e-3, Number(1e-8, 1.0))


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Section):
    """[Training]: the rest of training. `validate_every` counts epochs, `warm_up` updates, the caches megabytes.

    `minutes` above 0 take the place of the number of epochs. With `folds` above 0, every case is held back by one of so many
    trainings, which share the minutes.
    """

    NAME: ClassVar[str] = "Training"
    minutes: float = _key("Minutes", 0.0, Number(0.0, 1_000_000.0))
    folds: int = _key("Folds", 0, Number(0, MOST_FOLDS))
    validation_fraction: float = _key("ValidationFraction", 0.2, Number(0.01, 0.9))
    validation: tuple[str, ...] = _key("Validation", (), Several(Text(_PATTERNS), f"{_PATTERNS}, or nothing", True))
    validate_every: int = _key("ValidateEvery", 5, Number(1, 1_000_000))
    augmentation: str = _key("Augmentation", AUTO, Choice((AUTO, *KINDS)))
    ema: float = _key("EMA", 0.999, Number(0.0, 0.99999))
    recycling: float | str = _key("Recycling", AUTO, Auto(Number(0.0, 1.0)))
    diffusion_weight: float = _key("DiffusionWeight", 0.5, Number(0.0, 1000.0))
    weight_decay: float = _key("WeightDecay", 1e-4, Number(0.0, 1.0))
    warm_up: int = _key("WarmUp", 200, Number(0, 1_000_000))
    samples_per_case: int | str = _key("SamplesPerCase", AUTO, Auto(Number(1, 100_000)))
    focus: float | str = _key("Focus", AUTO, Auto(Number(0.0, 1.0)))
    cache: int = _key("Cache", 1000, Number(0, 1_000_000))
    disk_cache: int = _key("DiskCache", 20_000, Number(0, 100_000_000))
    workers: int = _key("Workers", 2, Number(0, 256))
    seed: int = _key("Seed", 0, _SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds == 1:
            self._refuse("Folds", "expected 0 (one training) or at least 2, got 1")
        if self.folds and self.validation:
            wanted = f"expected nothing with Training.Folds = {self.folds}, which holds every case back once"
            self._refuse("Validation", f"{wanted}, got {shown(self.validation)}")

    @property
    def minutes_each(self) -> float:
        """Minutes of each of the trainings that share them; the rest is for measuring what they hold back."""
        return FOLDS_SHARE * self.minutes / self.folds if self.folds else self.minutes

    @property
    def held_back(self) -> float:
        """Share of the cases that a training holds back."""
        return 1 / self.folds if self.folds else self.validation_fraction


@dataclass(frozen=True, kw_only=True)
class GPUConfig(Section):
    """[GPU]: the devices and the arithmetic."""

    NAME: ClassVar[str] = "GPU"
    multiple: bool = _key("Multiple", False, Flag())
    hosts: str = _key("Hosts", AUTO, Text(EXPECTED))
    engine: str = _key("Engine", AUTO, Choice((AUTO, *ENGINES)))
    precision: str = _key("Precision", "float32", Choice((AUTO, *PRECISIONS)))
    ray: str = _key("Ray", "", Text("local, auto, or the address of a cluster, or nothing", optional=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            check_hosts(self.hosts)
        except ValueError as error:
            self._refuse("Hosts", str(error))


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section):
    """[Data]: where the images are and how they are prepared.

    `size` and `patch` count pixels or voxels, one length per axis. What is empty or ``auto`` is chosen from the data when
    training and comes with the weights when segmenting.
    """

    NAME: ClassVar[str] = "Data"
    root: str = _key("Root", "data", Text("a folder"))
    dataset: str = _key("Dataset", "GlaS", Text(_FOLDER_NAME, is_name=True))
    dimensions: str = _key("Dimensions", AUTO, Choice((AUTO, *AXES)))
    cases: tuple[str, ...] = _key("Cases", ("*",), Several(Text(_PATTERNS), _PATTERNS))
    shard: str = _key("Shard", "", Text("i/n, or nothing", optional=True))
    size: tuple[int, ...] = _key("Size", (), Several(_LENGTH, f"{_LENGTHS}, or nothing", True))
    patch: tuple[int, ...] = _key("Patch", (), Several(_LENGTH, f"{_LENGTHS}, or nothing", True))
    fit: str = _key("Fit", AUTO, Choice((AUTO, *FITS)))
    zoom: float | str = _key("Zoom", AUTO, Auto(Number(1.0, 64.0)))
    spacing: tuple[float, ...] = _key("Spacing", (), Several(Number(1e-6, 1e6), _MM, True))
    channels: int | str = _key("Channels", AUTO, Choice((AUTO, *range(1, MOST_CHANNELS + 1))))
    classes: tuple[str, ...] = _key("Classes", (), Several(Text(_NAMES), f"{_NAMES}, or nothing", True))
    regions: Regions = _key("Regions", (), Named(Text(_NAMES), Number(0, 65535), _REGIONS))
    colours: tuple[str, ...] = _key("Colours", (), Several(Text(_NAMES), f"{_NAMES}, or nothing", True))
    codes: tuple[str, ...] = _key("Codes", (), Several(Text(_CODES), f"{_CODES}, or nothing", True))
    labels: str = _key("Labels", AUTO, Choice(LABEL_RULES))
    sparse: str = _key("Sparse", "no", Choice(SPARSE))
    label_map: tuple[tuple[int, int], ...] = _key("LabelMap", (), Pairs(Number(-(2**31), 2**31 - 1), Number(0, 65535), _MAP))
    intensity: str = _key("Intensity", AUTO, Choice((AUTO, *INTENSITIES)))
    window: tuple[float, ...] = _key(
        "Window", (), Several(Number(-1e9, 1e9), "a lower and a higher number with a comma between them, or nothing", True)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_shard()
        self._check_lengths()
        self._check_classes()
        if self.intensity == "window" and not self.window:
            self._refuse("Window", "expected a lower and a higher number for Data.Intensity = window, got nothing")
        if self.window and not (len(self.window) == 2 and self.window[0] < self.window[1]):
            self._refuse("Window", f"expected a lower and a higher number, got {shown(self.window)}")

    def _check_shard(self) -> None:
        if self.shard:
            try:
                Shard.of_text(self.shard)
            except ValueError as error:
                self._refuse("Shard", str(error))

    def _check_lengths(self) -> None:
        axes = AXES.get(self.dimensions)
        for key, lengths in (("Size", self.size), ("Patch", self.patch), ("Spacing", self.spacing)):
            if lengths and len(lengths) not in ((len(axes),) if axes else (2, 3)):
                known = f"{len(axes)} numbers ({shown(axes)}) for {self.dimensions} data" if axes else "2 or 3 numbers"
                self._refuse(key, f"expected {known}, or nothing, got {shown(lengths)}")
        if self.size and any(part > whole for part, whole in zip(self.patch, self.size, strict=False)):
            wanted = f"expected at most Data.Size ({shown(self.size)}) or nothing, got {shown(self.patch)}"
            nearest = shown(map(min, self.patch, self.size))
            self._refuse("Patch", f"{wanted}; the nearest valid value is {nearest}")
        if self.spacing and self.fit != "tile":
            self._refuse("Spacing", f"expected nothing, as only Data.Fit = tile uses it, got {shown(self.spacing)}")
        if self.zoom not in (AUTO, 1.0) and self.fit not in (AUTO, "aspect"):
            self._refuse("Zoom", f"expected auto or 1, as only Data.Fit = aspect uses it, got {self.zoom}")

    def _check_classes(self) -> None:
        if self.sparse != "no" and self.dimensions == "2D":
            self._refuse("Sparse", "expected no for 2D images, which have no slices; see Data.LabelMap, got slices")
        count, names = len(self.classes), shown(self.classes)
        if count == 1:
            self._refuse("Classes", f"expected at least two {_NAMES}, the background first, got {names}")
        if len({name.lower() for name in self.classes}) < count:
            self._refuse("Classes", f"expected {_NAMES}, no name twice, got {names}")
        if self.labels in {"binary", "instances"} and count > 2:
            wanted = f"expected auto or classes as Data.Classes has {count} names ({names})"
            self._refuse("Labels", f"{wanted}, got {self.labels}; the nearest valid value is classes")
        if self.colours and count and len(self.colours) != count:
            self._refuse("Colours", f"expected one for each of Data.Classes ({names}), got {shown(self.colours)}")
        if self.colours:
            for colour in self.colours:
                if not _is_colour(colour):
                    self._refuse("Colours", f"expected names of colours or #rrggbb, got {colour!r}")
        for key, check in (
            ("Codes", lambda: codes_of(self.codes, self.classes)),
            ("Regions", lambda: check_regions(self.regions, self.classes)),
        ):
            try:
                check()
            except ValueError as error:
                self._refuse(key, str(error))
        beyond = [f"{value}:{index}" for value, index in self.label_map if index >= (count or 2)]
        if beyond:
            self._refuse("LabelMap", f"expected classes from 0 to {(count or 2) - 1}, got {shown(beyond)}")


@dataclass(frozen=True, kw_only=True)
class SlidesConfig(Section):
    """[Slides]: whole slides. `microns` and `image_microns` are µm per pixel, 0 where they are left open."""

    NAME: ClassVar[str] = "Slides"
    microns: float = _key("Microns", 0.0, Number(0.0, 1000.0))
    image_microns: float = _key("ImageMicrons", 0.0, Number(0.0, 1000.0))
    skip_background: bool = _key("SkipBackground", True, Flag())


PRESETS_OF = presets_by_architecture()
"""The presets of each architecture."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """[Model]: the network, and where its weights are."""

    NAME: ClassVar[str] = "Model"
    architecture: str = _key("Architecture", "LDSeg", Choice(tuple(PRESETS_OF)))
    preset: str = _key(
        "Preset", "lean", Choice((AUTO, *dict.fromkeys(name for names in PRESETS_OF.values() for name in names)))
    )
    prediction: str = _key("Prediction", AUTO, Choice((AUTO, *PREDICTIONS)))
    dynamic_conditioning: bool = _key("DynamicConditioning", True, Flag())
    ffparser: bool = _key("FFParser", True, Flag())
    outline: str = _key("Outline", AUTO, Choice(OUTLINES))
    weights: str = _key("Weights", "", Text("a folder, or nothing", optional=True))
    start: str = _key("Start", "", Text("weights that come with LDSeg, a folder, or nothing", optional=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        named, presets = f"Model.Architecture = {self.architecture}", PRESETS_OF[self.architecture]
        if self.preset not in (AUTO, *presets):
            # Names of two families say nothing of each other: the first is the one to begin with.
            wanted = f"expected one of {shown(presets)} for {named}"
            self._refuse("Preset", f"{wanted}, got {self.preset}; the nearest valid value is {presets[0]}")
        if self.architecture == "Control" and self.prediction not in (AUTO, "x0"):
            wanted = f"expected auto or x0 for {named}"
            self._refuse("Prediction", f"{wanted}, got {self.prediction}; the nearest valid value is x0")
        if self.architecture == "MedSegDiff":
            if self.prediction == "ldseg":
                wanted = f"expected auto, eps, x0 or v for {named}"
                self._refuse("Prediction", f"{wanted}, got ldseg; the nearest valid value is eps")
            return
        for key, value in (("DynamicConditioning", self.dynamic_conditioning), ("FFParser", self.ffparser)):
            if not value:
                self._refuse(key, f"expected True for {named}, which does without it, got False")


@dataclass(frozen=True, kw_only=True)
class OutputConfig(Section):
    """[Output]: what is written, and where. `diffusion` counts the cases whose reverse diffusion, or noise, is drawn."""

    NAME: ClassVar[str] = "Output"
    folder: str = _key("Folder", "", Text("a folder, or nothing", optional=True))
    masks: str = _key("Masks", "classes", Choice(MASKS))
    formats: tuple[str, ...] = _key("Formats", ("mask",), Several(Choice(tuple(WRITERS)), _FORMATS))
    overlay: bool = _key("Overlay", True, Flag())
    diffusion: int = _key("Diffusion", 1, Number(0, 1_000_000))
    report: bool = _key("Report", True, Flag())
    compare: tuple[str, ...] = _key("Compare", (), Several(Text(_FOLDERS), f"{_FOLDERS}, or nothing", True))

    @property
    def pictures(self) -> bool:
        """Whether anything is to be drawn; then the noise schedule and the calibration are, too."""
        return self.overlay or self.report or self.diffusion > 0


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Section):
    """[Evaluation]: how masks are compared with labels, and what is tried out on them.

    `tolerance` is in mm, or in pixels where mm are not known; `sigmas` are strengths of the `noise` on images in [0, 1].
    """

    NAME: ClassVar[str] = "Evaluation"
    tolerance: float = _key("Tolerance", 2.0, Number(0.0, 1000.0))
    robustness: bool = _key("Robustness", False, Flag())
    sigmas: tuple[float, ...] = _key(
        "Sigmas", (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2), Several(Number(0.0, 1.0), _SIGMAS)
    )
    noise: str = _key("Noise", "gaussian", Choice(tuple(DEGRADATIONS)))
    step_sweep: tuple[int, ...] = _key("StepSweep", (), Several(Number(1, 100_000), _STEPS, True))
    state_audit: bool = _key("StateAudit", False, Flag())


def _is_colour(words: str) -> bool:
    """Whether it is a colour that can be drawn: as CSS has them, and where Matplotlib is installed, as that has them."""
    from PIL import ImageColor  # here, and likewise below, so that reading settings stays light

    with contextlib.suppress(ValueError):
        return bool(ImageColor.getrgb(words))
    try:
        from matplotlib.colors import is_color_like
    except ImportError:
        return False
    return bool(is_color_like(words))
