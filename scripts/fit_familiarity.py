"""Fit what weights learned from, by which images unlike it are named, and store it with them.

    python3 scripts/fit_familiarity.py weights/GlaS --data FOLDER_ABOVE/GlaS [--augmentation none]
        [--start weights/Colon --start-data FOLDER_ABOVE/EBHI-train]

A training does this by itself; this is for weights from before, and for weights that were packed. The cases are those of the
split that the weights keep.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def _split(model: Any, data: Path) -> list[list[Any]]:
    """The cases that weights were trained and validated on, as far as they are there."""
    from ldseg.data.cases import find_cases
    from ldseg.data.splits import apply_manifest

    manifest = model.description.split
    found = find_cases(data, axes=model.axes).cases
    names = {name for part in ("training", "validation") for group in manifest[part].values() for name in group}
    there = {case.name for case in found}
    split = {
        part: {group: [name for name in of if name in there] for group, of in manifest[part].items()}
        for part in ("training", "validation")
    }
    if missing := sorted(names - there):
        print(f"not there, and not looked at: {len(missing)} of {len(names)} cases, such as {missing[0]}", file=sys.stderr)
    return [list(part) for part in apply_manifest([replace(case, label=None) for case in found], split)]


def main() -> None:
    """Look at the cases of training and of validation, fit, write, and say how it came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the data set that they learned from")
    parser.add_argument("--augmentation", default="", help="in place of that of their training")
    parser.add_argument("--start", type=Path, help="the weights that their training started from")
    parser.add_argument("--start-data", type=Path, help="the data set that those learned from")
    options = parser.parse_args()
    if (options.start is None) != (options.start_data is None):
        parser.error("--start and --start-data: expected both or none")

    import ldseg
    from ldseg.config import SamplerConfig
    from ldseg.inference import familiar
    from ldseg.weights import change_description

    model = ldseg.load(options.weights)
    description = model.description
    parts = _split(model, options.data)
    if options.start:
        other = _split(ldseg.load(options.start), options.start_data)
        # As many of each, spread over all: neither set is the rule and the other the exception.
        parts = [own + more[:: max(len(more) // max(len(own), 1), 1)] for own, more in zip(parts, other, strict=True)]
    augmentation = options.augmentation or description.training["Training"]["Augmentation"]
    engine = model.engine(SamplerConfig(sampling_steps=1, samples=1))
    common = {"augmentation": augmentation, "seconds": 3600.0}
    familiarity = familiar.fit(engine.encode, description.spec, description.preprocessing, *parts, **common)
    if familiarity is None:
        sys.exit(f"{options.weights}: too few cases for a fit")
    change_description(options.weights, familiarity=familiarity)
    print(f"{options.weights}: fitted to {familiarity.tiles} tiles of {len(parts[0])} cases")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
