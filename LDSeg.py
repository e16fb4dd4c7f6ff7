"""LDSeg: segment images, or train to, as cfg.ini says. See README.md."""

import sys

if __name__ == "__main__":
    try:
        from ldseg.__main__ import main

        sys.exit(main())
    except ModuleNotFoundError as error:
        backend = error.name in ("jax", "torch")  # which KERAS_BACKEND asks for and requirements.txt does not hold
        how = f"pip install {error.name}" if backend else "sh scripts/demo.sh installs what is needed and runs this"
        sys.exit(f"error: {error.name} is not installed: {how}")
