"""The campaign of faults: what users' disks, files and neighbours do to a run, tried thousands of times from a seed.

    python scripts/campaign                        all of it
    python scripts/campaign files --count 10000    one part
    python scripts/campaign hostile --seed 7       other inputs
    python scripts/campaign kills --of training    runs of one kind

Each part prints a line for what is not met as it should be. Exit status: 0 where there is no such line, else 1. What failed
stays in --keep.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

for place in (Path(__file__).resolve().parents[1], Path(__file__).resolve().parents[2]):
    sys.path.insert(0, str(place))

RUNS = ("kills", "disks", "neighbours")
KINDS = ("segmenting", "robustness", "training")
PARTS = {"files": 10_000, "hostile": 400, "kills": 40, "writes": 1000, "disks": 60, "neighbours": 10}
"""The parts, and how often each tries if not told otherwise."""


def main() -> int:
    """The campaign, by the arguments of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--count", type=int, help="how often each part tries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("campaign-failures"))
    parser.add_argument("--of", choices=KINDS, help=f"the kind of run of {', '.join(RUNS)}; all if none is named")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"expected parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    found = 0
    for part in options.parts or PARTS:
        began, wrong, count = time.monotonic(), 0, options.count or PARTS[part]
        module = importlib.import_module("campaign.runs" if part in RUNS else f"campaign.{part}")
        run = getattr(module, part) if part in RUNS else module.run
        kinds = {"kinds": (options.of,)} if part in RUNS and options.of else {}
        for line in run(options.seed, count, options.keep, **kinds):
            wrong += 1
            print(f"{part}: {line}", flush=True)
        print(f"{part}: {count} tried, {wrong} not met as they should be, in {time.monotonic() - began:.0f} s", flush=True)
        found += wrong
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
