"""The command line: ``python3 LDSeg.py [--config FILE] [--set Section.Key=VALUE ...]``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ldseg import devices
from ldseg.config import load_config
from ldseg.errors import LDSegError
from ldseg.version import __version__

DONE, PARTLY, FAILED = 0, 1, 2
"""Exit status: done; done but for the problems that are listed, such as cases left out; stopped by an error."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="LDSeg.py",
        description="Segment images with a latent diffusion model, or train one, as a settings file says.",
        epilog="Exit status: 0 done, 1 done but for the problems listed, 2 stopped by an error, 130 interrupted.",
    )
    parser.add_argument("--config", type=Path, default=Path("cfg.ini"), metavar="FILE", help="settings [cfg.ini]")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="Section.Key=VALUE",
        dest="overrides",
        help="override one setting; may be given several times",
    )
    parser.add_argument("--version", action="version", version=f"LDSeg {__version__}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the settings say and return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(True)
    for noisy in ("absl", "h5py", "jax", "matplotlib", "PIL", "py.warnings", "tensorflow"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        config = load_config(options.config, options.overrides)
        logger = logging.getLogger(__name__)
        logger.info(devices.choose(config.gpu.multiple and config.parameters.training))
        # Only now: they import Keras where it is needed, which reads the environment that the line above prepared.
        if config.parameters.training:
            if missed := devices.unused_gpus():
                logger.warning(missed)
            devices.set_precision(config.gpu.precision)
            from ldseg.cli import training

            problems = training.run(config)
        elif config.evaluation.robustness:
            from ldseg.cli import robustness

            problems = robustness.run(config)
        elif config.evaluation.step_sweep:
            from ldseg.cli import sweep

            problems = sweep.run(config)
        elif config.evaluation.state_audit:
            from ldseg.cli import audit

            problems = audit.run(config)
        else:
            from ldseg.cli import segment

            problems = segment.run(config)
    except LDSegError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return PARTLY if problems else DONE
