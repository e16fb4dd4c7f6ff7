"""The words of the command line, and the settings that they stand for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldseg.base.engines import ENGINES
from ldseg.base.options import AUTO
from ldseg.base.paths import path_of
from ldseg.export.folder import FORMATS
from ldseg.version import __version__
from ldseg.writers.table import WRITERS


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option that stands for a setting.

    Attributes:
        flag: such as ``--steps``.
        key: the setting, ``Section.Key``.
        help: what it does.
        shown: what its value is called; empty for a switch, which sets True.
    """

    flag: str
    key: str
    help: str
    shown: str = ""

    @property
    def name(self) -> str:
        """Its attribute among the options that were parsed."""
        return self.flag.strip("-").replace("-", "_")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand.

    Attributes:
        help: one line for the list of commands.
        about: what it does, in a sentence or two.
        options: those that stand for settings.
        settings: what it sets whatever the settings file says, ``Section.Key=VALUE``.
        paths: how many paths it takes, as ``argparse`` counts; empty for none.
        paths_help: what they are.
        config: whether it reads settings at all.
    """

    help: str
    about: str
    options: tuple[Option, ...] = ()
    settings: tuple[str, ...] = ()
    paths: str = ""
    paths_help: str = ""
    config: bool = True


WEIGHTS = Option(
    flag="--weights", key="Model.Weights", shown="NAME", help="weights that come with LDSeg, or a folder of weights"
)
OUT = Option(flag="--out", key="Output.Folder", shown="FOLDER", help="where the results go")
DIMENSIONS = Option(flag="--dimensions", key="Data.Dimensions", shown="2D|2D+t|3D", help="pictures, videos or volumes")
CLASSES = Option(flag="--classes", key="Data.Classes", shown="A,B", help="names of the classes, the background first")
REGIONS = Option(
    flag="--regions", key="Data.Regions", shown="A:1+2,B:2", help="unions of classes that figures are given for"
)
LABELS = Option(
    flag="--labels", key="Data.Labels", shown="RULE", help="what numbers in labels mean: classes, binary or instances"
)
SEED = Option(flag="--seed", key="Sampler.Seed", shown="N", help="seed of the noise: the same seed gives the same masks")
BATCH = Option(flag="--batch-size", key="Parameters.BatchSize", shown="N", help="images at a time")
WAY = (
    Option(flag="--steps", key="Sampler.Sampling_Steps", shown="N", help="steps from noise to mask"),
    Option(flag="--sampler", key="Sampler.Sampler", shown="NAME", help="DDIM, DDPM or DPM-Solver++"),
)
SAMPLING = (
    *WAY,
    Option(flag="--samples", key="Sampler.Samples", shown="N", help="masks drawn for each image, fused into one"),
    Option(flag="--folds", key="Sampler.Folds", shown="N", help="folds that segment, of weights that have several [all]"),
    Option(flag="--fusion", key="Sampler.Fusion", shown="NAME", help="how they are fused: mean, vote or staple"),
    Option(flag="--flips", key="Sampler.Flips", help="average over mirrored copies of each image"),
    SEED,
    BATCH,
)

_ORDINARY = (
    "Parameters.Training=False",
    "Evaluation.Robustness=False",
    "Evaluation.StepSweep=",
    "Evaluation.StateAudit=False",
)
_STEPS = "1,2,3,5,10,15,25,50"

_TRAINING = (
    CLASSES,
    REGIONS,
    LABELS,
    Option(flag="--weights", key="Model.Weights", shown="FOLDER", help="where the weights go"),
    Option(flag="--start", key="Model.Start", shown="NAME", help="weights to start from, such as Colon, or a folder"),
    DIMENSIONS,
    Option(
        flag="--minutes",
        key="Training.Minutes",
        shown="N",
        help="how long to train, all folds together; it ends on time",
    ),
    Option(
        flag="--folds",
        key="Training.Folds",
        shown="K",
        help="cross-validation: K trainings, each holds back other cases; as one ensemble they segment",
    ),
    Option(flag="--epochs", key="Parameters.Epoch", shown="N", help="times through all images"),
    BATCH,
    Option(flag="--learning-rate", key="Parameters.LearningRate", shown="X", help="highest step size"),
    Option(flag="--seed", key="Training.Seed", shown="N", help="seed of everything random"),
)
"""What a training is told; a plan takes the same line."""

COMMANDS = {
    "segment": Command(
        help="segment images, volumes or videos",
        about="Segment files, or the cases of a data set. Masks, overlays, figures and a report go to the folder of --out.",
        options=(
            WEIGHTS,
            OUT,
            *SAMPLING,
            Option(flag="--masks", key="Output.Masks", shown="classes|instances", help="what masks hold"),
            Option(flag="--formats", key="Output.Formats", shown="A,B", help=f"what is written: {', '.join(WRITERS)}"),
            Option(flag="--shard", key="Data.Shard", shown="I/N", help="one of N shares of the cases; collect joins them"),
            Option(
                flag="--ray", key="GPU.Ray", shown="ADDRESS", help="a cluster of Ray that segments: local, auto or ray://…"
            ),
        ),
        settings=_ORDINARY,
        paths="*",
        paths_help="image files, a table of paths, or the folder of a data set, here or in an object store (s3://…); "
        "the data set of the settings where there is none",
    ),
    "collect": Command(
        help="join the shards of a run",
        about="Move the results of all shards of segment --shard I/N into the folder of the run, and write its figures and "
        "report. Calibration is left to the shards. Of a run over an archive, write figures and report from its table.",
        paths="1",
        paths_help="the folder of the run, which was --out",
        config=False,
    ),
    "plan": Command(
        help="show how a training would go about your images, and why",
        about="Look at the labelled cases of a data set and print what a training would choose, with its reasons. "
        "Nothing is written.",
        options=_TRAINING,
        settings=("Parameters.Training=True", *_ORDINARY[1:]),
        paths="?",
        paths_help="the folder of the data set",
    ),
    "train": Command(
        help="train on labelled images of your own",
        about="Train on the labelled cases of a data set. What is left open is chosen from the images and said.",
        options=_TRAINING,
        settings=("Parameters.Training=True", *_ORDINARY[1:]),
        paths="?",
        paths_help="the folder of the data set",
    ),
    "robustness": Command(
        help="measure how masks hold out as noise on the images grows",
        about="Segment labelled cases under noise, blur or loss of contrast of growing strength.",
        options=(
            WEIGHTS,
            OUT,
            *SAMPLING,
            Option(
                flag="--noise", key="Evaluation.Noise", shown="KIND", help="gaussian, speckle, poisson, blur or contrast"
            ),
            Option(flag="--sigmas", key="Evaluation.Sigmas", shown="X,Y", help="strengths, from 0 to 1"),
        ),
        settings=(_ORDINARY[0], "Evaluation.Robustness=True", *_ORDINARY[2:]),
        paths="?",
        paths_help="the folder of the data set",
    ),
    "steps": Command(
        help="measure what more sampling steps bring and cost",
        about=f"Segment labelled cases with every sampler and number of steps ({_STEPS} unless --counts says otherwise).",
        options=(
            WEIGHTS,
            OUT,
            SEED,
            BATCH,
            Option(flag="--counts", key="Evaluation.StepSweep", shown="N,M", help="numbers of steps"),
        ),
        settings=(*_ORDINARY[:2], f"Evaluation.StepSweep={_STEPS}", _ORDINARY[3]),
        paths="?",
        paths_help="the folder of the data set",
    ),
    "audit": Command(
        help="measure whether the masks depend on the state of the diffusion",
        about="Give the denoiser other states than its own and compare the masks, on labelled cases.",
        options=(WEIGHTS, OUT, *WAY, SEED),
        settings=(*_ORDINARY[:3], "Evaluation.StateAudit=True"),
        paths="?",
        paths_help="the folder of the data set",
    ),
    "validate": Command(
        help="check a data set without training",
        about="Read every image and label of a data set and name every fault of every case.",
        options=(
            CLASSES,
            REGIONS,
            DIMENSIONS,
            LABELS,
        ),
        settings=_ORDINARY,
        paths="?",
        paths_help="the folder of the data set",
    ),
    "export": Command(
        help="write weights for another runtime",
        about="Write the networks of weights as a folder that segments without LDSeg and Keras.",
        paths="1",
        paths_help="weights that come with LDSeg, or a folder of weights",
        config=False,
    ),
    "serve": Command(
        help="segment in a browser, and serve viewers",
        about="Serve a page that segments what is dropped onto it, a plain request, and the REST interface of MONAI Label "
        "for 3D Slicer, QuPath and OHIF. Nothing leaves the machine.",
        paths="*",
        paths_help="weights that come with LDSeg, or folders of weights; all that come with it where there is none",
        config=False,
    ),
    "init": Command(
        help="write a settings file",
        about="Write cfg.ini with every setting, its default and what it means.",
        paths="?",
        paths_help="the file, cfg.ini unless given; one that is there is not touched",
        config=False,
    ),
    "weights": Command(
        help="list weights and what they can do",
        about="List the weights that come with LDSeg, or those of the folders given. With convert FOLDER OUT: write weights "
        "as LDSeg was published with them (four files of Keras 2) as a folder of weights.",
        paths="*",
        paths_help="folders of weights; or convert, a folder, and the folder to write",
        config=False,
    ),
}
"""The subcommands; each has a module of its name in ``ldseg.cli`` with a function ``run``, or is a mode of the settings."""


def parser() -> argparse.ArgumentParser:
    """The parser of ``ldseg``, ``python -m ldseg`` and ``LDSeg.py``."""
    top = argparse.ArgumentParser(
        prog="ldseg",
        description="Segment medical images by diffusion in a latent space, and train on your own.",
        epilog="Without a command, the run that the settings file asks for. "
        "Exit status: 0 done, 1 done but for the problems listed, 2 stopped by an error, 130 interrupted.",
    )
    _settings(top, "")
    top.add_argument("--version", action="version", version=f"LDSeg {__version__}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.help, description=command.about)
        if command.paths:
            count = int(command.paths) if command.paths.isdecimal() else command.paths
            own.add_argument("paths", nargs=count, type=path_of, metavar="PATH", help=command.paths_help)
        for option in command.options:
            if option.shown:
                own.add_argument(option.flag, metavar=option.shown, help=f"{option.help} ({option.key})")
            else:
                own.add_argument(option.flag, action="store_const", const="True", help=f"{option.help} ({option.key})")
        if command.config:
            _settings(own, "own_")
        if name == "export":
            own.add_argument("--to", choices=tuple(FORMATS), default="onnx", help="the format [onnx]")
            own.add_argument("--out", type=Path, metavar="FOLDER", help="where to [NAME-FORMAT]")
        if name == "serve":
            _server(own)
    return top


def _server(own: argparse.ArgumentParser) -> None:
    own.add_argument("--host", metavar="ADDRESS", help="where to listen [127.0.0.1, which only this machine reaches]")
    own.add_argument("--port", type=int, metavar="N", help="port; 0 takes a free one [8000]")
    own.add_argument("--images", type=Path, metavar="FOLDER", help="images that viewers may ask for by name [none]")
    own.add_argument("--origin", action="append", dest="origins", metavar="URL", help="another web page that may ask")
    own.add_argument("--upload", type=int, metavar="MIB", help="most that one request may send, in MiB [1024]")
    own.add_argument("--kept", type=int, metavar="N", help="results that are kept for looking at [20]")
    own.add_argument("--engine", choices=(AUTO, *ENGINES), help="what computes [auto]")


SERVER = ("host", "port", "images", "origins", "upload", "kept", "engine")
"""The options of ``serve``."""


def _settings(parser: argparse.ArgumentParser, prefix: str) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", dest=f"{prefix}config", help="settings file [cfg.ini, if there is one]"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="Section.Key=VALUE",
        dest=f"{prefix}overrides",
        help="override one setting; may be given several times",
    )


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for.

    Attributes:
        command: the subcommand; empty for the run that the settings file asks for.
        paths: files and folders.
        config: the settings file; None for ``cfg.ini``, if there is one.
        overrides: settings by ``Section.Key=VALUE``, the later ones go first.
        more: arguments of a command that is about no settings, by name.
    """

    command: str
    paths: tuple[Path, ...]
    config: Path | None
    overrides: tuple[str, ...]
    more: Mapping[str, Any] = field(default_factory=dict)


def parse(arguments: Sequence[str] | None = None) -> Request:
    """What the arguments ask for; a wrong one ends the program with status 2, as ``argparse`` does."""
    options = parser().parse_args(arguments)
    name = options.command or ""
    found = getattr(options, "paths", None)
    paths = tuple(found) if isinstance(found, list) else (found,) if found else ()
    overrides = list(options.overrides)
    config = options.config
    if name and COMMANDS[name].config:
        command = COMMANDS[name]
        chosen = [(option.key, getattr(options, option.name)) for option in command.options]
        overrides += [*command.settings, *(f"{key}={value}" for key, value in chosen if value is not None)]
        overrides += options.own_overrides
        config = options.own_config or config
    own = {"export": ("to", "out"), "serve": SERVER}.get(name, ())
    more = {each: getattr(options, each) for each in own}
    return Request(command=name, paths=paths, config=config, overrides=tuple(overrides), more=more)
