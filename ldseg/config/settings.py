"""All sections together, and the table of their keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from ldseg.base.options import AUTO
from ldseg.base.paths import named_path
from ldseg.base.shards import Shard
from ldseg.config.kinds import Kind, nearest_name, shown, text_of
from ldseg.config.sections import (
    DataConfig,
    EvaluationConfig,
    GPUConfig,
    ModelConfig,
    NoiseSchedulerConfig,
    OutputConfig,
    ParametersConfig,
    SamplerConfig,
    Section,
    SlidesConfig,
    TrainingConfig,
)
from ldseg.errors import ConfigError
from ldseg.outputs import SEGMENTATION

MODES = ("Parameters.Training", "Evaluation.Robustness", "Evaluation.StepSweep", "Evaluation.StateAudit")
"""Settings that ask for something in place of the ordinary run."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings. Raises ConfigError where two of them contradict each other.

    `explicit` holds the ``Section.Key`` of every key that the file or an override sets, `overridden` of those that an
    override sets, `source` is the file. They tell where values came from, so they take no part in comparison or in
    `to_dict`.
    """

    noise_scheduler: NoiseSchedulerConfig = field(default_factory=NoiseSchedulerConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    parameters: ParametersConfig = field(default_factory=ParametersConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gpu: GPUConfig = field(default_factory=GPUConfig)
    data: DataConfig = field(default_factory=DataConfig)
    slides: SlidesConfig = field(default_factory=SlidesConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    explicit: frozenset[str] = field(default=frozenset(), compare=False)
    overridden: frozenset[str] = field(default=frozenset(), compare=False)
    source: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        timesteps = self.noise_scheduler.timesteps
        steps = self.sampler.sampling_steps
        most = {"Sampler.Sampling_Steps": 0 if steps == AUTO else int(steps)}
        most["Evaluation.StepSweep"] = max(self.evaluation.step_sweep, default=0)
        for name, count in most.items():
            if count > timesteps:
                wanted = f"expected at most NoiseScheduler.Timesteps ({timesteps}), got {count}"
                raise ConfigError(f"{name}: {wanted}; the nearest valid value is {timesteps}")
        self._check_mode()
        if self.model.architecture == "MedSegDiff" and not self.training.diffusion_weight:
            wanted = "expected more than 0 for Model.Architecture = MedSegDiff, which has no other loss"
            raise ConfigError(f"Training.DiffusionWeight: {wanted}, got 0")
        classes = self.data.classes
        if self.output.masks == "instances" and len(classes) > 2:
            wanted = f"expected classes as Data.Classes has {len(classes)} names ({shown(classes)})"
            raise ConfigError(f"Output.Masks: {wanted}, got instances; the nearest valid value is classes")
        if self.model.outline == "True" and len(classes) > 2:
            wanted = f"expected auto or False as Data.Classes has {len(classes)} names ({shown(classes)})"
            raise ConfigError(f"Model.Outline: {wanted}, got True; the nearest valid value is auto")

    def _check_mode(self) -> None:
        chosen = [name for name in MODES if self.value(name)]
        if len(chosen) > 1:
            wanted = f"expected at most one of {', '.join(MODES)} in a run"
            raise ConfigError(f"{chosen[1]}: {wanted}, got {' and '.join(chosen)}")
        for name in ("Data.Shard", "GPU.Ray") if chosen else ():
            if value := self.value(name):
                raise ConfigError(f"{name}: expected nothing for {chosen[0]}, which is not shared out, got {value}")
        if self.evaluation.robustness and self.sampler.sigma:
            wanted = "expected 0 for Evaluation.Robustness, whose strengths are Evaluation.Sigmas"
            raise ConfigError(f"Sampler.Sigma: {wanted}, got {self.sampler.sigma}")
        if self.evaluation.step_sweep and self.model.architecture == "Control":
            wanted = "expected nothing for Model.Architecture = Control, whose every step is the same"
            raise ConfigError(f"Evaluation.StepSweep: {wanted}, got {shown(self.evaluation.step_sweep)}")

    @property
    def dataset_folder(self) -> Path:
        """The folder of the data set, <Root>/<Dataset>."""
        return named_path("Data.Root", self.data.root) / self.data.dataset

    @property
    def weights_folder(self) -> Path:
        """[Model] Weights, or weights/<Dataset> where that is empty."""
        named = self.model.weights
        return named_path("Model.Weights", named) if named else Path("weights") / self.data.dataset

    @property
    def output_folder(self) -> Path:
        """[Output] Folder, or <Root>/<Dataset>/Segmentation where that is empty; of a shard its own folder in it."""
        named = self.output.folder
        folder = named_path("Output.Folder", named) if named else self.dataset_folder / SEGMENTATION
        return folder / Shard.of_text(self.data.shard).folder if self.data.shard else folder

    def value(self, name: str) -> Any:
        """The value of the key ``Section.Key``. Raises ConfigError for an unknown name."""
        key = find_key(*split_name(name))
        return getattr(getattr(self, key.section), key.attribute)

    def text(self, name: str) -> str:
        """The value of the key ``Section.Key`` as it would stand in the file. Raises ConfigError for an unknown name."""
        return text_of(find_key(*split_name(name)).kind, self.value(name))

    def with_values(self, values: Mapping[str, object]) -> Self:
        """A copy with other values, given by ``Section.Key`` and checked together once all are changed.

        `explicit`, `overridden` and `source` stay as they are. Raises ConfigError for an unknown name or a value refused.
        """
        changes: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            key = find_key(*split_name(name))
            changes.setdefault(key.section, {})[key.attribute] = value
        sections: dict[str, Any] = {
            section: replace(getattr(self, section), **change) for section, change in changes.items()
        }
        return replace(self, **sections)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Every value by section and key, named as in the file, in JSON's types (a tuple becomes a list)."""
        result: dict[str, dict[str, Any]] = {}
        for name, key in KEYS.items():
            value = self.value(name)
            plain = list(value) if isinstance(value, tuple) else value
            result.setdefault(key.section_name, {})[key.name] = plain
        return result

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, object]]) -> Self:
        """The inverse of `to_dict`. A key that is absent takes its default; otherwise as strict as a file."""
        pairs = ((section, key, value) for section, keys in values.items() for key, value in keys.items())
        return cls().with_values({f"{section}.{key}": value for section, key, value in pairs})


@dataclass(frozen=True, kw_only=True)
class Key:
    """Where a key stands, in the file (`section_name`, `name`) and in a Config (`section`, `attribute`)."""

    section_name: str
    name: str
    section: str
    attribute: str
    kind: Kind
    default: Any


def _all_keys() -> dict[str, Key]:
    result: dict[str, Key] = {}
    for section in fields(Config):
        made_by = section.default_factory
        if not (isinstance(made_by, type) and issubclass(made_by, Section)):
            continue
        for entry in fields(made_by):
            name: str = entry.metadata["name"]
            result[f"{made_by.NAME}.{name}"] = Key(
                section_name=made_by.NAME,
                name=name,
                section=section.name,
                attribute=entry.name,
                kind=entry.metadata["kind"],
                default=entry.default,
            )
    return result


KEYS: dict[str, Key] = _all_keys()
"""Every key by ``Section.Key``."""


def split_name(name: str) -> tuple[str, str]:
    """The section and the key in ``Section.Key``. Raises ConfigError where there is no dot."""
    section, dot, key = name.strip().partition(".")
    if not dot:
        near = nearest_name(section, (entry.name for entry in KEYS.values()))
        full = next(full for full, entry in KEYS.items() if entry.name == near)
        raise ConfigError(f"expected Section.Key=VALUE, got {name!r}; the nearest key is {full}")
    return section.strip(), key.strip()


def find_section(section: str) -> str:
    """The section's name as it is spelt here, letter case aside. Raises ConfigError for an unknown one."""
    names = list(dict.fromkeys(key.section_name for key in KEYS.values()))
    for name in names:
        if name.lower() == section.strip().lower():
            return name
    near = nearest_name(section, names)
    raise ConfigError(f"[{section}]: unknown section; expected one of {shown(names)}; the nearest is [{near}]")


def find_key(section: str, name: str) -> Key:
    """The key by its names in the file, letter case aside. Raises ConfigError for an unknown one."""
    section = find_section(section)
    siblings = {key.name: key for key in KEYS.values() if key.section_name == section}
    for key in siblings.values():
        if key.name.lower() == name.lower():
            return key
    # A key that stands in the wrong section is told from one that is misspelt.
    elsewhere = [full for full, key in KEYS.items() if key.name.lower() == name.lower()]
    near = elsewhere[0] if elsewhere else f"{section}.{nearest_name(name, siblings)}"
    wanted = f"unknown key; expected one of {shown(siblings)}"
    raise ConfigError(f"{section}.{name}: {wanted}; the nearest is {near}")
