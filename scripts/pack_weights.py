"""Make a folder of weights small enough to ship: half precision, compressed, as precise as sampling needs.

    python3 scripts/pack_weights.py FROM TO

``TO`` gets the weights file, its description and the graphs of its networks, nothing else. Segment with the packed weights
before you report figures: they are what others will have.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def pack(source: Path, goal: Path) -> None:
    """Copy an HDF5 file, its numbers of 32 bits as numbers of 16, attributes and all."""

    def copy(name: str, entry: h5py.Group | h5py.Dataset) -> None:
        if isinstance(entry, h5py.Dataset):
            values = entry[()]
            halved = values.astype(np.float16) if values.dtype == np.float32 else values
            if not np.isfinite(halved).all():
                raise SystemExit(f"{name}: expected numbers that half precision can hold, up to 65504")
            packing = {"compression": "gzip", "shuffle": True} if halved.ndim else {}
            made = written.create_dataset(name, data=halved, **packing)
        else:
            made = written.require_group(name)
        for key, value in entry.attrs.items():
            made.attrs[key] = value

    with h5py.File(source) as read, h5py.File(goal, "w") as written:
        for key, value in read.attrs.items():
            written.attrs[key] = value
        read.visititems(copy)


def main() -> None:
    """Pack and load once, so that what is shipped is known to load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="FROM")
    parser.add_argument("goal", type=Path, metavar="TO")
    options = parser.parse_args()

    from ldseg.export.networks import save_structure
    from ldseg.weights import DESCRIPTION_FILE, WEIGHTS_FILE, load_segmenter

    options.goal.mkdir(parents=True, exist_ok=True)
    packed = options.goal / f"packed.{WEIGHTS_FILE}"
    pack(options.source / WEIGHTS_FILE, packed)
    description = (options.source / DESCRIPTION_FILE).read_text()
    os.replace(packed, options.goal / WEIGHTS_FILE)
    (options.goal / DESCRIPTION_FILE).write_text(description)
    _, packed_description = load_segmenter(options.goal)
    save_structure(options.goal, packed_description.spec)
    before, after = ((folder / WEIGHTS_FILE).stat().st_size / 1e6 for folder in (options.source, options.goal))
    print(f"{options.goal}: {after:.1f} MB, was {before:.1f} MB")


if __name__ == "__main__":
    main()
