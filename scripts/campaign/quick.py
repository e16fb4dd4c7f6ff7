"""The command with networks of a few weights in place of the preset `lean`: what a training writes and reads is the same."""

from __future__ import annotations

import sys
from pathlib import Path

for place in (Path(__file__).resolve().parents[2], Path(__file__).resolve().parents[2] / "tests"):
    sys.path.insert(0, str(place))


def main() -> int:
    """The command, by its own arguments."""
    import tiny

    from ldseg import cli

    with tiny.tiny_networks():
        return int(cli.main())


if __name__ == "__main__":
    sys.exit(main())
