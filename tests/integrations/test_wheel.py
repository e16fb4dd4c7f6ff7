"""The wheel is built, installed into a fresh environment outside the clone, and used there: Python, command, training.

Segmenting comes first, without an extra, so without Keras; then TensorFlow is installed to train.
"""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ldseg.base.shipped import shipped_weights
from ldseg.io.pictures import read_label
from ldseg.phantoms import write_phantoms
from ldseg.version import __version__

ROOT = Path(__file__).parents[2]
LARGEST = 80e6

pytestmark = [pytest.mark.integration, pytest.mark.smoke]


def run(*command: str | Path, cwd: Path, expected: int = 0, error: str = "") -> str:
    """What a command prints, run where the clone is not on the path of Python."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == expected, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    assert error in (done.stderr.splitlines() or [""])[-1]
    return done.stdout


def install(scripts: Path, what: str) -> None:
    run(scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", what, cwd=scripts)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, which is built from the clone."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    assert len(list(folder.glob("ldseg-*.tar.gz"))) == 1
    (found,) = folder.glob("ldseg-*.whl")
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the clone with a data set ``Mine`` of four phantoms."""
    folder = tmp_path_factory.mktemp("elsewhere")
    write_phantoms(folder / "Mine", 4, size=(48, 64), seed=3)
    return folder


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ``python`` and ``ldseg`` in an environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True)
    install(folder / "bin", str(wheel))
    return folder / "bin"


def test_what_is_in_it(wheel: Path) -> None:
    assert wheel.stat().st_size <= LARGEST
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name, folder in shipped_weights().items():
            for file in ("README.md", "segmenter.json", "segmenter.weights.h5", "segmenter.graphs.zip"):
                assert archive.read(f"ldseg/_shipped/weights/{name}/{file}") == (folder / file).read_bytes()
        for name in ("cfg.ini", "medsegdiff.ini"):
            assert archive.read(f"ldseg/_shipped/{name}") == (ROOT / name).read_bytes()
    assert {"ldseg/py.typed", "ldseg/viz/report/templates/report.html"} <= names
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ldseg").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert {name.split("/")[0] for name in names} == {"ldseg", f"ldseg-{__version__}.dist-info"}


def test_python(scripts: Path, place: Path) -> None:
    (place / "use.py").write_text(
        "import sys, numpy, ldseg\n"
        "model = ldseg.load('GlaS')\n"
        "assert model.folder.is_relative_to(sys.prefix), model.folder\n"
        "result = model.segment('Mine/Image/Phantom1.png', steps=2)\n"
        "print(ldseg.__version__, *ldseg.available())\n"
        "numpy.save('mask.npy', result.mask)\n"
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
    )
    printed = run(scripts / "python", "use.py", cwd=place).split()
    assert printed == [__version__, *shipped_weights()]
    import ldseg

    # The same as in the clone but for what engines and other versions of the libraries may round differently.
    here = ldseg.load("GlaS").segment(place / "Mine" / "Image" / "Phantom1.png", steps=2).mask
    assert (np.load(place / "mask.npy") != here).mean() < 1e-3


def test_command(scripts: Path, place: Path) -> None:
    ldseg = scripts / "ldseg"
    assert run(ldseg, "--version", cwd=place).split()[-1] == __version__
    assert "GlaS" in run(ldseg, "weights", cwd=place)
    run(ldseg, "init", cwd=place)
    assert (place / "cfg.ini").read_bytes() == (ROOT / "cfg.ini").read_bytes()
    run(ldseg, "segment", "Mine/Image/Phantom1.png", "--weights", "GlaS", "--out", "out", "--steps", "2", cwd=place)
    assert read_label(place / "out" / "Phantom1_segmentation.png").shape == (48, 64)
    assert run(scripts / "python", "-m", "ldseg", "--version", cwd=place).split()[-1] == __version__


def test_looking_at_data(scripts: Path, place: Path) -> None:
    """Before anything is trained: no extra is needed yet."""
    classes = ("Mine", "--classes", "background,gland")
    assert "0 problems in all" in run(scripts / "ldseg", "validate", *classes, cwd=place)
    assert "ldseg train Mine" in run(scripts / "ldseg", "plan", *classes, cwd=place)


def test_training(scripts: Path, place: Path, wheel: Path) -> None:
    quick = ("Data.Size=32,32", "Model.Preset=small", "Training.Workers=0", "Sampler.Sampling_Steps=2")
    words = [word for setting in quick for word in ("--set", setting)]
    own = ("--classes", "background,gland", "--weights", "own", "--epochs", "1", *words)
    run(scripts / "ldseg", "train", "Mine", *own, cwd=place, expected=2, error='pip install "ldseg[tensorflow]"')
    install(scripts, f"{wheel}[tensorflow]")
    run(scripts / "ldseg", "train", "Mine", *own, cwd=place)
    words = ("segment", "Mine/Image/Phantom2.png", "--weights", "own", "--out", "out", "--steps", "2")
    run(scripts / "ldseg", *words, cwd=place)
    assert (place / "out" / "Phantom2_segmentation.png").is_file()
