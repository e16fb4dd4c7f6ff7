"""Set before any test imports Keras, which reads these when it is imported."""

import os
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
# Tests on JAX compile far longer than they run.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes side by side share the cores; threads within each would only wait for one another.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: where several processes share the files, none is left with a long one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    count = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -count[item.path]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logs goes from process to process as UTF-8, which names of files need not be."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the user's is read or written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LDSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_first_weights() -> Iterator[None]:
    """First weights drawn by NumPy on JAX, which would compile the draw of every new shape: a minute for one preset."""
    if os.environ["KERAS_BACKEND"] != "jax":
        yield
        return
    import keras
    import numpy as np

    rng = np.random.default_rng(0)

    def draw(self: object, shape: tuple[int, ...], dtype: str | None = None) -> object:
        *window, fan_in, fan_out = shape
        limit = np.sqrt(6 / (np.prod(window) * (fan_in + fan_out)))
        return keras.ops.convert_to_tensor(rng.uniform(-limit, limit, shape), dtype=dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.initializers.GlorotUniform, "__call__", draw)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_pictures() -> Iterator[None]:
    """PNG files packed quickly: the same pixels in larger files. Packing them well takes a quarter of many a test."""
    from PIL import Image

    Image.init()
    save = Image.SAVE["PNG"]

    def quick(image: Any, *where: Any) -> None:
        image.encoderinfo = {**image.encoderinfo, "optimize": False, "compress_level": 1}
        save(image, *where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Image.SAVE, "PNG", quick)
        yield
