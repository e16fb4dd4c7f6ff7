"""The campaign of faults: what users' disks, files and neighbours do to a run, tried thousands of times from a seed.

    python scripts/campaign                        all of it
    python scripts/campaign files --count 10000    one part
    python scripts/campaign hostile --seed 7       other inputs

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

PARTS = {"files": 10_000, "hostile": 400, "kills": 40, "writes": 1000, "disks": 60, "neighbours": 10}
"""The parts, and how often each tries if not told otherwise."""


def main() -> int:
    """The campaign, by the arguments of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--count", type=int, help="how often each part tries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("campaign-failures"))
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"expected parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    found = 0
    for part in options.parts or PARTS:
        began, wrong, count = time.monotonic(), 0, options.count or PARTS[part]
        module = importlib.import_module("campaign.runs" if part in ("kills", "disks", "neighbours") else f"campaign.{part}")
        run = getattr(module, part) if part in ("kills", "disks", "neighbours") else module.run
        for line in run(options.seed, count, options.keep):
            wrong += 1
            print(f"{part}: {line}", flush=True)
        print(f"{part}: {count} tried, {wrong} not met as they should be, in {time.monotonic() - began:.0f} s", flush=True)
        found += wrong
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
