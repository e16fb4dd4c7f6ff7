"""What a user waits for: whole processes, from their start to their end, in turn with those of an earlier commit.

Run it as ``python3 benchmarks/startup.py`` from the repository; ``benchmarks/README.md`` says what is timed. Further
contenders are commands: ``python3 benchmarks/startup.py "python3 LDSeg.py --set GPU.Engine=keras"``.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "478fb71"
"""As slow as the published code on this work."""

IMAGES = "Immuno*,Phantom*"
"""Five images of 512 x 512."""

PLAIN = ("Output.Overlay=no", "Output.Report=no", "Output.Diffusion=0")

ONE = """
import time, sys
started = time.perf_counter()
import ldseg
imported = time.perf_counter()
model = ldseg.load("GlaS")
model.segment(sys.argv[1]).mask
first = time.perf_counter()
model.segment(sys.argv[1]).mask
second = time.perf_counter()
spans = imported - started, first - imported, second - first
print("import ldseg {:.2f} s, then the first mask {:.2f} s, the second {:.2f} s".format(*spans))
"""


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """The repository as it was at a commit."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / commit
        subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "add", "--detach", str(place), commit], check=True, capture_output=True
        )
        try:
            yield place
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(place)], check=True)


def run(command: list[str], place: Path) -> tuple[float, float, float]:
    """What a command took: seconds of wall and of processor time, and its peak of resident memory in 10^9 bytes."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what Python compiles it keeps, as it does for who uses it
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)}: exit status {process.returncode}\n{said.decode(errors='replace')}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def ours(place: Path, out: Path, *settings: str) -> list[str]:
    """The command of the repository, or of an earlier one, on five images."""
    values = (f"Output.Folder={out}", f"Data.Cases={IMAGES}", *settings)
    return [sys.executable, "LDSeg.py", *(part for value in values for part in ("--set", value))]


def main() -> None:
    """Run the contenders in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help="further contenders, run in the repository")
    parser.add_argument("--before", default=BEFORE, help=f"commit to compare with [{BEFORE}]")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs [3]")
    options = parser.parse_args()
    with worktree(options.before) as before, tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        contenders = {
            f"{options.before}, all outputs": (before, ours(before, out / "a")),
            "LDSeg.py, all outputs": (ROOT, ours(ROOT, out / "b")),
            f"{options.before}, masks": (before, ours(before, out / "c", *PLAIN)),
            "LDSeg.py, masks": (ROOT, ours(ROOT, out / "d", *PLAIN)),
            **{command: (ROOT, shlex.split(command)) for command in options.commands},
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in contenders}
        for number in range(options.rounds + 1):  # the first does not count: in it Python compiles, and caches are filled
            for name, (place, command) in contenders.items():
                taken = run(command, place)
                print(f"round {number}: {name}: {taken[0]:.2f} s", file=sys.stderr)
                if number:
                    found[name].append(taken)
    reference = median(wall for wall, _, _ in found[f"{options.before}, all outputs"])
    work = median(seconds for _, seconds, _ in found[f"{options.before}, all outputs"])
    print("| | median s | ratio | CPU s | ratio | peak GB |\n|---|---|---|---|---|---|")
    for name, runs in found.items():
        wall, seconds, peak = (median(column) for column in zip(*runs, strict=True))
        print(f"| {name} | {wall:.2f} | {wall / reference:.3f} | {seconds:.2f} | {seconds / work:.3f} | {peak:.2f} |")
    print()
    image = str(ROOT / "data" / "GlaS" / "Image" / "Phantom1.png")
    for _ in range(options.rounds):
        subprocess.run([sys.executable, "-c", ONE, image], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    print(f"\n{os.cpu_count()} cores, load of the last minute {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
