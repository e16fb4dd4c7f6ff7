"""A plan: what settings and data decide, without a training."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import tiny

from ldseg.errors import ConfigError
from ldseg.training.choices import choose
from ldseg.training.cost import Machine
from ldseg.training.look import Seen
from ldseg.training.plan import Plan, plan

SPLIT: dict[str, Any] = {"version": 1, "training": {"a": ["a"]}, "validation": {"b": ["b"]}}
OPEN: dict[str, Any] = {
    "Data_Size": (), "Data_Patch": (), "Data_Classes": (), "Data_Channels": "auto", "Data_Intensity": "auto",
}  # fmt: skip


def planned(**changes: Any) -> Plan:
    seen = Seen(sizes=((500, 700), (520, 740), (400, 400)), spacings=(None,) * 3, channels=3, eight_bits=True, stained=1.0)
    settings = tiny.settings(Path("data"), Path("weights"), **changes)
    config, reasons = choose(settings, seen, machine=Machine(cores=2, gpu=False))
    return plan(config, SPLIT, reasons)


def test_what_the_data_decide() -> None:
    with tiny.tiny_networks():
        found = planned(**OPEN, Training_Augmentation="auto")
    assert found.spec.size == found.patch == found.preprocessing.size == (272, 376)
    assert (found.spec.channels, found.spec.classes, found.augmentation) == (3, 2, "histology")
    assert found.preprocessing.intensity == "dtype"
    assert found.chosen["Data.Size"] == (272, 376)
    lines = found.lines()
    assert any(line.startswith("Data.Size = 272, 376: ") for line in lines)
    assert any(line.startswith("4 epochs of 1 updates") for line in lines)
    assert len({reason.name for reason in found.reasons if reason.name}) == 9
    assert found.settings["Data"]["Size"] == [272, 376]


def test_what_the_settings_decide() -> None:
    with tiny.tiny_networks():
        found = planned(
            Parameters_Epoch=7, Parameters_BatchSize=3, Parameters_LearningRate=0.5, Training_Seed=9, Training_EMA=0.5,
            Training_Recycling=0.25, Training_WarmUp=11, Sampler_Sampling_Steps=4, Sampler_Sampler="DDPM",
            Training_SamplesPerCase=2, Training_WeightDecay=0.3, Training_DiffusionWeight=0.1, Training_Cache=5,
        )  # fmt: skip
    given = dataclasses.asdict(found)
    expected = {
        "epochs": 7, "batch_size": 3, "learning_rate": 0.5, "seed": 9, "ema": 0.5, "recycling": 0.25, "warm_up": 11,
        "steps": 4, "sampler": "DDPM", "samples_per_case": 2, "weight_decay": 0.3, "diffusion_weight": 0.1, "cache": 5,
        "patch": tiny.SIZE, "augmentation": "flips", "split": SPLIT, "validate_every": 2, "several_devices": False,
    }  # fmt: skip
    assert {name: given[name] for name in expected} == expected
    assert found.settings["Model"]["Weights"] == ""  # a place, which weights that travel do without


def test_settings_are_the_defaults_of_a_plan() -> None:
    """What both name has one default, and a plan needs few words."""
    from ldseg.config import Config

    data: dict[str, Any] = {"Data.Size": tiny.SIZE, "Data.Patch": tiny.SIZE, "Data.Channels": 3, "Data.Dimensions": "2D"}
    data |= {"Data.Classes": ("background", "gland"), "Data.Intensity": "dtype", "Data.Fit": "resize", "Data.Zoom": 1}
    data |= {
        "Parameters.BatchSize": 4,
        "Training.SamplesPerCase": 1,
        "Training.Focus": 0,
        "Training.Recycling": 1,
        "Sampler.Sampling_Steps": 15,
    }
    data |= {"Training.DiskCache": 0}  # a plan of code writes nothing beside the weights unless told to
    config = Config().with_values(data)
    whole = plan(config, SPLIT)
    short = Plan(
        spec=whole.spec, preprocessing=whole.preprocessing, patch=whole.patch, augmentation=whole.augmentation, split=SPLIT
    )
    assert short == dataclasses.replace(whole, settings={}, chosen={})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"Data_Size": (65536, 65536), "Data_Patch": (64, 64)}, "Data.Size: 65536×65536"),
        (
            {"Data_Size": (4096, 4096), "Data_Patch": (4096, 4096), "Parameters_BatchSize": 4096},
            "Parameters.BatchSize: 4096×",
        ),
    ],
)
def test_what_cannot_fit_into_memory_is_told_before_it_is_tried(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}.* GiB, more than the limit of 8 GiB"):
        planned(**changes)


def test_a_size_that_does_not_suit_the_networks() -> None:
    with tiny.tiny_networks(), pytest.raises(ConfigError, match=r"Data\.Patch.*20"):
        planned(Data_Patch=(20, 32))
