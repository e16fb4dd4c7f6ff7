"""Fit what tells the Dice of a mask without a label to the validation cases of weights, and store it with them.

    python3 scripts/fit_quality.py weights/DDTI --data FOLDER_ABOVE/DDTI [--cases a,b] [--labels binary]

A training does this by itself; this is for weights from before, and for weights that were packed.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Segment the cases with the settings as they ship, fit, write, and say how it came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the data set that they were validated on")
    parser.add_argument("--cases", default="", help="patterns of names, in place of those of the split of the weights")
    parser.add_argument("--labels", default="auto", help="how numbers in labels are read, see [Data] Labels")
    options = parser.parse_args()

    import ldseg
    from ldseg.evaluation.quality import fit_quality, signs_of
    from ldseg.weights import change_description

    model = ldseg.load(options.weights)
    held_back = [name for names in model.description.split["validation"].values() for name in names]
    patterns = options.cases.split(",") if options.cases else held_back
    signs, scores = [], []
    for result in model.segment_folder(options.data, cases=patterns, labels=options.labels):
        signs.append(signs_of(result.probabilities, result.mask, result.entropy, result.members))
        scores.append(result.evaluate().mean["dice"])
    quality = fit_quality(signs, scores)
    if quality is None:
        sys.exit(f"{len(scores)} cases are too few for a fit")
    change_description(options.weights, quality=quality)
    print(f"{options.weights}: fitted to {quality.cases} cases, mean error {quality.error:.3f} on those left out in turn")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
