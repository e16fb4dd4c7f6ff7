"""``ldseg weights``: what is there, and what it can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ldseg.base.spatial import AXES
from ldseg.base.text import number, one_line
from ldseg.cli.table import table
from ldseg.errors import ConfigError, WeightsError
from ldseg.model import available
from ldseg.published import convert, find_weights, is_published
from ldseg.weights import read_description

CONVERT = "convert"


def run(paths: Sequence[Path]) -> int:
    """List weights: networks, kind of images, size of the grid, classes and the Dice that they reached in validation.

    With ``convert FOLDER OUT``, write the weights of a folder as LDSeg was published with them as a folder of ours.

    Returns:
        how many of them cannot be used.

    Raises:
        ConfigError, WeightsError: what is to be converted cannot be.
    """
    if paths and str(paths[0]) == CONVERT:
        return _convert(paths[1:])
    named = {str(path): path for path in paths} or dict(available())
    rows, problems = [], []
    for name, folder in named.items():
        try:
            found = read_description(find_weights(folder) if is_published(folder) else folder)
        except WeightsError as error:
            problems.append(str(error))
            continue
        spec, step = found.spec, found.preprocessing
        kind = next(kind for kind, axes in AXES.items() if axes == spec.axes)
        colours = {1: "gray", 3: "RGB"}.get(spec.channels, f"{spec.channels} channels")
        size, dice = "×".join(map(str, spec.size)), number(found.figures.get("val_dice"), 3)
        folds = f", {len(found.folds)} folds" if found.folds else ""
        rows.append(
            [name, f"{spec.architecture} ({spec.preset}{folds})", kind, colours, size, dice, ", ".join(step.classes[1:])]
        )
    if rows:
        print(table(["weights", "networks", "images", "colours", "grid", "Dice", "classes beside the background"], rows))
        print("\nDice: in validation, sampled. Figures, terms and sources: README.md in the folder of each.")
    for line in problems:
        print(f"problem: {one_line(line)}")
    return len(problems)


def _convert(paths: Sequence[Path]) -> int:
    if len(paths) != 2:
        raise ConfigError(f"ldseg weights convert: expected FOLDER and OUT, got {len(paths)} paths")
    folder, out = paths
    spec = convert(folder, out).spec
    size = "×".join(map(str, spec.size))
    print(f"{out}: {spec.classes} classes, images of {spec.channels} channels on a grid of {size} (preset {spec.preset})")
    return 0
