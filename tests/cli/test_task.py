"""What the weights fix is theirs, whatever the settings say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small import QUICK, ROOT, out, run

from ldseg.cli.task import settle
from ldseg.config import load_config
from ldseg.io.pictures import read_label
from ldseg.weights import read_description

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_settings_that_the_weights_fix_are_named_and_not_used(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run(place, *QUICK) == 0
    name = "Phantom1_segmentation.png"
    plain = read_label(out(place) / name)
    assert caplog.text.count("is not used") == 0
    changed = {
        "NoiseScheduler.Beta_0": "0.001", "NoiseScheduler.Beta_T": "0.5", "NoiseScheduler.Scheduler": "linear",
        "NoiseScheduler.Timesteps": "500", "Data.Size": "64, 96", "Data.Channels": "1", "Data.Classes": "background, cell",
        "Data.Intensity": "percentile", "Model.Preset": "ldseg", "Model.Prediction": "eps",
    }  # fmt: skip
    overrides = [f"{key}={value}" for key, value in changed.items()]
    assert run(place, *QUICK, *overrides, f"Output.Folder={place / 'other'}") == 0
    for key, value in changed.items():
        assert any(f"{key} = {value} is not used" in record.message for record in caplog.records), key
    assert caplog.text.count("is not used") == len(changed)
    np.testing.assert_array_equal(read_label(place / "other" / name), plain)
    assert json.loads((place / "other" / "metrics.json").read_text("utf-8"))["run"]["config"]["Data"]["Size"] == [32, 32]


def test_a_default_that_the_command_line_asks_for_is_named_too(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    description = read_description(trained)
    schedule = {**description.training["NoiseScheduler"], "Scheduler": "linear"}
    linear = replace(description, training={**description.training, "NoiseScheduler": schedule})
    settle(load_config(ROOT / "cfg.ini"), linear)
    assert "is not used" not in caplog.text
    left_open = "Model.Prediction=auto", "Data.Size="
    settle(load_config(ROOT / "cfg.ini", ["NoiseScheduler.Scheduler=cosine", *left_open]), linear)
    assert "NoiseScheduler.Scheduler = cosine is not used" in caplog.text
    assert caplog.text.count("is not used") == 1
