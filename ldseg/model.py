"""The front of the package: weights by name, images in, results out; training from a folder."""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ldseg import devices
from ldseg.base.options import AUTO, SLIDE_FORMATS
from ldseg.base.paths import named_path, require_folder
from ldseg.base.shipped import shipped_weights
from ldseg.base.spatial import Image
from ldseg.config import Config, GPUConfig, SamplerConfig
from ldseg.data.cases import Case, load_case, prepare
from ldseg.data.inputs import cases_in
from ldseg.data.preprocess import Preprocessing
from ldseg.description import fingerprint
from ldseg.diffusion import Sampler
from ldseg.errors import ConfigError, DataError
from ldseg.evaluation.quality import unchecked
from ldseg.inference import Engine, segment_each
from ldseg.inference.opening import Opened, open_weights
from ldseg.io.names import stem_of
from ldseg.io.scans import scan_of
from ldseg.models import Preset
from ldseg.published import find_weights
from ldseg.result import Result
from ldseg.viz.style import class_bytes

if TYPE_CHECKING:
    from ldseg.slides.files import SlideResult
    from ldseg.slides.run import Progress

logger = logging.getLogger(__name__)

IN_MEMORY = Path()
"""In place of the file of an array."""

BATCH = 4
"""Tiles, or images of a folder, that are segmented at a time unless told otherwise."""


ENGINES = 16
"""Engines that a model keeps, one for each setting of the sampler that was asked for lately."""


class Sampling(TypedDict, total=False):
    """How a mask is drawn; what is left out takes the default of [Sampler] in ``cfg.ini``.

    Attributes:
        steps: sampling steps.
        sampler: the name of a sampler, or one of your own.
        samples: members of an ensemble; of weights of several folds, those that each of them draws.
        folds: how many folds segment, of weights that have several; all of them unless given.
        fusion: how the members become one mask.
        flips: whether flipped copies are segmented, too.
        seed: of the noise.
    """

    steps: int
    sampler: str | Sampler
    samples: int
    folds: int
    fusion: str
    flips: bool
    seed: int


def available() -> dict[str, Path]:
    """The weights that come with LDSeg: their folders by name, each with a README on what they do and their terms."""
    return shipped_weights()


def load(name: str | Path, *, engine: str = AUTO, precision: str = "float32", preset: Preset | None = None) -> Model:
    """Load weights; they stay in memory, and what is made ready for an image serves the next one of its size.

    Args:
        name: a name of ``available()``, or a folder of weights.
        engine: what computes: ``auto``, or a name of [GPU] Engine.
        precision: arithmetic of the networks: ``float32``, ``bfloat16`` or ``float16``.
        preset: of the networks, where it is one of your own; see ``ldseg.models.Preset``.

    Raises:
        ConfigError: an engine or a precision that is not known.
        WeightsError: there are no such weights, or they cannot be used.
    """
    GPUConfig(engine=engine, precision=precision)
    folder = find_weights(name)
    logger.info(devices.choose(False))
    return Model(open_weights(folder, engine, precision=precision, preset=preset), folder=folder)


class Model:
    """Trained networks, ready to segment.

    Attributes:
        description: what the weights say of themselves: networks, preprocessing, figures, split.
        classes: names of the classes, background first.
        axes: a letter for each axis of the images, ``YX``, ``TYX`` or ``ZYX``.
        folder: where the weights lie; None for networks that were handed in.
    """

    def __init__(self, opened: Opened, *, folder: Path | None = None) -> None:
        self._opened = opened
        self._engines: dict[tuple[Any, ...], Engine] = {}
        self.description = opened.description
        self.folder = folder

    def __repr__(self) -> str:
        spec = self.description.spec
        size = "×".join(map(str, spec.size))
        folds = f"{len(self.description.folds)} folds, " if self.description.folds else ""
        return f"Model({spec.architecture}, {folds}{spec.axes}, {size}, classes: {', '.join(self.classes)})"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, background first."""
        return self._preprocessing().classes

    @property
    def axes(self) -> str:
        """A letter for each axis of the images."""
        return self._preprocessing().axes

    def segment(
        self,
        image: str | Path | Image,
        *,
        spacing: Sequence[float] | None = None,
        name: str = "image",
        batch_size: int = BATCH,
        states: bool = False,
        **settings: Unpack[Sampling],
    ) -> Result:
        """Segment one image, volume or video.

        Args:
            image: a file (a folder of slices or frames), or an array as stored, ``(*S)`` or ``(*S, c)`` of any type that
                files may have. An array gives the mask of its file, to the pixel.
            spacing: mm along each axis of an array; a file tells its own.
            name: of an array, for the files that ``Result.save`` writes.
            batch_size: tiles at a time, for what is larger than the grid of the networks.
            states: whether to keep the states of the diffusion, for ``Result.trace``.
            **settings: see ``Sampling``.

        Raises:
            ConfigError: a setting is unknown or out of range.
            DataError: the image cannot be used.
        """
        step = self._preprocessing()
        if isinstance(image, str | Path):
            if spacing is not None:
                raise ConfigError(f"spacing: expected it with an array only, as a file tells its own, got {tuple(spacing)}")
            path = named_path("image", str(image))
            case = Case(name=stem_of(path), image=path, label=None, group=stem_of(path))
            loaded = load_case(case, step)
        else:
            case = Case(name=name, image=IN_MEMORY, label=None, group=name)
            scan = scan_of(image, step.axes, () if spacing is None else spacing, channels=step.channels, source=name)
            loaded = prepare(name, scan, step, source=name)
        whole = step.fit == "resize" and "T" not in step.axes
        found = self._each([(case, lambda: loaded)], step, settings, 1 if whole else batch_size, states)
        result = next(found)
        if result.problem:
            raise DataError(result.problem)
        return result

    def segment_slide(
        self,
        path: str | Path,
        out: str | Path,
        *,
        microns: float | None = None,
        image_microns: float | None = None,
        skip_background: bool = True,
        formats: Sequence[str] = SLIDE_FORMATS[:2],
        batch_size: int = BATCH,
        progress: Progress | None = None,
        **settings: Unpack[Sampling],
    ) -> SlideResult:
        """Segment a slide (SVS, NDPI, pyramids in TIFF, OME-TIFF, OME-Zarr, ...) in memory that does not grow with it.

        The mask, ``<name>_segmentation.ome.tif``, is a pyramid of the slide's full resolution; the objects are in
        ``<name>_objects.geojson``, for QuPath, and, measured, in ``<name>_objects.csv``. What is finished stays when it is
        stopped: the same call goes on.

        Args:
            path: the slide.
            out: the folder for its results.
            microns: µm per pixel at which the networks see it; None for what the weights say.
            image_microns: µm per pixel of a slide that does not say its own.
            skip_background: whether to leave out parts without tissue.
            formats: what is written, of ``mask``, ``geojson`` and ``csv``.
            batch_size: tiles at a time.
            progress: who is told how far it is.
            **settings: as for ``segment``; several samples are fused by their mean.

        Raises:
            ConfigError: a setting is unknown or out of range.
            DataError: the slide cannot be used, or the resolution is not known.
        """
        from ldseg.slides.files import SlideSettings, segment_slide

        path, step, own = named_path("path", str(path)), self._preprocessing(), settings.get("sampler")
        sampler = self._sampler(settings)
        if sampler.members > 1 and sampler.fusion != "mean":
            raise ConfigError(f"fusion: expected mean for a slide, got {sampler.fusion}")
        # Networks that were handed in have no file: nothing tells them from others, and nothing is gone on with.
        key = {"weights": secrets.token_hex(16) if self.folder is None else fingerprint(self.folder)}
        result = segment_slide(
            path,
            self.engine(sampler, batch_size, own if isinstance(own, Sampler) else None),
            step,
            named_path("out", str(out)),
            stem_of(path),
            settings=SlideSettings(
                microns=microns or self.description.microns,
                image_microns=image_microns,
                skip_background=skip_background,
                formats=tuple(formats),
                batch_size=batch_size,
                seed=sampler.seed,
                quality=self.description.quality,
                familiarity=self.description.familiarity,
            ),
            colours=class_bytes(step.num_classes, Config.from_dict(self.description.training).data.colours),
            key=key,
            progress=progress,
        )
        return replace(result, warnings=(*self._doubts(), *result.warnings))

    def segment_folder(
        self,
        folder: str | Path,
        *,
        cases: str | Sequence[str] = "*",
        labels: str = "auto",
        batch_size: int = BATCH,
        **settings: Unpack[Sampling],
    ) -> Iterator[Result]:
        """Segment the cases of a data set in their order, as they are needed.

        A case that cannot be used comes with its ``problem``, and the others go on.

        Args:
            folder: images and, if any, labels, in a layout of ``data/README.md``, or images alone.
            cases: patterns of the names of cases.
            labels: how numbers in labels are read, see [Data] Labels.
            batch_size: images or tiles at a time; the masks do not depend on it.
            **settings: as for ``segment``.

        Raises:
            ConfigError: a setting is unknown or out of range.
            DataError: there is no such folder, or no image in it.
        """
        folder = named_path("folder", str(folder))
        require_folder(folder, "one with images")
        patterns = (cases,) if isinstance(cases, str) else tuple(cases)
        step = self._preprocessing(labels)
        found = cases_in(folder, step.axes, patterns)
        self._sampler(settings)  # a wrong setting is told now, not with the first result
        return self._each([(case, None) for case in found.cases], step, settings, batch_size)

    def _each(
        self,
        given: Sequence[tuple[Case, Any]],
        step: Preprocessing,
        settings: Sampling,
        batch_size: int,
        states: bool = False,
    ) -> Iterator[Result]:
        own = settings.get("sampler")
        look = Config.from_dict(self.description.training).data
        sampler = self._sampler(settings)
        readers = ((case, read or (lambda case=case: load_case(case, step))) for case, read in given)
        engine = self.engine(sampler, batch_size, own if isinstance(own, Sampler) else None)
        known = self.description.familiarity
        options: dict[str, Any] = {"batch_size": batch_size, "seed": sampler.seed, "fusion": sampler.fusion}
        for item in segment_each(engine, readers, step, **options, states=states, recognise=known is not None):
            source = None if item.case.image == IN_MEMORY else item.case.image
            kept = engine if states else None
            yield Result(item, step, source, self.description.quality, look, known, kept, self._doubts())

    def engine(self, sampler: SamplerConfig, batch_size: int = BATCH, own: Sampler | None = None) -> Engine:
        """The engine for the settings of a sampler, or for a sampler of your own; the same one for the same settings."""
        options: dict[str, Any] = {
            "sampler": own or sampler.sampler,
            "steps": sampler.sampling_steps,
            "flips": sampler.flips,
            "samples": sampler.samples,
            "at_once": batch_size,
            **({"folds": sampler.folds} if self.description.folds else {}),
        }
        key = tuple(options.values())
        if key not in self._engines:
            while len(self._engines) >= ENGINES:  # of a server, the settings come from anybody
                del self._engines[next(iter(self._engines))]
            self._engines[key] = self._opened.engine(**options)
        return self._engines[key]

    def _sampler(self, settings: Sampling) -> SamplerConfig:
        """The settings of [Sampler], checked as those of a file are."""
        names = {"steps": "sampling_steps"} | {
            name: name for name in ("sampler", "samples", "folds", "fusion", "flips", "seed")
        }
        if unknown := sorted(set(settings) - set(names)):
            raise ConfigError(f"{unknown[0]}: unknown setting; expected one of {', '.join(names)}")
        # A sampler of the user's own has no name among the settings.
        named: dict[str, Any] = {name: value for name, value in settings.items() if not isinstance(value, Sampler)}
        sampler = SamplerConfig(**{names[name]: value for name, value in named.items()})
        steps = self.description.steps if sampler.sampling_steps == AUTO else int(sampler.sampling_steps)
        samples = self.description.samples if sampler.samples == AUTO else int(sampler.samples)
        folds = self.description.folds_asked(sampler.folds)
        sampler = replace(sampler, sampling_steps=steps, samples=samples, folds=folds)
        most = self.description.spec.schedule.timesteps
        if steps > most:
            weights = "the weights" if self.folder is None else f"the weights {self.folder}"
            raise ConfigError(f"steps: expected at most the {most} that {weights} were trained with, got {steps}")
        return sampler

    def _doubts(self) -> tuple[str, ...]:
        """Why not to trust any mask of these weights, or its predicted Dice, a line each."""
        said = unchecked(self.description.quality)
        return (*self.description.doubts, *([f"predicted Dice: {said}"] if said else []))

    def _preprocessing(self, labels: str = "auto") -> Preprocessing:
        return self.description.preprocessing_for(labels)


def train(
    data: str | Path,
    *,
    classes: Sequence[str],
    weights: str | Path,
    start: str | Path | None = None,
    dimensions: str = AUTO,
    minutes: float | None = None,
    folds: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    preset: Preset | None = None,
    settings: Mapping[str, object] | None = None,
) -> Model | Any:
    """Train on the labelled cases of a data set and load the best weights.

    What is left open is chosen from the data; part of the cases is held back for validation. A training that was stopped
    goes on when it is started again.

    Args:
        data: the folder of the data set, in a layout of ``data/README.md``.
        classes: names of the classes, background first, in the order of their numbers.
        weights: the folder that the weights, the checkpoint and the logs go to.
        start: weights to start from, a name of ``available()`` or a folder: what fits of them is taken over.
        dimensions: ``2D``, ``2D+t`` or ``3D``; ``auto`` takes what the files are.
        minutes: how long to train; the training is planned to it and ends on time. Folds share it.
        folds: cross-validation: so many trainings, of which each holds back other cases. The model is their ensemble; the
            cases that were held back are measured in ``validation`` in the folder of the weights.
        epochs: times that training goes through all images, unless ``minutes`` says how long.
        batch_size: images of an update.
        learning_rate: highest step size of the optimiser.
        seed: of everything random.
        preset: networks of your own, see ``ldseg.models.Preset``; ``load`` takes it as well.
        settings: any other setting of ``cfg.ini`` by its name, such as ``{"Training.Augmentation": "histology"}``.

    Returns:
        the model. Of several processes that train together (``GPU.Hosts``) only the first returns it, as only that one
        writes weights; the others return None.

    Raises:
        ConfigError: a setting is unknown or out of range, or Keras is not installed.
        DataError: there is too little to train on.
        WeightsError: the weights cannot be written, or the loss is no longer finite.
    """
    if importlib.util.find_spec("keras") is None:
        raise ConfigError(
            'training takes Keras, which is not installed: pip install "ldseg[tensorflow]" (or [jax], [torch])'
        )
    config = training_config(
        data,
        {
            "Data.Classes": tuple(classes),
            "Data.Dimensions": dimensions,
            "Model.Weights": str(weights),
            "Model.Start": None if start is None else str(start),
            "Training.Minutes": minutes,
            "Training.Folds": folds,
            "Parameters.Epoch": epochs,
            "Parameters.BatchSize": batch_size,
            "Parameters.LearningRate": learning_rate,
            "Training.Seed": seed,
            **(settings or {}),
        },
    )
    from ldseg.group import joined
    from ldseg.hosts import place_of

    with joined(place_of(config.gpu.hosts, os.environ)) as group:
        logger.info(devices.choose(config.gpu.multiple, group))
        from ldseg.training.prepare import train_config
        from ldseg.viz.report.held_back import HeldBack

        held_back = HeldBack(config)
        held_back.write(train_config(config, preset=preset, show=held_back.show, group=group).held_back)
    return load(config.weights_folder, precision=config.gpu.precision, preset=preset) if group.first else None


def training_config(data: str | Path, values: Mapping[str, object]) -> Config:
    """Settings of a training on a data set; values that are None take their defaults.

    Raises:
        ConfigError: a setting is unknown or out of range.
        DataError: there is no such folder.
    """
    folder = named_path("data", str(data))
    require_folder(folder, "a data set to train on")
    folder = folder if folder.name else folder.resolve()
    own = {"Parameters.Training": True, "Data.Root": str(folder.parent), "Data.Dataset": folder.name}
    return Config().with_values({**own, **{name: value for name, value in values.items() if value is not None}})


__all__ = ["Model", "available", "load", "train"]
