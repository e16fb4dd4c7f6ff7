"""LDSeg: segment images, or train to, as cfg.ini says. See README.md."""

import sys

if __name__ == "__main__":
    try:
        from ldseg.cli import main

        sys.exit(main())
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error.name} is not installed: sh scripts/demo.sh installs what is needed and runs this")
