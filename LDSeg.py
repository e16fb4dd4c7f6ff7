"""LDSeg: segment images, or train to, as cfg.ini says. See README.md."""

import sys

from ldseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
