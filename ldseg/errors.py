"""The errors that LDSeg raises on bad input; their text is one line, fit to be shown to a user as it is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

_NO_MEMORY = re.compile(
    r"out of memory|insufficient memory|bad.?alloc|allocate memory|unable to allocate|resource.?exhausted|\bOOM\b",
    re.IGNORECASE,
)
"""What libraries with errors of their own say where memory is short: OpenCV, ONNX Runtime, TensorFlow, JAX, PyTorch."""


class LDSegError(Exception):
    """Anything that the user of LDSeg can put right: a setting, a file, a folder."""


class ConfigError(LDSegError, ValueError):
    """A setting that is missing, unknown, misspelt or out of range."""


class DataError(LDSegError, ValueError):
    """An image, a label or a data folder that cannot be used."""


class UnwrittenError(DataError):
    """A file that cannot be written; what was there under its name is as it was."""


class WeightsError(LDSegError, ValueError):
    """Weights that are absent, damaged, or made for another network."""


def no_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short."""
    if isinstance(error, LDSegError) or not isinstance(error, Exception):
        return False
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


@contextlib.contextmanager
def memory_told(what: str, todo: str) -> Iterator[None]:
    """Make an error of what is done here, where memory is short.

    Args:
        what: is done, such as the path of an image.
        todo: what it was too little for, such as "read it".

    Raises:
        DataError: memory is short.
    """
    try:
        yield
    except Exception as error:
        if not no_memory(error):
            raise
        raise DataError(f"{what}: not enough memory to {todo}") from error
