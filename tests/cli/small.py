"""Runs of the command in the folder of the fixture ``place``."""

from pathlib import Path

from ldseg.base.writing import LOCK
from ldseg.cli import main

ROOT = Path(__file__).parents[2]


def images(place: Path) -> Path:
    return place / "data" / "Set" / "Image"


def out(place: Path) -> Path:
    return place / "data" / "Set" / "Segmentation"


def files(place: Path) -> dict[Path, tuple[bytes, int]]:
    """What a run has written, and when."""
    found = (path for path in out(place).iterdir() if path.name != LOCK)
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def run(place: Path, *overrides: str, config: Path = ROOT / "cfg.ini") -> int:
    settings = [f"Data.Root={place / 'data'}", "Data.Dataset=Set", f"Model.Weights={place / 'weights'}", *overrides]
    return main(["--config", str(config), *(word for setting in settings for word in ("--set", setting))])


QUICK = ("Sampler.Sampling_Steps=2", "Output.Diffusion=0", "Output.Overlay=False")


def spoilt(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]
