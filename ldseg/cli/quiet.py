"""The screen while libraries load."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep off the screen what compiled libraries write to the standard error while they load, unless loading fails.

    TensorFlow writes notes on its build there, which none of its settings turns off.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        screen = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        except BaseException:
            written.seek(0)
            os.write(screen, written.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
