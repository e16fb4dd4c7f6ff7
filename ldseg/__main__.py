"""``python -m ldseg``, which ``LDSeg.py`` and the command ``ldseg`` are, too: what comes before all that is imported."""

import atexit
import gc
import os
import sys

from ldseg.base.pausing import many_objects


def main() -> int:
    """Do what the command line asks for and return the exit status."""
    # Threads of NumPy and OpenCV that wait for matrices sleep: else each of them keeps a core busy for a tenth of a second.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    atexit.register(gc.freeze)  # what is left at the end goes with the process, and is not looked through for cycles
    with many_objects():  # modules
        from ldseg.cli import main as command
    return command()


if __name__ == "__main__":
    sys.exit(main())
