"""[Model] Preset = auto."""

from pathlib import Path

import pytest

from ldseg.config import Config, load_config
from ldseg.models import PRESETS
from ldseg.training.cost import Machine
from ldseg.training.plan import plan
from ldseg.training.reach import with_preset

MEDSEGDIFF = Path(__file__).parents[2] / "medsegdiff.ini"
PROCESSOR, GPU = Machine(cores=2, gpu=False), Machine(cores=2, gpu=True)
SETTLED = {
    "Data.Dimensions": "2D", "Data.Size": (64, 64), "Data.Patch": (64, 64), "Data.Channels": 1, "Data.Fit": "resize",
    "Data.Classes": ("a", "b"), "Data.Intensity": "dtype", "Data.Zoom": 1, "Parameters.BatchSize": 4,
    "Training.SamplesPerCase": 1, "Training.Focus": 0, "Training.Recycling": 1, "Training.Augmentation": "anatomy",
}  # fmt: skip


def test_a_processor_takes_what_it_can_train() -> None:
    config, reasons = with_preset(load_config(MEDSEGDIFF), machine=PROCESSOR)
    assert (config.model.preset, config.model.prediction, config.model.dynamic_conditioning) == ("tiny", "x0", False)
    assert (config.noise_scheduler.scheduler, config.parameters.learning_rate) == ("cosine", 1e-3)
    assert {reason.name for reason in reasons} >= {"Model.Preset", "Model.Prediction", "Parameters.LearningRate"}
    assert "Model.Preset=B" in reasons[-1].why
    assert "GPU" in reasons[-1].why
    made = plan(config.with_values(SETTLED), {})
    assert (made.steps, made.picks, made.sampling) == (5, True, {})


def test_what_the_command_line_says_stays() -> None:
    config, _ = with_preset(load_config(MEDSEGDIFF, ["Parameters.LearningRate=3e-4"]), machine=PROCESSOR)
    assert (config.parameters.learning_rate, config.noise_scheduler.scheduler) == (3e-4, "cosine")


@pytest.mark.parametrize(("preset", "masks"), [("B", 5), ("++", 25)])
def test_as_published_is_one_word_away(preset: str, masks: int) -> None:
    config, reasons = with_preset(load_config(MEDSEGDIFF, [f"Model.Preset={preset}"]), machine=PROCESSOR)
    assert reasons == ()
    assert (config.noise_scheduler.scheduler, config.parameters.learning_rate) == ("linear", 1e-4)
    assert (config.model.prediction, PRESETS[preset].prediction, config.sampler.fusion) == ("auto", "eps", "staple")
    made = plan(config.with_values(SETTLED), {})
    assert (made.steps, made.sampling, made.picks) == (100, {"steps": 100, "samples": masks}, False)
    assert with_preset(load_config(MEDSEGDIFF), machine=GPU)[0].model.preset == "B"


def test_ldseg_takes_lean_and_what_is_set_stays() -> None:
    auto = Config().with_values({"Model.Preset": "auto"})
    assert with_preset(auto, machine=PROCESSOR)[0].model.preset == "lean"
    assert with_preset(Config(), machine=PROCESSOR) == (Config(), ())


def test_a_training_that_goes_on_keeps_its_networks() -> None:
    begun = Config().with_values({"Model.Architecture": "MedSegDiff", "Model.Preset": "S", "Parameters.LearningRate": 2e-3})
    config, reasons = with_preset(load_config(MEDSEGDIFF), {"settings": begun.to_dict()}, PROCESSOR)
    assert (config.model.preset, config.parameters.learning_rate, reasons) == ("S", 2e-3, ())
