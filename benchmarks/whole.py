"""Large cases and many cases: whole processes, from their start to their end.

Run it from the repository as ``python3 benchmarks/whole.py volume``, ``video``, ``many`` or ``install``;
``benchmarks/README.md`` says what each does. The cases are drawn from a seed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from startup import BEFORE, PLAIN, ROOT, run, worktree

SIZE = 512


def smooth(rng: np.random.Generator, depth: int, channels: int) -> Iterator[np.ndarray]:
    """Blobs, uint8 (SIZE, SIZE, channels) each, that change from plane to plane as those of a body or of a video do.

    One after the other: a process begins with the peak of memory of the one that starts it.
    """
    import cv2

    knots = rng.integers(0, 256, (max(depth // 10, 2), SIZE // 10, SIZE // 10, channels)).astype(np.float32)

    def plane(index: int) -> np.ndarray:
        grown = cv2.resize(knots[index], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        return grown.reshape(SIZE, SIZE, channels)

    for place in np.linspace(0, len(knots) - 1.001, depth):
        blended = plane(int(place)) * (1 - place % 1) + plane(int(place) + 1) * (place % 1)
        yield np.clip(blended, 0, 255).astype(np.uint8)


def volume(folder: Path, count: int) -> list[str]:
    """A NIfTI file of 16 bits, not packed, for ``weights/Hippocampus``."""
    import nibabel

    values = np.stack([plane[..., 0] for plane in smooth(np.random.default_rng(0), count, 1)]).astype(np.int16) * 5
    nibabel.save(nibabel.Nifti1Image(values.T, np.diag([0.5, 0.5, 1.0, 1.0])), folder / "volume.nii")
    return [str(folder / "volume.nii"), "Hippocampus"]


def video(folder: Path, count: int) -> list[str]:
    """An AVI of Motion JPEG for ``weights/VocalFolds``."""
    import cv2

    path = folder / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (SIZE, SIZE))
    for frame in smooth(np.random.default_rng(0), count, 3):
        writer.write(frame)
    writer.release()
    return [str(path), "VocalFolds"]


def large(make: Callable[[Path, int], list[str]], counts: list[int], rounds: int) -> None:
    """Segment one case of each length, no pictures, and print a row each."""
    print("| slices or frames | median s | CPU s | peak GB |\n|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            path, weights = make(folder, count)
            command = [sys.executable, "-m", "ldseg", "segment", path, "--weights", weights, "--out", str(folder / "out")]
            settings = [part for value in PLAIN for part in ("--set", value)]
            found = [run([*command, *settings], ROOT) for _ in range(rounds)]
        wall, seconds, peak = (median(column) for column in zip(*found, strict=True))
        print(f"| {count} | {wall:.2f} | {seconds:.2f} | {peak:.2f} |", flush=True)


def many(count: int, rounds: int, before: str) -> None:
    """Segment many pictures with the gland weights, draw nothing: this repository, its Keras engine, an earlier commit."""
    from ldseg.io.pictures import write_image

    with worktree(before) as earlier, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rng = np.random.default_rng(0)
        for index, image in enumerate(smooth(rng, count, 3)):
            write_image(folder / "Many" / "Image" / f"case{index}.png", image)
        contenders = {
            before: (earlier, ()),
            "auto": (ROOT, ()),
            "Keras": (ROOT, ("GPU.Engine=keras",)),
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, (repository, settings) in contenders.items():
                values = (f"Data.Root={folder}", "Data.Dataset=Many", "Model.Weights=weights/GlaS", *PLAIN, *settings)
                command = [sys.executable, "LDSeg.py", *(part for value in values for part in ("--set", value))]
                found[name].append(run([*command, "--set", f"Output.Folder={folder / 'out'}"], repository))
                print(f"{name}: {found[name][-1][0]:.1f} s", file=sys.stderr)
    print("| | images a second | ratio | CPU s an image | peak GB |\n|---|---|---|---|---|")
    reference = median(wall for wall, _, _ in found[before])
    for name, runs in found.items():
        wall, seconds, peak = (median(column) for column in zip(*runs, strict=True))
        print(f"| {name} | {count / wall:.2f} | {reference / wall:.2f} | {seconds / count:.3f} | {peak:.2f} |")


def install() -> None:
    """Build the wheel, install it into a fresh environment, and print what that brought, in MB (2^20 bytes) on disk."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        venv.create(folder / "venv", with_pip=True)
        before = held(folder / "venv")
        (wheel,) = (folder / "dist").glob("*.whl")
        subprocess.run([folder / "venv/bin/pip", "install", "-q", wheel], check=True)
        print(f"pip install ldseg brings {(held(folder / 'venv') - before) >> 20} MB")
        (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        sizes = sorted(((held(path), path.name) for path in packages.iterdir() if path.is_dir()), reverse=True)
        print(", ".join(f"{name} {size >> 20}" for size, name in sizes[:14]))


def held(folder: Path) -> int:
    """Bytes that the files of a folder take on disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("volume", "video", "many", "install"))
    parser.add_argument("--count", type=int, nargs="+", help="slices, frames or images [300 and 150; 200]")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs [3]")
    parser.add_argument("--before", default=BEFORE, help=f"commit to compare with [{BEFORE}]")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.what == "install":
        install()
    elif options.what == "many":
        many((options.count or [200])[0], options.rounds, options.before)
    else:
        large(volume if options.what == "volume" else video, options.count or [300, 150], options.rounds)
    print(f"\n{os.cpu_count()} cores, load of the last minute {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
