"""What pyproject.toml promises of a wheel: libraries, extras, what travels with it. Building one is an integration test."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ldseg.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CORE: list[str] = PROJECT["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

# What a library is called where it is installed, if not as it is imported.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "SimpleITK": "simpleitk",
    "cv2": "opencv-python-headless",
    "jaxlib": "jax",
    "nrrd": "pynrrd",
    "openslide": "openslide-python",
    "skimage": "scikit-image",
}


def library(requirement: str) -> str:
    return re.split(r"[<>=\[; ]", requirement)[0]


def imported(path: Path) -> Iterator[str]:
    """Names of the libraries that a module imports, at its top or within."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            top = name.split(".")[0]
            yield DISTRIBUTIONS.get(top, top)


def test_the_two_lists_of_libraries_are_one() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == {
        *(*CORE, *EXTRAS["figures"], *EXTRAS["staple"]),
        *(line for line in EXTRAS["tensorflow"] if line != "ldseg[figures]"),
    }


def test_every_library_that_is_imported_comes_with_the_wheel_or_an_extra() -> None:
    used = {name for path in (ROOT / "ldseg").rglob("*.py") for name in imported(path)}
    assert "numpy" in used
    brought = {library(line) for lines in (CORE, *EXTRAS.values()) for line in lines}
    assert not {"matplotlib", "scikit-image", "scipy", "keras"} & {library(line) for line in CORE}  # heavy, and for few
    assert used - set(sys.stdlib_module_names) - {"ldseg"} - brought == set()


def test_all_holds_every_backend() -> None:
    (line,) = EXTRAS["all"]
    assert set(re.findall(r"\w+", line.partition("[")[2])) >= {"tensorflow", "jax", "torch"}


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in (ROOT / "weights").glob("*/README.md")), ids=lambda path: path.name
)
def test_weights_travel_with_their_terms(folder: Path) -> None:
    assert re.search(r"licence|terms", (folder / "README.md").read_text("utf-8"), re.IGNORECASE)


def test_the_release_has_one_version_and_date() -> None:
    newest = re.search(r"^## \[([\d.]+)\] - ([\d-]+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {__version__}\ndate-released: {newest[2]}\n" in citation
    assert newest[1] == __version__
