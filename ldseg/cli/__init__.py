"""The command line: ``ldseg COMMAND``, ``python -m ldseg`` and ``python3 LDSeg.py``."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ldseg.base.shipped import shipped_file
from ldseg.cli.console import Above, OneLine, steady_output
from ldseg.cli.parser import COMMANDS, Request, parse
from ldseg.config import Config, load_config
from ldseg.errors import LDSegError

DONE, PARTLY, FAILED = 0, 1, 2
"""Exit status: done; done but for the problems that are listed, such as cases left out; stopped by an error."""

DEFAULT = Path("cfg.ini")

NEEDS = {
    "audit": ("matplotlib",),
    "robustness": ("matplotlib", "scipy"),
    "sweep": ("matplotlib",),
    "training": ("keras", "matplotlib", "scipy"),
}
"""What commands need that comes with extras: asked for before the work, not after it."""

FIGURES = {"matplotlib": "Matplotlib", "scipy": "SciPy", "skimage": "scikit-image"}
"""Libraries of the extra ``figures``."""

BACKENDS = {"jax", "torch", "tensorflow"}

NOISY = ("absl", "h5py", "jax", "matplotlib", "PIL", "py.warnings", "tensorflow")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for and return the exit status."""
    with steady_output():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    request = parse(arguments)
    handler = Above(sys.stderr)
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        problems = _run(request)
    except LDSegError as error:
        from ldseg.base.text import one_line

        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        print(f"error: {_missing(error)}", file=sys.stderr)
        return FAILED
    except OSError as error:  # of a name that no system takes, say: whoever asks for a file may meet it first
        from ldseg.base.text import one_line

        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes, Path)) else ""
        print(f"error: {one_line(f'{where}{error.strerror or error}')}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as stop:
        if not str(stop):  # a training has told more
            print("interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return PARTLY if problems else DONE


def _run(request: Request) -> int:
    """Do it, and return the number of problems."""
    if request.command and not COMMANDS[request.command].config:
        return _module(request.command).run(request.paths, **request.more)
    config, files = _settings(request)
    if request.command in ("plan", "validate"):
        return _module(request.command).run(config)
    from ldseg import devices

    logger = logging.getLogger(__name__)
    if config.parameters.training:
        from ldseg.group import joined
        from ldseg.hosts import place_of

        with joined(place_of(config.gpu.hosts, os.environ)) as group:
            if not group.first:  # the first one speaks for all
                logging.getLogger().setLevel(logging.ERROR)
            logger.info(devices.choose(config.gpu.multiple, group))
            # Only now: what imports Keras, which reads the environment that the line above prepared.
            return int(_module("training").run(config, group))
    logger.info(devices.choose(config.gpu.multiple))
    if config.evaluation.robustness:
        return _module("robustness").run(config)
    if config.evaluation.step_sweep:
        return _module("sweep").run(config)
    if config.evaluation.state_audit:
        return _module("audit").run(config)
    return _module("archive" if _is_archive(config, files) else "segment").run(config, files)


def _is_archive(config: Config, files: Sequence[Path]) -> bool:
    """Whether a run is over an archive: by Ray, over a table of paths, or with something that lies in an object store."""
    from ldseg.base.remote import is_remote
    from ldseg.data.listed import is_table

    places = [*(files or [config.dataset_folder]), config.output_folder]
    return bool(config.gpu.ray) or any(map(is_remote, places)) or any(map(is_table, files))


def _settings(request: Request) -> tuple[Config, tuple[Path, ...]]:
    """The settings, with a data set that was named as a path, and the files to segment, if any."""
    path = request.config
    if path is None and (DEFAULT.exists() or not request.command):
        path = DEFAULT
    config = load_config(None if path is None else settings_file(path), request.overrides)
    match request.paths:
        case ():
            return config, ()
        case (folder,) if request.command != "segment" or _is_data_set(folder):
            folder = folder if folder.name not in ("", "..") else folder.resolve()
            config = config.with_values({"Data.Root": str(folder.parent), "Data.Dataset": folder.name})
            return replace(config, explicit=config.explicit | {"Data.Root", "Data.Dataset"}), ()
    return config, request.paths


def _is_data_set(path: Path) -> bool:
    """Whether a path is a folder of images, and no image that is a folder."""
    if not path.is_dir():
        return False
    from ldseg.io.slides.zarrs import ZARR_SLIDES

    return path.suffix.lower() not in ZARR_SLIDES


def settings_file(path: Path) -> Path:
    """A settings file: the user's own, or, where there is none of its name, the one that comes with LDSeg."""
    if path.exists() or path.parent != Path() or path == DEFAULT:
        return path
    with contextlib.suppress(FileNotFoundError):
        return shipped_file(path.name)
    return path


def _module(name: str) -> Any:
    for library in NEEDS.get(name, ()):
        if importlib.util.find_spec(library) is None:
            raise ModuleNotFoundError(name=library)
    return importlib.import_module(f"ldseg.cli.{name}")


def _missing(error: ModuleNotFoundError) -> str:
    """What to install for a library that is not there."""
    name = (error.name or "").partition(".")[0]
    if name == "keras":
        return 'Keras is not installed, which this needs: pip install "ldseg[tensorflow]" (or [jax], [torch])'
    if name in BACKENDS:
        return f'{name} is not installed, which Keras was told to use: pip install "ldseg[{name}]"'
    if name in FIGURES:
        return f'{FIGURES[name]} is not installed, which this needs: pip install "ldseg[figures]"'
    return f"{name} is not installed: pip install {name}"
