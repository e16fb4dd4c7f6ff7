"""What README shows in Python runs as it is written there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

import ldseg.model
from ldseg.config import Config
from ldseg.io.pictures import write_image
from ldseg.phantoms import gland_phantom, write_phantoms
from ldseg.weights import WEIGHTS_FILE

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[1]
QUICK = {
    "Model.Preset": "lean", "Data.Size": "32,32", "Parameters.Epoch": 1, "Training.ValidateEvery": 1,
    "Training.Augmentation": "none", "Training.Recycling": 0.0, "Training.Minutes": 0, "Sampler.Sampling_Steps": 1,
    "Training.Workers": 0,
}  # fmt: skip
"""For what README leaves to the user's patience: the length of a training, and with it the networks."""


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


def test_the_python_of_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(Path("slide.png"), gland_phantom(np.random.default_rng(0), (96, 128))[0])
    write_phantoms(Path("data/Colon"), 1, (96, 128), seed=1)
    write_phantoms(Path("data/Mine"), 3, (40, 48), seed=2)
    whole, train = ldseg.model.training_config, ldseg.model.train

    def quick(data: str | Path, values: Mapping[str, object]) -> Config:
        return whole(data, {**values, **QUICK})

    def tiny_train(*args: Any, **options: Any) -> ldseg.model.Model:
        with tiny.tiny_networks():  # those of the weights that are loaded before are the shipped ones
            return train(*args, **options)

    monkeypatch.setattr(ldseg.model, "training_config", quick)
    monkeypatch.setattr(ldseg, "train", tiny_train)
    (code,) = blocks()
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    told = capsys.readouterr().out
    assert "Phantom1 0." in told
    assert "dice" in told
    assert Path("out/slide_segmentation.png").is_file()
    assert Path("weights/Mine", WEIGHTS_FILE).is_file()
    assert isinstance(names["model"], ldseg.model.Model)
    assert names["model"].classes == ("background", "cell")
