"""The weighted mean of two folders of weights of the same networks, number by number.

    python3 scripts/average_weights.py FROM OTHER 0.15 TO

Weights that were begun from others and trained on may be averaged with these: what they learned in addition is kept in part,
and what they lost comes back in part (Wortsman et al., "Robust fine-tuning of zero-shot models", arXiv 2109.01903). ``TO``
is 0.85 of FROM and 0.15 of OTHER, with the description of FROM. Choose the share by validation, and fit again what depends
on the numbers: ``scripts/fit_quality.py`` and ``scripts/fit_familiarity.py``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def average(source: Path, other: Path, share: float, goal: Path) -> int:
    """Write the mean of two weights files to a third, in the precision of the first; how many arrays there are.

    Raises:
        SystemExit: the two do not hold arrays of the same names and shapes.
    """
    shutil.copyfile(source, goal)
    with h5py.File(other) as there, h5py.File(goal, "r+") as file:
        count = 0

        def mean(name: str, array: object) -> None:
            nonlocal count
            if not isinstance(array, h5py.Dataset) or array.dtype.kind != "f":
                return
            if name not in there or there[name].shape != array.shape:
                raise SystemExit(f"{other}: expected {name} {array.shape} as in {source}; these are other networks")
            own, theirs = np.asarray(array, np.float32), np.asarray(there[name], np.float32)
            # By NumPy: HDF5 itself rounds what lies just below a power of two to half of it.
            array[...] = ((1 - share) * own + share * theirs).astype(array.dtype)
            count += 1

        file.visititems(mean)
    return count


def main() -> None:
    """Average, and copy the description."""
    from ldseg.description import DESCRIPTION_FILE, WEIGHTS_FILE

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a folder of weights")
    parser.add_argument("other", type=Path, help="another, of the same networks")
    parser.add_argument("share", type=float, help="of the other, between 0 and 1")
    parser.add_argument("goal", type=Path, help="a new folder")
    options = parser.parse_args()
    if not 0 < options.share < 1:
        parser.error(f"expected a share between 0 and 1, got {options.share}")
    options.goal.mkdir(parents=True)
    shutil.copyfile(options.source / DESCRIPTION_FILE, options.goal / DESCRIPTION_FILE)
    count = average(options.source / WEIGHTS_FILE, options.other / WEIGHTS_FILE, options.share, options.goal / WEIGHTS_FILE)
    print(f"{options.goal}: {count} arrays")


if __name__ == "__main__":
    main()
