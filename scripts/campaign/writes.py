"""A disk that is full at one write, sync or rename after the other, or from it on: every moment of a run has its turn."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from campaign.runs import KINDS, differs, state

from ldseg.cli import main
from ldseg.phantoms import write_phantoms

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
_QUICK = {
    "training": ("Parameters.Epoch=2",),
    "segmenting": (),
    "robustness": ("Evaluation.Sigmas=0, 0.2",),
}
_WHOLE_SET = ("calibration.png", "gaussian.png", "curves.png")
"""Pictures of all cases together, which are others where one is left out."""


def run(seed: int, count: int, keep: Path) -> Iterator[str]:
    """A line for each moment that is not met as it should be.

    Args:
        seed: where the moments begin that are tried, if not all are.
        count: of each kind of run, how many moments are tried, evenly among all.
        keep: where the folders of runs that went wrong are kept.
    """
    import faulty
    import tiny

    for kind in KINDS:
        # Networks of a few weights take the place of the preset `lean`.
        networks = tiny.tiny_networks() if kind == "training" else contextlib.nullcontext()
        with tempfile.TemporaryDirectory() as name, networks:
            data = Path(name) / kind
            write_phantoms(data / "Set", 4 if kind == "training" else 2, (32, 32), seed=1)
            whole = data / "whole"
            with faulty.full_disk() as disk:
                status, said = _run(kind, data, whole)
            if status:
                raise RuntimeError(f"{kind}: status {status}: {said[-2000:]}")
            moments = range(len(disk.calls)) if count >= len(disk.calls) else _spread(len(disk.calls), count, seed)
            for moment in moments:
                out = data / f"at{moment}"
                wrong = _met(kind, data, out, moment, state(whole), faulty)
                if wrong:
                    shutil.copytree(out, keep / f"{kind}-{moment}", dirs_exist_ok=True)
                    yield f"{keep / f'{kind}-{moment}'} ({kind}, {disk.calls[moment]}): {wrong}"
                shutil.rmtree(out, ignore_errors=True)


def _spread(calls: int, count: int, seed: int) -> list[int]:
    return sorted({(seed + calls * index // count) % calls for index in range(count)})


def _met(kind: str, data: Path, out: Path, moment: int, whole: dict[str, Any], faulty: Any) -> str:
    """What is wrong with how a full disk is met; empty where nothing is."""
    with faulty.full_disk(moment, lasting=moment % 2 == 0) as broken:
        status, said = _run(kind, data, out)
    if not broken.failed:
        return ""  # a run that has fewer writes, as it wrote a checkpoint less
    if status not in (1, 2) or "No space left on device" not in said:
        return f"status {status}, and what was said: {said[-300:]!r}"
    if "Traceback" in said:
        return f"a traceback: {said[-600:]!r}"
    if left := faulty.left_over(out):
        return f"left {left}"
    status, said = _run(kind, data, out)
    found = state(out)
    wanted = {path: value for path, value in whole.items() if Path(path).name not in _WHOLE_SET}
    return f"the next run: status {status}: {said[-300:]!r}" if status else differs(found, wanted)


def _run(kind: str, data: Path, out: Path) -> tuple[int, str]:
    target = f"Model.Weights={out}" if kind == "training" else f"Output.Folder={out}"
    settings = (*KINDS[kind], *_QUICK[kind], f"Data.Root={data}", "Data.Dataset=Set", target)
    said = io.StringIO()
    call: Callable[[list[str]], int] = main
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.chdir(ROOT):
        try:
            status = call(["--config", "cfg.ini", *(word for setting in settings for word in ("--set", setting))])
        except BaseException as error:
            return 99, f"{said.getvalue()} Traceback: {type(error).__name__}: {error}"
    return status, said.getvalue()
