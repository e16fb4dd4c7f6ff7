"""The settings: ``cfg.ini`` and ``--set`` in, frozen and validated dataclasses out.

A key is defined once, in its section's dataclass: its name in the file, its default, and the kind of value it takes.
Reading, checking, error messages and the round trip through JSON follow from that one line; what a key means to the
user is written in ``cfg.ini``.
"""

import configparser
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from ldseg.errors import ConfigError
from ldseg.spatial import AXES

_MAX_SEED = 2**31 - 1


def _nearest(name: str, names: Iterable[str], cutoff: float = 0.0) -> str | None:
    """The entry of `names` most like `name`, letter case aside; None if none is as alike as `cutoff` (0 to 1)."""
    by_lower = {entry.lower(): entry for entry in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


class _Refused(Exception):
    """A value that is not of its kind; `nearest` is the valid value closest to it, where there is one."""

    def __init__(self, nearest: object = None) -> None:
        super().__init__()
        self.nearest = nearest


# Kinds of values. `convert` takes the text of the file, or a value of the right type (so that a dataclass made in
# code, or from JSON, passes the same check), and returns the canonical value or raises _Refused.


@dataclass(frozen=True)
class _Number:
    """A number from `low` to `high`, both included; a whole one where both are int."""

    low: float
    high: float

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def expected(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.low} to {self.high}"

    def convert(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise _Refused
        try:
            number = int(value) if self.whole else float(value)
        except (ValueError, OverflowError):
            raise _Refused from None
        if isinstance(value, float) and number != value:
            raise _Refused
        if not self.low <= number <= self.high:
            nearest = self.low if number < self.low else self.high if number > self.high else None
            raise _Refused(nearest)
        return number


@dataclass(frozen=True)
class _Flag:
    """True or False, in any of configparser's spellings."""

    expected: ClassVar[str] = "True or False (or yes/no, on/off, 1/0)"

    def convert(self, value: object) -> bool:
        state = configparser.ConfigParser.BOOLEAN_STATES.get(str(value).lower())
        if state is None:
            raise _Refused(_nearest(str(value), ("True", "False", "yes", "no", "on", "off")))
        return state


@dataclass(frozen=True)
class _Choice:
    """One of a few values, letter case aside; returned as spelt in `values`."""

    values: tuple[str | int, ...]

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(map(str, self.values))

    def convert(self, value: object) -> str | int:
        by_name = {str(entry).lower(): entry for entry in self.values}
        try:
            return by_name[str(value).lower()]
        except KeyError:
            raise _Refused(_nearest(str(value), map(str, self.values))) from None


@dataclass(frozen=True)
class _Text:
    """A line of text; `optional` lets it be empty, `name` asks for a plain file name without separators."""

    expected: str
    optional: bool = False
    name: bool = False

    def convert(self, value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or not (value.strip() or self.optional):
            raise _Refused
        if self.name and (value.strip() in {".", ".."} or set(value) & set('/\\')):
            raise _Refused(next((part for part in reversed(value.replace("\\", "/").split("/")) if part.strip(". ")), None))
        return value.strip()


@dataclass(frozen=True)
class _List:
    """Values of one kind with commas between them; `optional` lets the list be empty."""

    entry: _Number | _Text
    expected: str
    optional: bool = False

    def convert(self, value: object) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = value.split(",") if value.strip() else []
        if not isinstance(value, (list, tuple)) or not (value or self.optional):
            raise _Refused
        return tuple(self.entry.convert(part.strip() if isinstance(part, str) else part) for part in value)


_Kind = _Number | _Flag | _Choice | _Text | _List


def _key(name: str, default: object, kind: _Kind) -> Any:
    """A dataclass field that stands for the key `name` of the file."""
    return field(default=default, metadata={"name": name, "kind": kind})


def _convert(name: str, kind: _Kind, value: object) -> Any:
    try:
        return kind.convert(value)
    except _Refused as refused:
        hint = "" if refused.nearest is None else f"; the nearest valid value is {refused.nearest}"
        raise ConfigError(f"{name}: expected {kind.expected}, got {value!r}{hint}") from None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the file: one field per key, checked when made. Raises ConfigError naming ``Section.Key``."""

    NAME: ClassVar[str]

    def __post_init__(self) -> None:
        for entry in fields(self):
            name = f"{self.NAME}.{entry.metadata['name']}"
            # The dataclass is frozen for its users; here it is still being made.
            object.__setattr__(self, entry.name, _convert(name, entry.metadata["kind"], getattr(self, entry.name)))

    def _refuse(self, key: str, message: str) -> None:
        raise ConfigError(f"{self.NAME}.{key}: {message}")


@dataclass(frozen=True, kw_only=True)
class NoiseSchedulerConfig(Section):
    """[NoiseScheduler]: how noise grows over the steps of the diffusion."""

    NAME: ClassVar[str] = "NoiseScheduler"
    beta_0: float = _key("Beta_0", 1e-4, _Number(1e-8, 0.999))
    beta_t: float = _key("Beta_T", 0.02, _Number(1e-8, 0.999))
    scheduler: str = _key("Scheduler", "cosine", _Choice(("linear", "quadratic", "cosine")))
    timesteps: int = _key("Timesteps", 1000, _Number(1, 100_000))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta_0 < self.beta_t:
            self._refuse("Beta_0", f"expected a number below Beta_T ({self.beta_t:g}), got {self.beta_0:g}")


@dataclass(frozen=True, kw_only=True)
class SamplerConfig(Section):
    """[Sampler]: how a mask is drawn. `sigma` is the standard deviation of noise added to the image, in [0, 1]."""

    NAME: ClassVar[str] = "Sampler"
    sampler: str = _key("Sampler", "DDIM", _Choice(("DDIM", "DDPM")))
    sampling_steps: int = _key("Sampling_Steps", 15, _Number(1, 100_000))
    sigma: float = _key("Sigma", 0.0, _Number(0.0, 1.0))
    seed: int = _key("Seed", 0, _Number(0, _MAX_SEED))
    flips: bool = _key("Flips", False, _Flag())


@dataclass(frozen=True, kw_only=True)
class ParametersConfig(Section):
    """[Parameters]: what to do, and the settings of the training that LDSeg published."""

    NAME: ClassVar[str] = "Parameters"
    training: bool = _key("Training", False, _Flag())
    checkpoint: bool = _key("Checkpoint", True, _Flag())
    batch_size: int = _key("BatchSize", 4, _Number(1, 4096))
    epoch: int = _key("Epoch", 2500, _Number(1, 1_000_000))
    learning_rate: float = _key("LearningRate", 1e-3, _Number(1e-8, 1.0))


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Section):
    """[Training]: the rest of the training. `validate_every` is in epochs, `warm_up` in updates."""

    NAME: ClassVar[str] = "Training"
    validation_fraction: float = _key("ValidationFraction", 0.2, _Number(0.01, 0.9))
    validate_every: int = _key("ValidateEvery", 5, _Number(1, 1_000_000))
    augmentation: str = _key("Augmentation", "histology", _Choice(("histology", "flips", "none")))
    ema: float = _key("EMA", 0.999, _Number(0.0, 0.99999))
    recycling: float = _key("Recycling", 0.7, _Number(0.0, 1.0))
    diffusion_weight: float = _key("DiffusionWeight", 0.5, _Number(0.0, 1000.0))
    weight_decay: float = _key("WeightDecay", 1e-4, _Number(0.0, 1.0))
    warm_up: int = _key("WarmUp", 200, _Number(0, 1_000_000))
    workers: int = _key("Workers", 2, _Number(0, 256))
    seed: int = _key("Seed", 0, _Number(0, _MAX_SEED))


@dataclass(frozen=True, kw_only=True)
class GPUConfig(Section):
    """[GPU]: the devices and the arithmetic."""

    NAME: ClassVar[str] = "GPU"
    multiple: bool = _key("Multiple", False, _Flag())
    precision: str = _key("Precision", "float32", _Choice(("float32", "bfloat16", "float16")))


_LENGTHS = "whole numbers from 1 to 65536, one per axis, with commas between them"
_NAMES = "names with commas between them"


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section):
    """[Data]: where the images are and how they are prepared. `size` and `patch` are in pixels, one per axis.

    An empty `patch` means `size`, and is replaced by it when the section is made.
    """

    NAME: ClassVar[str] = "Data"
    root: str = _key("Root", "data", _Text("a folder"))
    dataset: str = _key("Dataset", "GlaS", _Text("the name of a folder inside Data.Root, without / or \\", name=True))
    dimensions: str = _key("Dimensions", "2D", _Choice(tuple(AXES)))
    cases: tuple[str, ...] = _key("Cases", ("*",), _List(_Text(""), "patterns such as testA_* with commas between them"))
    size: tuple[int, ...] = _key("Size", (256, 384), _List(_Number(1, 65536), _LENGTHS))
    patch: tuple[int, ...] = _key("Patch", (256, 256), _List(_Number(1, 65536), f"{_LENGTHS}, or nothing", optional=True))
    channels: int = _key("Channels", 3, _Choice((1, 3)))
    classes: tuple[str, ...] = _key("Classes", ("background", "gland"), _List(_Text(""), _NAMES))
    labels: str = _key("Labels", "auto", _Choice(("auto", "classes", "binary", "instances")))
    intensity: str = _key("Intensity", "dtype", _Choice(("dtype", "percentile")))

    def __post_init__(self) -> None:
        super().__post_init__()
        axes = self.axes
        if not self.patch:
            object.__setattr__(self, "patch", self.size)
        for key, lengths in (("Size", self.size), ("Patch", self.patch)):
            if len(lengths) != len(axes):
                wanted = f"expected {len(axes)} lengths ({', '.join(axes)}) for Data.Dimensions = {self.dimensions}"
                self._refuse(key, f"{wanted}, got {_shown(lengths)}")
        if any(part > whole for part, whole in zip(self.patch, self.size, strict=True)):
            wanted = f"expected no length above that of Data.Size ({_shown(self.size)})"
            self._refuse("Patch", f"{wanted}, got {_shown(self.patch)}; leave it empty to take Data.Size")
        if len(self.classes) < 2:
            self._refuse("Classes", f"expected at least two {_NAMES}, background first, got {_shown(self.classes)}")
        if len({name.lower() for name in self.classes}) < len(self.classes):
            self._refuse("Classes", f"expected {_NAMES}, each only once, got {_shown(self.classes)}")
        if self.labels in {"binary", "instances"} and len(self.classes) != 2:
            wanted = f"{self.labels} labels tell two classes apart, but Data.Classes has {len(self.classes)}"
            self._refuse("Labels", f"{wanted} ({_shown(self.classes)}); expected auto or classes")

    @property
    def axes(self) -> str:
        """The axes of an image by letter, such as "YX"."""
        return AXES[self.dimensions]


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """[Model]: the network, and where its weights are."""

    NAME: ClassVar[str] = "Model"
    architecture: str = _key("Architecture", "LDSeg", _Choice(("LDSeg",)))
    preset: str = _key("Preset", "lean", _Choice(("lean", "ldseg")))
    prediction: str = _key("Prediction", "auto", _Choice(("auto", "eps", "x0", "v", "ldseg")))
    weights: str = _key("Weights", "", _Text("a folder, or nothing", optional=True))


@dataclass(frozen=True, kw_only=True)
class OutputConfig(Section):
    """[Output]: what is written, and where. `diffusion` counts the cases whose reverse diffusion is drawn."""

    NAME: ClassVar[str] = "Output"
    folder: str = _key("Folder", "", _Text("a folder, or nothing", optional=True))
    masks: str = _key("Masks", "classes", _Choice(("classes", "instances")))
    overlay: bool = _key("Overlay", True, _Flag())
    diffusion: int = _key("Diffusion", 1, _Number(0, 1_000_000))


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings. Raises ConfigError where two of them contradict each other.

    `explicit` holds the ``Section.Key`` of every key that the file or an override sets, `source` is the file; both tell
    where values came from, so they take no part in comparison or in `to_dict`.
    """

    noise_scheduler: NoiseSchedulerConfig = field(default_factory=NoiseSchedulerConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    parameters: ParametersConfig = field(default_factory=ParametersConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gpu: GPUConfig = field(default_factory=GPUConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    explicit: frozenset[str] = field(default=frozenset(), compare=False)
    source: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        steps, timesteps = self.sampler.sampling_steps, self.noise_scheduler.timesteps
        if steps > timesteps:
            wanted = f"expected at most NoiseScheduler.Timesteps ({timesteps})"
            raise ConfigError(f"Sampler.Sampling_Steps: {wanted}, got {steps}; the nearest valid value is {timesteps}")
        if self.output.masks == "instances" and len(self.data.classes) != 2:
            wanted = f"instances need two classes, but Data.Classes has {len(self.data.classes)}"
            raise ConfigError(f"Output.Masks: {wanted} ({_shown(self.data.classes)}); expected classes")

    @property
    def dataset_folder(self) -> Path:
        """The folder of the data set: Root/Dataset."""
        return Path(self.data.root).expanduser() / self.data.dataset

    @property
    def weights_folder(self) -> Path:
        """[Model] Weights, or weights/<Dataset> where that is empty."""
        return Path(self.model.weights).expanduser() if self.model.weights else Path("weights") / self.data.dataset

    @property
    def output_folder(self) -> Path:
        """[Output] Folder, or <Root>/<Dataset>/Segmentation where that is empty."""
        return Path(self.output.folder).expanduser() if self.output.folder else self.dataset_folder / "Segmentation"

    def value(self, name: str) -> Any:
        """The value of the key ``Section.Key``. Raises ConfigError for an unknown name."""
        key = _find_key(*_split_name(name))
        return getattr(getattr(self, key.section), key.attribute)

    def with_values(self, values: Mapping[str, object]) -> Self:
        """A copy with other values for some keys, by ``Section.Key``; `explicit` and `source` stay as they are."""
        changes: dict[str, dict[str, object]] = {}
        for name, value in values.items():
            key = _find_key(*_split_name(name))
            changes.setdefault(key.section, {})[key.attribute] = value
        return replace(self, **{name: replace(getattr(self, name), **change) for name, change in changes.items()})

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Every value by section and key, named as in the file, in types that JSON has (a tuple becomes a list)."""
        result: dict[str, dict[str, Any]] = {}
        for key in KEYS.values():
            value = getattr(getattr(self, key.section), key.attribute)
            result.setdefault(key.section_name, {})[key.name] = list(value) if isinstance(value, tuple) else value
        return result

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, object]]) -> Self:
        """The inverse of `to_dict`; keys that are absent take their defaults. Raises ConfigError as a file would."""
        return cls().with_values({f"{section}.{key}": value for section, keys in values.items() for key, value in keys.items()})


@dataclass(frozen=True, kw_only=True)
class Key:
    """Where a key stands: in the file (`section_name`, `name`) and in a Config (`section`, `attribute`)."""

    section_name: str
    name: str
    section: str
    attribute: str
    kind: _Kind
    default: Any


def _all_keys() -> dict[str, Key]:
    result: dict[str, Key] = {}
    for section in fields(Config):
        if isinstance(section.default_factory, type) and issubclass(section.default_factory, Section):
            for entry in fields(section.default_factory):
                name = f"{section.default_factory.NAME}.{entry.metadata['name']}"
                result[name] = Key(
                    section_name=section.default_factory.NAME,
                    name=entry.metadata["name"],
                    section=section.name,
                    attribute=entry.name,
                    kind=entry.metadata["kind"],
                    default=entry.default,
                )
    return result


KEYS: dict[str, Key] = _all_keys()
"""Every key by ``Section.Key``, in the order of the file."""


def _shown(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "nothing"


def _split_name(name: str) -> tuple[str, str]:
    section, dot, key = name.strip().partition(".")
    if not dot:
        near = _nearest(key or section, (entry.name for entry in KEYS.values()))
        full = next(full for full, entry in KEYS.items() if entry.name == near)
        raise ConfigError(f"{name!r}: expected Section.Key; the nearest valid name is {full}")
    return section.strip(), key.strip()


def _find_section(section: str) -> str:
    names = dict.fromkeys(key.section_name for key in KEYS.values())
    for name in names:
        if name.lower() == section.lower():
            return name
    raise ConfigError(
        f"[{section}]: unknown section; expected one of {', '.join(names)}; the nearest is [{_nearest(section, names)}]"
    )


def _find_key(section: str, name: str) -> Key:
    section = _find_section(section)
    siblings = {key.name: key for key in KEYS.values() if key.section_name == section}
    for key in siblings.values():
        if key.name.lower() == name.lower():
            return key
    # A key that stands in the wrong section is told from one that is misspelt.
    elsewhere = [full for full, key in KEYS.items() if key.name.lower() == name.lower()]
    near = elsewhere[0] if elsewhere else f"{section}.{_nearest(name, siblings)}"
    raise ConfigError(f"{section}.{name}: unknown key; expected one of {', '.join(siblings)}; the nearest is {near}")


def _read_file(path: Path) -> dict[str, dict[str, str]]:
    """The text of every key by section as it stands in the file. Raises ConfigError (without the file's name)."""
    # Interpolation is off so that a path may hold a %; no section may pass its values on to the others as DEFAULT does.
    parser = configparser.ConfigParser(
        interpolation=None, inline_comment_prefixes=("#", ";"), default_section="\0", empty_lines_in_values=False
    )
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        near = _nearest(path.name, (entry.name for entry in path.parent.glob("*.ini")))
        hint = f"; the nearest is {path.with_name(near)}" if near else ""
        raise ConfigError(f"no such file; expected a configuration such as cfg.ini{hint}") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}; expected a configuration such as cfg.ini") from None
    except UnicodeDecodeError:
        raise ConfigError("not a text file; expected a configuration in UTF-8 such as cfg.ini") from None
    except configparser.DuplicateOptionError as error:
        key = _find_key(error.section, error.option)
        raise ConfigError(f"{key.section_name}.{key.name}: set twice, again in line {error.lineno}; expected once") from None
    except configparser.DuplicateSectionError as error:
        raise ConfigError(f"[{error.section}]: begins twice, again in line {error.lineno}; expected once") from None
    except configparser.MissingSectionHeaderError as error:
        raise ConfigError(f"line {error.lineno}: expected a section such as [Data] first, got {error.line.strip()!r}") from None
    except configparser.ParsingError as error:
        line, text = error.errors[0]
        raise ConfigError(f"line {line}: expected Key = Value, got {text.strip()}") from None
    for section in parser.sections():
        for option, value in parser.items(section):
            if "\n" in value:
                key = _find_key(section, option)
                message = "expected its value in one line and the next key without indentation"
                raise ConfigError(f"{key.section_name}.{key.name}: {message}, got {value!r}")
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _refuse_volumes(dimensions: str) -> None:
    """2D+t and 3D are settings already; what is missing is a reader of volumes. Once there is one, this goes."""
    if dimensions != "2D":
        message = "this version has no reader of volumes and image series yet"
        raise ConfigError(f"Data.Dimensions: {message}; expected 2D, got {dimensions}")


def load_config(path: Path | str | None, overrides: Sequence[str] = ()) -> Config:
    """Read and check a configuration.

    Args:
        path: the file; None for the defaults alone. LDSeg's published file, which has four of the sections, is complete:
            whatever a file leaves out takes its default.
        overrides: settings of the form "Section.Key=VALUE" that win over the file; of two for one key the last wins.

    Raises:
        ConfigError: for a file that is missing or malformed, for an unknown section or key, a value that the key does not
            take, and for values that contradict each other. One line: the file (or the override), the key, what was
            expected, what came, and the nearest that is valid.
    """
    source = None if path is None else Path(path)
    where = "defaults" if source is None else str(source)
    values: dict[str, Any] = {}
    place = where
    try:
        for section, entries in ({} if source is None else _read_file(source)).items():
            section = _find_section(section)
            for name, text in entries.items():
                key = _find_key(section, name)
                values[f"{section}.{key.name}"] = _convert(f"{section}.{key.name}", key.kind, text)
        for override in overrides:
            place = f"--set {override}"
            name, equals, text = override.partition("=")
            key = _find_key(*_split_name(name))
            full = f"{key.section_name}.{key.name}"
            if not equals:
                raise ConfigError(f"{full}: expected Section.Key=VALUE, got no =")
            values[full] = _convert(full, key.kind, text.strip())
        place = f"{where} with --set" if overrides else where
        explicit = frozenset(values)
        _refuse_volumes(values.get("Data.Dimensions", "2D"))
        if "Data.Size" in values and "Data.Patch" not in values:
            # Whoever sets the size alone has said nothing about patches: the default must not stand in the way.
            default = KEYS["Data.Patch"].default
            values["Data.Patch"] = tuple(map(min, default, values["Data.Size"]))
        return replace(Config().with_values(values), explicit=explicit, source=source)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
