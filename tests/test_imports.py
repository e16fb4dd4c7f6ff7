"""The layers of the package: which module may import which, and which libraries it may use."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A unit, a module or a package of that name in ldseg/, imports from itself and from the rows above its own, never from its
# neighbours in the row.
LAYERS = (
    ("errors", "version"),
    ("base",),
    ("hosts",),
    ("group",),
    ("devices", "outputs"),
    ("io", "diffusion", "layers", "augmentation"),
    ("layouts", "phantoms", "models", "evaluation", "writers"),
    ("config",),
    ("data", "spec"),
    ("segmenter", "description"),
    ("weights",),
    ("export",),
    ("inference", "published"),
    ("training", "slides"),
    ("viz",),
    ("result",),
    ("model",),
    ("serve", "napari"),
    ("cli",),
    ("__main__", "ldseg"),  # the front of the package, which imports what it offers when it is asked for
)
ROW = {unit: row for row, units in enumerate(LAYERS) for unit in units}

# Everything runs on every backend of Keras: what differs between them stands in one package.
BACKENDS = {"tensorflow", "jax", "jaxlib", "torch"}
BACKEND_UNIT = "devices"


def _sources() -> dict[str, str]:
    """Dotted name → text of every module of the package."""
    result = {}
    for path in sorted((ROOT / "ldseg").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        result[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return result


SOURCES = _sources()


def _unit(module: str) -> str:
    parts = module.split(".")[1:]
    return parts[0] if parts else "ldseg"


def _beside(module: str, other: str) -> bool:
    """Whether both are modules of ``base``, which have nothing to do with each other."""
    return module != other and all(name.startswith("ldseg.base.") for name in (module, other))


def _imports(module: str, source: str, known: set[str]) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import anywhere in the source; `known` tells modules from names in them."""
    is_package = any(name.startswith(f"{module}.") for name in known)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - 1 if is_package else node.level
                base = ".".join([*module.split(".")[: -up or None], *filter(None, [base])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in known else base


def _violations(module: str, source: str, known: set[str]) -> list[str]:
    unit = _unit(module)
    if unit not in ROW:
        return [f"{module}: stands in no layer; give it a place in LAYERS"]
    found = []
    for line, name in _imports(module, source, known):
        top = name.split(".")[0]
        where = f"{module}:{line} imports {name}"
        if top in BACKENDS and unit != BACKEND_UNIT:
            found.append(f"{where}: only ldseg.{BACKEND_UNIT} may import a backend")
        elif top == "ldseg" and _beside(module, name):
            found.append(f"{where}: modules of base stand side by side")
        elif top == "ldseg" and _unit(name) != unit:
            other = ROW.get(_unit(name), len(LAYERS))
            if other == ROW[unit]:
                found.append(f"{where}: {unit} and {_unit(name)} stand side by side")
            elif other > ROW[unit]:
                found.append(f"{where}: {unit} stands below {_unit(name)}")
    return found


def test_imports_point_one_way() -> None:
    found = [line for name, source in SOURCES.items() for line in _violations(name, source, set(SOURCES))]
    assert not found, "\n".join(found)


KNOWN = {
    *(
        "ldseg",
        "ldseg.base",
        "ldseg.base.paths",
        "ldseg.base.text",
        "ldseg.config",
        "ldseg.description",
        "ldseg.devices",
        "ldseg.errors",
        "ldseg.segmenter",
        "ldseg.cli",
    ),
    *("ldseg.io", "ldseg.io.pictures", "ldseg.layers", "ldseg.layers.blocks"),
    *("ldseg.models", "ldseg.models.unet", "ldseg.training", "ldseg.training.fit"),
    *("ldseg.evaluation", "ldseg.evaluation.metrics", "ldseg.evaluation.report"),
}


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("ldseg.models.unet", "import ldseg.config", "models stands below config"),
        ("ldseg.io.pictures", "from ldseg.layers import conv", "io and layers stand side by side"),
        ("ldseg.io.pictures", "def f():\n    from ldseg import cli", "io stands below cli"),
        ("ldseg.io.pictures", "from ..models.unet import unet", "io stands below models"),
        ("ldseg.io", "from ..layers import blocks", "io and layers stand side by side"),
        ("ldseg.base.text", "from ldseg.base.paths import named_path", "modules of base stand side by side"),
        ("ldseg.segmenter", "from . import description", "segmenter and description stand side by side"),
        ("ldseg.training.fit", "from ldseg.cli import main", "training stands below cli"),
        ("ldseg.evaluation.metrics", "from ldseg.models import unet", "evaluation and models stand side by side"),
        ("ldseg.evaluation.metrics", "import ldseg.training", "evaluation stands below training"),
        ("ldseg.config", "from ldseg import load", "config stands below ldseg"),
        ("ldseg.models.unet", "def f():\n    import tensorflow", "only ldseg.devices may import a backend"),
        ("ldseg.training.fit", "from jax.numpy import where", "only ldseg.devices may import a backend"),
        ("ldseg.config", "from ldseg.extras import nothing", "config stands below extras"),
        ("ldseg.extras", "import math", "stands in no layer"),
    ],
)
def test_a_violation_is_caught(module: str, source: str, reason: str) -> None:
    found = _violations(module, source, KNOWN)
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ldseg", "from ldseg.config import Config"),
        ("ldseg.training.fit", "from ldseg.config import Config\nimport keras"),
        ("ldseg.io", "from . import pictures\nfrom .pictures import read_image"),
        ("ldseg.training.fit", "from ldseg.evaluation.metrics import dice"),
        ("ldseg.training.fit", "from ldseg.evaluation import metrics"),
        ("ldseg.evaluation.report", "from ldseg.evaluation.metrics import dice\nfrom ldseg.errors import DataError"),
        ("ldseg.devices", "def f():\n    import tensorflow as tf\n    import jax"),
        ("ldseg.devices.together", "def f():\n    import torch"),
        ("ldseg.cli", "from ldseg.training.fit import fit"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert _violations(module, source, KNOWN) == []


KERAS = {
    *("ldseg.data.batches", "ldseg.diffusion.compiled", "ldseg.segmenter", "ldseg.layers"),
    *(f"ldseg.training.{name}" for name in ("assembly", "callbacks", "fit", "folds", "losses", "memory", "optimizer")),
    *(f"ldseg.training.{name}" for name in ("progress", "takeover", "trainer", "validation")),
    *("ldseg.export.networks", "ldseg.export.saved_model"),
    *("ldseg.inference.predictor", "ldseg.inference.state_audit"),
    *("ldseg.models.control", "ldseg.models.lean", "ldseg.models.medsegdiff", "ldseg.models.published", "ldseg.models.unet"),
    "ldseg.cli.audit",
}
"""What imports Keras when it is imported, with all that lies below: networks, what trains them, and what is compiled.

What plans a training does without: what is wrong with settings or images is told before the seconds that Keras takes.
"""


def test_all_but_networks_and_training_do_without_keras() -> None:
    light = [name for name in SOURCES if not any(name == heavy or name.startswith(f"{heavy}.") for heavy in KERAS)]
    assert {"ldseg.config", "ldseg.spec", "ldseg.description", "ldseg.weights", "ldseg.inference.cases"} < set(light)
    code = f"import sys, {', '.join(light)}; print(*sorted({{'keras', *{BACKENDS}}} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


RARE = {"PIL", "h5py", "matplotlib", "multiprocessing", "nrrd", "pydicom", "scipy", "skimage", "tifffile", "tqdm"}
"""Libraries that a run over pictures begins without: each would have it begin later."""


def test_a_run_begins_without_what_few_runs_need() -> None:
    code = f"import sys, ldseg.cli.segment, ldseg.inference.onnx; print(*sorted({RARE} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []
