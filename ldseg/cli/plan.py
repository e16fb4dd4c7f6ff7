"""``ldseg plan``: what a training would do with a data set, and why."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from ldseg.base.text import one_line
from ldseg.cli.parser import COMMANDS
from ldseg.config import Config
from ldseg.config.settings import MODES
from ldseg.training.choices import Reason
from ldseg.training.proposal import propose

PLACED = ("Data.Root", "Data.Dataset", "Model.Weights")
"""Settings that the line names by its paths."""


def run(config: Config) -> int:
    """Print what the cases are like and what a training would choose.

    Returns:
        the number of problems.

    Raises:
        LDSegError: there is nothing to train on, or settings do not suit each other.
    """
    proposal = propose(config)
    print(f"{config.dataset_folder}:")
    for line in proposal.summary:
        print(f"  {line}")
    print()
    for line in _table([reason for reason in proposal.reasons if reason.name]):
        print(line)
    print()
    for reason in proposal.reasons:
        if not reason.name:
            print(f"- {reason.why}")
    print("\nEach may be set otherwise: --set Data.Size=... Train as planned:")
    print(f"  {_command(config)}")
    problems = (*proposal.found.problems, *proposal.seen.problems)
    for line in problems:
        print(f"problem: {one_line(line)}")
    return len(problems)


def _table(reasons: Sequence[Reason]) -> Iterator[str]:
    """What was chosen, a line each: the setting, its value, why."""
    rows = [(reason.name, reason.shown, reason.why) for reason in reasons]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, why in rows:
        yield f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {why}"


def _command(config: Config) -> str:
    """The line that trains with these settings."""
    words = ["ldseg", "train", str(config.dataset_folder)]
    if config.source is not None and config.source.name != "cfg.ini":
        words += ["--config", str(config.source)]
    flags = {option.key: option.flag for option in COMMANDS["train"].options}
    for name in sorted(config.overridden.difference(MODES, PLACED)):
        words += [flags[name], config.text(name)] if name in flags else ["--set", f"{name}={config.text(name)}"]
    return shlex.join([*words, "--weights", str(config.weights_folder)])
