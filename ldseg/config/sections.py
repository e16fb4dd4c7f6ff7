"""The sections of ``cfg.ini``, one dataclass each.

To add a key, write its line here and its paragraph in ``cfg.ini``.
"""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ldseg.config.kinds import Choice, Flag, Kind, Number, Several, Text, convert, shown
from ldseg.errors import ConfigError
from ldseg.spatial import AXES

_SEED = Number(0, 2**31 - 1)


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
    scheduler: str = _key("Scheduler", "cosine", Choice(("linear", "quadratic", "cosine")))
    timesteps: int = _key("Timesteps", 1000, Number(1, 100_000))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta_0 < self.beta_t:
            self._refuse("Beta_0", f"expected a number below Beta_T ({self.beta_t:g}), got {self.beta_0:g}")


@dataclass(frozen=True, kw_only=True)
class SamplerConfig(Section):
    """[Sampler]: how a mask is drawn.

    `sigma` is the standard deviation of Gaussian noise added to the image, whose values lie in [0, 1].
    """

    NAME: ClassVar[str] = "Sampler"
    sampler: str = _key("Sampler", "DDIM", Choice(("DDIM", "DDPM")))
    sampling_steps: int = _key("Sampling_Steps", 15, Number(1, 100_000))
    sigma: float = _key("Sigma", 0.0, Number(0.0, 1.0))
    seed: int = _key("Seed", 0, _SEED)
    flips: bool = _key("Flips", False, Flag())


@dataclass(frozen=True, kw_only=True)
class ParametersConfig(Section):
    """[Parameters]: what to do, and the settings of training that LDSeg published."""

    NAME: ClassVar[str] = "Parameters"
    training: bool = _key("Training", False, Flag())
    checkpoint: bool = _key("Checkpoint", True, Flag())
    batch_size: int = _key("BatchSize", 4, Number(1, 4096))
    epoch: int = _key("Epoch", 2500, Number(1, 1_000_000))
    learning_rate: float = _key("LearningRate", 1e-3, Number(1e-8, 1.0))


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Section):
    """[Training]: the rest of training. `validate_every` counts epochs, `warm_up` counts updates."""

    NAME: ClassVar[str] = "Training"
    validation_fraction: float = _key("ValidationFraction", 0.2, Number(0.01, 0.9))
    validate_every: int = _key("ValidateEvery", 5, Number(1, 1_000_000))
    augmentation: str = _key("Augmentation", "histology", Choice(("histology", "flips", "none")))
    ema: float = _key("EMA", 0.999, Number(0.0, 0.99999))
    recycling: float = _key("Recycling", 0.7, Number(0.0, 1.0))
    diffusion_weight: float = _key("DiffusionWeight", 0.5, Number(0.0, 1000.0))
    weight_decay: float = _key("WeightDecay", 1e-4, Number(0.0, 1.0))
    warm_up: int = _key("WarmUp", 200, Number(0, 1_000_000))
    workers: int = _key("Workers", 2, Number(0, 256))
    seed: int = _key("Seed", 0, _SEED)


@dataclass(frozen=True, kw_only=True)
class GPUConfig(Section):
    """[GPU]: the devices and the arithmetic."""

    NAME: ClassVar[str] = "GPU"
    multiple: bool = _key("Multiple", False, Flag())
    precision: str = _key("Precision", "float32", Choice(("float32", "bfloat16", "float16")))


_FOLDER_NAME = "the name of a folder in Data.Root, not a path"
_PATTERNS = "patterns such as testA_* with commas between them"
_NAMES = "names with commas between them"
_LENGTHS = "whole numbers from 1 to 65536, one per axis, with commas between them"
_LENGTH = Number(1, 65536)


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section):
    """[Data]: where the images are and how they are prepared.

    `size` and `patch` count pixels, one length per axis. An empty `patch` means `size`, and is replaced by it
    when the section is made.
    """

    NAME: ClassVar[str] = "Data"
    root: str = _key("Root", "data", Text("a folder"))
    dataset: str = _key("Dataset", "GlaS", Text(_FOLDER_NAME, is_name=True))
    dimensions: str = _key("Dimensions", "2D", Choice(tuple(AXES)))
    cases: tuple[str, ...] = _key("Cases", ("*",), Several(Text(_PATTERNS), _PATTERNS))
    size: tuple[int, ...] = _key("Size", (256, 384), Several(_LENGTH, _LENGTHS))
    patch: tuple[int, ...] = _key("Patch", (256, 256), Several(_LENGTH, f"{_LENGTHS}, or nothing", True))
    channels: int = _key("Channels", 3, Choice((1, 3)))
    classes: tuple[str, ...] = _key("Classes", ("background", "gland"), Several(Text(_NAMES), _NAMES))
    labels: str = _key("Labels", "auto", Choice(("auto", "classes", "binary", "instances")))
    intensity: str = _key("Intensity", "dtype", Choice(("dtype", "percentile")))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.patch:
            object.__setattr__(self, "patch", self.size)
        self._check_lengths()
        self._check_classes()

    def _check_lengths(self) -> None:
        axes = AXES[self.dimensions]
        for key, lengths in (("Size", self.size), ("Patch", self.patch)):
            if len(lengths) != len(axes):
                wanted = f"expected {len(axes)} lengths ({shown(axes)}) for {self.dimensions} data"
                self._refuse(key, f"{wanted}, got {shown(lengths)}")
        if any(part > whole for part, whole in zip(self.patch, self.size, strict=True)):
            wanted = f"expected at most Data.Size ({shown(self.size)}) or nothing, got {shown(self.patch)}"
            nearest = shown(map(min, self.patch, self.size))
            self._refuse("Patch", f"{wanted}; the nearest valid value is {nearest}")

    def _check_classes(self) -> None:
        count, names = len(self.classes), shown(self.classes)
        if count < 2:
            self._refuse("Classes", f"expected at least two {_NAMES}, the background first, got {names}")
        if len({name.lower() for name in self.classes}) < count:
            self._refuse("Classes", f"expected {_NAMES}, no name twice, got {names}")
        if self.labels in {"binary", "instances"} and count != 2:
            wanted = f"expected auto or classes as Data.Classes has {count} names ({names})"
            self._refuse("Labels", f"{wanted}, got {self.labels}; the nearest valid value is classes")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """[Model]: the network, and where its weights are."""

    NAME: ClassVar[str] = "Model"
    architecture: str = _key("Architecture", "LDSeg", Choice(("LDSeg",)))
    preset: str = _key("Preset", "lean", Choice(("lean", "ldseg")))
    prediction: str = _key("Prediction", "auto", Choice(("auto", "eps", "x0", "v", "ldseg")))
    weights: str = _key("Weights", "", Text("a folder, or nothing", optional=True))


@dataclass(frozen=True, kw_only=True)
class OutputConfig(Section):
    """[Output]: what is written, and where. `diffusion` counts the cases whose reverse diffusion is drawn."""

    NAME: ClassVar[str] = "Output"
    folder: str = _key("Folder", "", Text("a folder, or nothing", optional=True))
    masks: str = _key("Masks", "classes", Choice(("classes", "instances")))
    overlay: bool = _key("Overlay", True, Flag())
    diffusion: int = _key("Diffusion", 1, Number(0, 1_000_000))
