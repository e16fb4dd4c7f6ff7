"""The files that come with LDSeg, found in a clone of its repository and in an installed wheel alike.

There is one copy of each, at the top of the repository. The build of a wheel puts the same files into
``ldseg/_shipped`` (``pyproject.toml``), so that they travel with the package.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = (PACKAGE / "_shipped", PACKAGE.parent)
"""Where they may be: in an installed package, and in a clone."""

WEIGHTS = "weights"
_DESCRIPTION = "segmenter.json"
_LICENCE = "README.md"


def shipped_file(name: str) -> Path:
    """The path of a file that comes with LDSeg, such as ``cfg.ini`` or ``medsegdiff.ini``.

    Args:
        name: its path from the top of the repository.

    Raises:
        FileNotFoundError: LDSeg comes without such a file.
    """
    for folder in FOLDERS:
        path = folder / name
        if path.is_file():
            return path
    raise FileNotFoundError(f"{name}: does not come with LDSeg; looked in {' and '.join(map(str, FOLDERS))}")


def shipped_weights() -> dict[str, Path]:
    """The weights that come with LDSeg: name → folder, by name; empty where they were left out.

    A folder counts where it says what it is and on what terms it may be used. Weights of your own that lie beside them in
    a clone have no such ``README.md``, and do not.
    """
    for folder in FOLDERS:
        places = sorted(folder.glob(f"{WEIGHTS}/*/{_DESCRIPTION}"))
        found = {place.parent.name: place.parent for place in places if (place.parent / _LICENCE).is_file()}
        if found:
            return found
    return {}
