"""``python -m ldseg``: the same as the command ``ldseg``."""

import sys

from ldseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
