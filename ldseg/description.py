"""What a folder of weights says about itself. Needs no Keras."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ldseg.base.folds import FOLDS_FILE, fold_folders, fold_of, is_folds
from ldseg.base.options import AUTO
from ldseg.base.paths import cache_folder, nearest_folder
from ldseg.base.regions import Regions
from ldseg.base.shipped import shipped_weights
from ldseg.base.text import counted, some
from ldseg.base.untrusted import check_arrays, check_types, parsed
from ldseg.base.writing import remove, write_text
from ldseg.data.preprocess import Preprocessing
from ldseg.diffusion import Schedule
from ldseg.errors import ConfigError, DataError, LDSegError, WeightsError
from ldseg.evaluation.collapse import SOUND, said_of
from ldseg.evaluation.familiarity import Familiarities, Familiarity
from ldseg.evaluation.quality import Quality
from ldseg.io.contract import check_prepared, one_line
from ldseg.models import Preset
from ldseg.spec import SegmenterSpec
from ldseg.version import __version__

FORMAT_VERSION = 1
WEIGHTS_FILE = "segmenter.weights.h5"
DESCRIPTION_FILE = "segmenter.json"
_MOST_KEPT = 64
"""Descriptions in the cache, at most."""
STEPS = 15
"""Sampling steps, where the weights do not say what pays."""

ATTRIBUTE = "ldseg"
"""The attribute of the weights file that holds the description."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a folder of weights says about itself.

    Attributes:
        spec: how to build the networks.
        preprocessing: from a case to their input.
        figures: what they reached in validation, and when.
        training: the settings of the training, by section and key.
        split: the manifest of the cases trained on and validated on.
        made: when, and by which versions.
        quality: what tells the Dice of a mask without a label, fitted in validation; None where there were too few cases.
        familiarity: what tells an image that is unlike those of training, fitted after it; None where there were too few.
        plan: what the training was planned from, and why so; see ``ldseg.training.plan.Plan.to_dict``.
        sampling: steps and masks that paid in validation, see ``ldseg.training.sampling``; empty where none was tried.
        microns: µm per pixel of tissue at which the networks see it; None where it is not known.
        folds: folders of several networks that are one ensemble, by their names in the folder of the weights; none of one.
        fold_doubts: the ``doubts`` of each of them, behind its name.
    """

    spec: SegmenterSpec
    preprocessing: Preprocessing
    figures: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    quality: Quality | None = None
    familiarity: Familiarity | None = None
    plan: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    microns: float | None = None
    folds: tuple[str, ...] = ()
    fold_doubts: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why no mask of the weights is to be trusted, a line each."""
        kind = self.figures.get("collapse", SOUND)
        if kind == SOUND:
            return self.fold_doubts
        updates = self.figures.get("updates")
        after = f" after {counted(updates, 'update')}" if isinstance(updates, int) else ""
        line = f"weights that are not trained well: in validation{after} their masks were {said_of(kind)}"
        return (line, *self.fold_doubts)

    def preprocessing_for(
        self, labels: str, label_map: tuple[tuple[int, int], ...] = (), sparse: str = "no", regions: Regions = ()
    ) -> Preprocessing:
        """The preprocessing, with the rule of ``ldseg.data.labels`` that suits the labels at hand, and regions to measure.

        Without any, those of the weights are measured.
        """
        regions = regions or self.preprocessing.regions
        return replace(self.preprocessing, labels=labels, label_map=label_map, sparse=sparse, regions=regions)

    @property
    def steps(self) -> int:
        """Sampling steps, unless the user says how many."""
        return min(int(self.sampling.get("steps", STEPS)), self.spec.schedule.timesteps)

    @property
    def samples(self) -> int:
        """Masks of each image, unless the user says how many."""
        return int(self.sampling.get("samples", 1))

    def folds_asked(self, asked: int | str) -> int:
        """How many folds segment, all of them for ``auto``; 1 for weights that have none.

        Raises:
            ConfigError: they have not as many.
        """
        most = max(len(self.folds), 1)
        if asked != AUTO and int(asked) > most:
            wanted = f"at most {most}, as the weights have" if self.folds else "auto, as the weights are of one training"
            raise ConfigError(f"Sampler.Folds: expected {wanted}, got {asked}")
        return most if asked == AUTO else int(asked)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "architecture": self.spec.architecture,
            "spec": self.spec.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
            "figures": self.figures,
            "training": self.training,
            "split": self.split,
            "made": self.made,
            **({} if self.quality is None else {"quality": self.quality.to_dict()}),
            **({} if self.familiarity is None else {"familiarity": self.familiarity.to_dict()}),
            **({"plan": self.plan} if self.plan else {}),
            **({"sampling": self.sampling} if self.sampling else {}),
            **({} if self.microns is None else {"microns": self.microns}),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], preset: Preset | None = None) -> Description:
        """The inverse of ``to_dict``; ``preset`` is that of the networks, if it is an own one.

        Raises:
            KeyError, TypeError, ValueError: if the values are not those of networks.
        """
        plain = {name: value for name, value in values["spec"].items() if name != "schedule"}
        for owner, part in (
            (SegmenterSpec, plain), (Schedule, values["spec"]["schedule"]), (Preprocessing, values["preprocessing"]),
            (cls, {name: values[name] for name in ("figures", "training", "split", "made")}),
            (cls, {name: values[name] for name in ("plan", "sampling") if name in values}),
        ):  # fmt: skip
            check_types(owner, part)
        if not all(isinstance(section, Mapping) for section in values["training"].values()):
            raise ValueError("training: expected settings by section and key")
        if not isinstance(values["figures"].get("val_dice"), int | float | None):
            raise ValueError(f"figures: expected a number as val_dice, got {values['figures']['val_dice']!r}")
        if not 0 < float(values.get("microns") or 1) < 1000:
            raise ValueError(f"microns: expected µm per pixel above 0, got {values['microns']!r}")
        for name in ("size", "axes", "channels"):
            if (one := values["preprocessing"].get(name)) is not None and one != values["spec"][name]:
                raise ValueError(f"{name}: {values['spec'][name]} of the networks is not {one} of their images")
        return cls(
            spec=SegmenterSpec.from_dict(values["spec"], preset),
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            figures=values["figures"],
            training=values["training"],
            split=values["split"],
            made=values["made"],
            quality=Quality.from_dict(values["quality"]) if values.get("quality") else None,
            familiarity=Familiarity.from_dict(values["familiarity"]) if values.get("familiarity") else None,
            plan=values.get("plan", {}),
            sampling=values.get("sampling", {}),
            microns=None if values.get("microns") is None else float(values["microns"]),
        )


def fingerprint(folder: Path) -> str:
    """The SHA-256 of the file of weights in a folder; of several folds, of what all of them have."""
    if is_folds(folder):
        return fingerprint_of([folder / name for name in _read_folds(folder)["folds"]])
    return digest_of(folder / WEIGHTS_FILE)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, which is read again where it has changed."""
    found = path.stat()
    return _digest(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=64)
def _digest(path: Path, _: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(folds: Sequence[Path]) -> str:
    """One SHA-256 of several folds."""
    return hashlib.sha256("".join(map(fingerprint, folds)).encode()).hexdigest()


def holds_weights(folder: Path) -> bool:
    """Whether there is something in a folder to segment with."""
    return (folder / WEIGHTS_FILE).is_file() or is_folds(folder)


def _read_folds(folder: Path) -> dict[str, Any]:
    """What the file of an ensemble holds.

    Raises:
        WeightsError: it cannot be read, or is none.
    """
    path = folder / FOLDS_FILE
    try:
        values = parsed(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read: {one_line(error)}") from error
    if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
        found = values.get("format_version") if isinstance(values, dict) else type(values).__name__
        raise WeightsError(f"{path}: expected folds of format version {FORMAT_VERSION}, found {found}")
    names = values.get("folds")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and fold_of(n) for n in names):
        raise WeightsError(f"{path}: expected folds such as fold-1, found {str(names)[:80]}")
    return values


def _describe_folds(folder: Path, preset: Preset | None) -> Description:
    """What several folds are as one: the networks of each of them, and what all their held-back cases told."""
    values = _read_folds(folder)
    if (folder / WEIGHTS_FILE).exists():
        raise WeightsError(f"{folder}: expected {WEIGHTS_FILE} or {FOLDS_FILE}, found both; move one of them away")
    if inner := [name for name in values["folds"] if is_folds(folder / name)]:
        raise WeightsError(f"{folder / inner[0]}: expected the weights of one fold, found folds in it")
    each = [read_description(folder / name, preset) for name in values["folds"]]
    first = each[0]
    for name, one in zip(values["folds"], each, strict=True):
        if (one.spec.to_dict(), one.preprocessing) != (first.spec.to_dict(), first.preprocessing):
            raise WeightsError(f"{folder / name}: expected networks like those of {values['folds'][0]}, found others")
    known = [one.familiarity for one in each if one.familiarity is not None]
    try:
        stored = json.loads(json.dumps(first.to_dict()))  # as a file holds it
        joint = {name: value for name, value in values.items() if name in _JOINT}
        found = Description.from_dict({**stored, "sampling": {}, "quality": None, **joint}, preset)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, LDSegError) as error:
        raise WeightsError(f"{folder / FOLDS_FILE}: is not of folds known here: {one_line(error)}") from error
    return replace(
        found,
        folds=tuple(values["folds"]),
        fold_doubts=tuple(f"{name}: {line}" for name, one in zip(values["folds"], each, strict=True) for line in one.doubts),
        familiarity=Familiarities(folds=tuple(known)) if len(known) == len(each) else None,
    )


_JOINT = ("figures", "split", "made", "quality", "sampling")
"""What the file of an ensemble says in place of its folds."""


def read_network(folder: Path, purpose: str, preset: Preset | None = None) -> Description:
    """What the weights in a folder are, where one network is needed and not an ensemble.

    Args:
        folder: with the weights.
        purpose: what needs one, in words.
        preset: their preset, if it is an own one.

    Raises:
        WeightsError: there are several folds, or see ``read_description``.
    """
    description = read_description(folder, preset)
    if description.folds:
        one = folder / description.folds[0]
        raise WeightsError(
            f"{folder}: holds {len(description.folds)} folds, and {purpose} takes one: name {one}, for example"
        )
    return description


def _beside(folder: Path) -> str:
    """The folders with weights in or beside one that has none, in words that end with a space; nothing without any."""
    for where, place in (("in", folder), ("beside", folder.parent)):
        with contextlib.suppress(OSError):  # what may not be looked at
            if names := [str(path) for path in place.glob("*") if holds_weights(path)]:
                return f"{where} it lie those of {some(names)}; "
    return ""


def _stored(path: Path, size: int) -> Any:
    """What a file of weights holds as its description, once all that is in it was found sound.

    It is kept in the cache by the digest of the file: to open HDF5 and look at each array takes a tenth of a second.
    """
    digest = digest_of(path)
    kept = cache_folder() / "descriptions" / f"{digest}-{__version__}.json"
    with contextlib.suppress(OSError, ValueError):
        found = parsed(kept.read_bytes())
        if isinstance(found, dict) and found.get("format_version") == FORMAT_VERSION:
            return found
    import h5py

    with h5py.File(path, "r") as file:
        values = parsed(file.attrs[ATTRIBUTE])
        check_arrays(file, size)
    if digest_of(path) != digest:  # written anew in between
        return values
    with contextlib.suppress(DataError, OSError):  # then it is looked at again
        write_text(kept, json.dumps(values))
        for old in sorted(kept.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)[:-_MOST_KEPT]:
            remove(old)
    return values


def read_description(folder: Path, preset: Preset | None = None) -> Description:
    """What the weights in a folder are.

    Args:
        folder: with the weights.
        preset: their preset, if it is an own one.

    Raises:
        WeightsError: if there are none, or the file is empty, damaged, or of a version that this code does not know.
    """
    if is_folds(folder):
        return _describe_folds(folder, preset)
    path = folder / WEIGHTS_FILE
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        if begun := fold_folders(folder):
            named = next((one for one in begun if (one / WEIGHTS_FILE).is_file()), None)
            alone = f", or name one that has weights already, such as {named}" if named else ""
            raise WeightsError(
                f"{folder}: its folds are not all trained and measured yet; start their training again with the same "
                f"settings, and it goes on{alone}"
            ) from None
        raise WeightsError(
            f"{path}: no such file{nearest_folder(folder, WEIGHTS_FILE)}, expected trained weights; {_beside(folder)}train "
            "some ([Parameters] Training = True), or name a folder that has some, or weights that come with LDSeg: "
            f"{', '.join(shipped_weights())}"
        ) from None
    except NotADirectoryError:
        raise WeightsError(f"{folder}: expected a folder with {WEIGHTS_FILE}, got a file or what is below one") from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be looked at: {error.strerror}") from error
    if size == 0:
        raise WeightsError(f"{path}: expected weights, found an empty file")
    try:
        values = _stored(path, size)
    except PermissionError as error:
        raise WeightsError(f"{path}: may not be read: {error.strerror or 'permission denied'}") from error
    except BlockingIOError as error:
        raise WeightsError(f"{path}: in use by another program, which writes to it; try again when that is done") from error
    except Exception as error:  # of HDF5, on bytes that nobody has checked
        said = f": {one_line(error)}" if type(error) is ValueError else ""
        raise WeightsError(f"{path}: expected weights written by LDSeg, found another or a damaged file{said}") from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise WeightsError(f"{path}: expected weights of format version {FORMAT_VERSION}, found {version}")
    try:
        found = Description.from_dict(values, preset)
        check_prepared(found.spec.size, found.spec.channels + found.spec.classes, "its size")
        return found
    except DataError as error:
        raise WeightsError(f"{path}: {error}") from error
    except KeyError as error:
        raise WeightsError(f"{path}: its description lacks {error}") from error
    except (AttributeError, OverflowError, TypeError, ValueError, LDSegError) as error:
        raise WeightsError(f"{path}: its description is not of networks known here: {one_line(error)}") from error
