"""Hostile weights, records, tables, settings and names: each is used, or refused in a line, in bounded time and memory."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from campaign.worker import Worker

from ldseg.cli import main
from ldseg.description import ATTRIBUTE, WEIGHTS_FILE
from ldseg.phantoms import write_phantoms

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "weights" / "DDTI"
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 10**12, 2**30, -0.5, 1e308, float("nan"), float("inf")),
    *(
        "",
        "96",
        "x" * 4000,
        "\x1b[2J",
        "$\\frac{$",
        "=1+1",
        "\udce9",
        "../../etc",
        [],
        {},
        [[]],
        [0],
        [65536, 65536],
        {"a": 1},
    ),
)
NAMES = (
    *("a$_$b", "$\\frac{$", "{0}", "%s%n", "=1+1", "@sum", "-x", "a b", "\x1b[31mred\x1b[0m", "line\nbreak", "tab\there"),
    *(
        "\u202eright",
        "\U0001f600",
        "é",
        "e\u0301",
        "\udce9",
        "con",
        "nul.x",
        "<b>&amp;",
        "'quo\"te`",
        "~root",
        "x" * 200,
    ),
    *("*", "[a]", "a,b", "a;b", "#a", "..a", "a..", "test_a", "a_label_b", "\u200b", "\ufeffa"),
)


def leaves(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values of a document, those that hold others included."""
    if path:
        yield path
    for key, value in values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ():
        yield from leaves(value, (*path, key))


def changed(values: Any, random: np.random.Generator) -> tuple[Any, str]:
    """A document with one to three values that are of another type or size, or missing, and what was done."""
    values, done = copy.deepcopy(values), []
    for _ in range(int(random.integers(1, 4))):
        places = list(leaves(values))
        if not places:
            break
        *way, last = places[int(random.integers(len(places)))]
        inner = values
        for key in way:
            inner = inner[key]
        if random.random() < 0.15 and isinstance(inner, dict):
            del inner[last]
            done.append(f"no {last}")
        else:
            inner[last] = copy.deepcopy(ODD[int(random.integers(len(ODD)))])
            done.append(f"{'.'.join(map(str, (*way, last)))} = {str(inner[last])[:40]!r}")
    return values, ", ".join(done)


def command(*arguments: str) -> str:
    """What is wrong with how the command ends; empty where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(arguments))
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    said = out.getvalue() + err.getvalue()
    if "Traceback" in said:
        return f"a traceback: {said[-300:]!r}"
    if any(character < " " and character not in "\n\t\r" or "\x7f" <= character < "\xa0" for character in said):
        return "control characters reach the terminal"
    if status and not any(line.startswith(("error: ", "problem: ", "ldseg")) for line in said.splitlines()):
        return f"status {status} without a line that says why: {said[-300:]!r}"
    return ""


def arguments(data: Path, weights: Path, *more: str) -> tuple[str, ...]:
    """The command that segments a data set."""
    given = (f"Data.Root={data.parent}", f"Data.Dataset={data.name}", f"Model.Weights={weights}", "Output.Diffusion=0")
    given += ("Sampler.Sampling_Steps=1", f"Output.Folder={data.parent / 'out'}", "GPU.Engine=onnx", *more)
    return ("--config", str(ROOT / "cfg.ini"), *(word for setting in given for word in ("--set", setting)))


def weights(random: np.random.Generator, folder: Path) -> str:
    """Write weights that are not what they say, and tell what was done to them."""
    shutil.copytree(WEIGHTS, folder)
    kind = int(random.integers(8))
    with h5py.File(folder / WEIGHTS_FILE, "r+") as file:
        if kind < 5:
            values, done = changed(json.loads(file.attrs[ATTRIBUTE]), random)
            file.attrs[ATTRIBUTE] = json.dumps(values)
            return done
        if kind == 5:
            file.create_dataset("huge", (10**6, 10**6), chunks=(100, 100), dtype="f4")
            return "an array of 4 TB"
        if kind == 6:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            name = names[int(random.integers(len(names)))]
            del file[name]
            if random.random() < 0.3:
                file[name] = h5py.ExternalLink("/etc/passwd", "/")
            elif random.random() < 0.5:
                file.create_dataset(name, (10**6, 10**6), chunks=(100, 100), dtype="f4")
            else:
                file[name] = np.zeros(random.integers(0, 5, int(random.integers(1, 4))), "f4")
            return f"another array {name}"
        file.attrs[ATTRIBUTE] = "[" * 30_000
    with zipfile.ZipFile(folder / "segmenter.graphs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("structure.json", b" " * (1 << 28))
    return "brackets, and an archive of 256 MiB"


def run(seed: int, count: int, keep: Path) -> Iterator[str]:
    """A line for each hostile input that is not met as it should be."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_phantoms(place / "Set", 1, (24, 30), seed=1)
        worker = Worker(command, arguments(place / "Set", WEIGHTS), seconds=20, memory=8 << 30)
        good = json.loads((place / "out" / "metrics.json").read_text("utf-8"))
        for index in range(count):
            random = np.random.default_rng([seed, index])
            kind = index % 4
            if kind == 0:
                target = place / f"weights{index}"
                done = weights(random, target)
                wrong = worker(*arguments(place / "Set", target)) or worker("weights", str(target))
            elif kind == 1:
                target = place / f"run{index}"
                target.mkdir()
                values, done = changed(good, random)
                text = json.dumps(values) if random.random() < 0.9 else "[" * 30_000
                (target / "metrics.json").write_text(text, "utf-8", "surrogatepass")
                wrong = worker(*arguments(place / "Set", WEIGHTS, f"Output.Compare={target}"))
            elif kind == 2:
                target = place / f"set{index}"
                write_phantoms(target, 2, (24, 30), seed=1)
                done = NAMES[(index // 4) % len(NAMES)]
                for part, end in (("Image", ""), ("Label", "_label")):
                    (target / part / f"Phantom1{end}.png").rename(target / part / f"{done}{end}.png")
                wrong = worker(*arguments(target, WEIGHTS, "Output.Diffusion=2"))
                done = repr(done)
            else:
                target, done = place / f"table{index}", str(random.choice(SETTINGS))
                write_phantoms(target, 2, (24, 30), seed=1)
                (target / "patients.csv").write_text("name,patient\n" + _table(random))
                wrong = worker(*arguments(target, WEIGHTS, done))
            if wrong:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copytree(target, keep / target.name, dirs_exist_ok=True)
                yield f"{keep / target.name} ({done}): {wrong}"
            shutil.rmtree(target)
        worker.stop()


SETTINGS = (
    *("Sampler.Samples=50", "Parameters.BatchSize=4096", "Sampler.Seed=99999999999999999999", "Data.Labels=nearest"),
    *("Output.Colours=red", "Data.Colours=$x$, #00zz00", "Sampler.Sampling_Steps=1000", "Evaluation.Tolerance=nan"),
    *("Output.Folder=/proc/none", "Output.Folder=/dev/null/x", "Data.Cases=[", "Data.Cases=*" + "*" * 60, "Data.Root=\0"),
    *("Data.LabelMap=1:99999", "Output.Compare=/dev/zero", "Model.Weights=/dev/null", "Model.Weights=/proc/self"),
)


def _table(random: np.random.Generator) -> str:
    kinds = (
        "x" * 140_000 + ",1\n",
        '"' + "a\n" * 9,
        "Phantom1,=1+1\nPhantom2,\x00\n",
        "\ud7ff,\n" * 50,
        "Phantom1,1\rPhantom2,2\r",
    )
    return str(kinds[int(random.integers(len(kinds)))])
