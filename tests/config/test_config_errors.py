"""What a wrong file, key, value or override is told: one line that names it and the nearest valid one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ldseg.config import load_config, reader
from ldseg.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "cfg.ini"
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str | bytes) -> Path:
        path = tmp_path / "my.ini"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


def refusal(path: Path | None, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("Sampler.Sampler=DIM", ("one of DDIM, DDPM, DPM-Solver++", "got 'DIM'", "the nearest valid value is DDIM")),
        ("NoiseScheduler.Scheduler=cosin", ("linear, quadratic, cosine", "got 'cosin'", "value is cosine")),
        ("Data.Channels=5", ("one of auto, 1, 2, 3, 4", "got '5'", "value is 4")),
        ("Data.Dimensions=2", ("one of auto, 2D, 2D+t, 3D", "got '2'", "value is 2D")),
        ("Parameters.Training=Treu", ("True or False", "got 'Treu'", "value is True")),
        ("Sampler.Sampling_Steps=0", ("a whole number from 1 to 100000", "got '0'", "value is 1")),
        ("Parameters.BatchSize=4.5", ("a whole number from 1 to 4096", "got '4.5'", "value is 4")),
        ("Parameters.Epoch=1e9", ("a whole number from 1 to 1000000", "got '1e9'", "value is 1000000")),
        ("Parameters.BatchSize=", ("a whole number from 1 to 4096", "got ''")),
        ("Sampler.Sigma=-0.1", ("a number from 0.0 to 1.0", "got '-0.1'", "value is 0.0")),
        ("Sampler.Sigma=nan", ("a number from 0.0 to 1.0", "got 'nan'")),
        ("Sampler.Sigma=inf", ("a number from 0.0 to 1.0", "got 'inf'", "value is 1.0")),
        ("Sampler.Sigma=0,1", ("a number from 0.0 to 1.0", "got '0,1'")),
        ("Training.EMA=1", ("a number from 0.0 to 0.99999", "got '1'", "value is 0.99999")),
        ("Data.Size=256,0", ("whole numbers from 1", "got '256,0'", "value is 256, 1")),
        ("Data.Size=256x384", ("whole numbers from 1", "got '256x384'")),
        ("Data.Classes=background,,gland", ("names with commas", "got 'background,,gland'")),
        ("Data.LabelMap=0:0,1.5:1", ("got '0:0,1.5:1'",)),
        ("Data.Cases=", ("patterns", "got ''")),
        ("Data.Root=", ("a folder", "got ''")),
        ("Data.Dataset=a/b", ("the name of a folder in Data.Root", "got 'a/b'")),
        ("Data.Dataset=..", ("the name of a folder in Data.Root", "got '..'")),
    ],
)
def test_bad_value(setting: str, parts: tuple[str, ...]) -> None:
    message = refusal(None, setting)
    assert message.startswith(f"--set {setting}: {setting.partition('=')[0]}: expected ")
    for part in parts:
        assert part in message


def test_line_break_in_an_override_stays_out_of_the_message() -> None:
    expected = r"--set 'Output.Folder=a\nb': Output.Folder: expected a folder, or nothing, got 'a\nb'"
    assert refusal(None, "Output.Folder=a\nb") == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "NoiseScheduler.Beta_0=0.5",
            "NoiseScheduler.Beta_0: expected a number below Beta_T (0.02), got 0.5",
        ),
        (
            "NoiseScheduler.Beta_T=1e-4",
            "NoiseScheduler.Beta_0: expected a number below Beta_T (0.0001), got 0.0001",
        ),
        (
            "Sampler.Sampling_Steps=1001",
            "Sampler.Sampling_Steps: expected at most NoiseScheduler.Timesteps (1000), got 1001; "
            "the nearest valid value is 1000",
        ),
        (
            "Evaluation.StepSweep=1, 1001, 5",
            "Evaluation.StepSweep: expected at most NoiseScheduler.Timesteps (1000), got 1001; "
            "the nearest valid value is 1000",
        ),
        (
            "Data.Classes=gland",
            "Data.Classes: expected at least two names with commas between them, the background first, got gland",
        ),
        (
            "Data.Classes=gland,Gland",
            "Data.Classes: expected names with commas between them, no name twice, got gland, Gland",
        ),
    ],
)
def test_contradiction(setting: str, message: str) -> None:
    assert refusal(None, setting) == f"--set: {message}"


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        (("Evaluation.Robustness=True", "Evaluation.StepSweep=1,2"), "Evaluation.Robustness and Evaluation.StepSweep"),
        (("Evaluation.StateAudit=True", "Evaluation.StepSweep=1,2"), "Evaluation.StepSweep and Evaluation.StateAudit"),
        (("Evaluation.Robustness=True", "Parameters.Training=True"), "Parameters.Training and Evaluation.Robustness"),
        (("Evaluation.Robustness=True", "Sampler.Sigma=0.1"), "Sampler.Sigma: expected 0 for Evaluation.Robustness"),
        (("Evaluation.StepSweep=1,2", "Model.Architecture=Control"), "expected nothing for Model.Architecture = Control"),
    ],
)
def test_one_thing_at_a_time(settings: tuple[str, ...], part: str) -> None:
    message = refusal(None, *settings)
    assert part in message
    assert message.splitlines() == [message]


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("Evaluation.Sigmas=", "numbers from 0.0 to 1.0 with commas between them, got ''"),
        ("Evaluation.Sigmas=0, 1.5", "nearest valid value is 0.0, 1.0"),
        ("Evaluation.Noise=gausian", "nearest valid value is gaussian"),
        ("Evaluation.StepSweep=0, 5", "nearest valid value is 1, 5"),
        ("Evaluation.StepSweep=1.5", "Evaluation.StepSweep: expected whole numbers"),
    ],
)
def test_tests_of_the_evaluation(setting: str, part: str) -> None:
    assert part in refusal(None, setting)


def test_classes_bound_what_labels_and_masks_may_be() -> None:
    classes = "Data.Classes=background,cyst,wall"
    three = "as Data.Classes has 3 names (background, cyst, wall)"
    for labels in ("binary", "instances"):
        message = refusal(None, classes, f"Data.Labels={labels}")
        assert f"Data.Labels: expected auto or classes {three}, got {labels}" in message
    message = refusal(None, classes, "Output.Masks=instances")
    assert f"Output.Masks: expected classes {three}, got instances" in message
    config = load_config(None, ["Output.Masks=instances", "Data.Labels=instances"])
    assert (config.output.masks, config.data.labels) == ("instances", "instances")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "[Sampler]\nSampling_Step = 5\n",
            ("Sampler.Sampling_Step: unknown key", "nearest is Sampler.Sampling_Steps"),
        ),
        ("[Sampler]\nBatchSize = 5\n", ("Sampler.BatchSize: unknown key", "nearest is Parameters.BatchSize")),
        (
            "[Samplr]\nSeed = 5\n",
            ("[Samplr]: unknown section", "NoiseScheduler, Sampler,", "nearest is [Sampler]"),
        ),
        ("[DEFAULT]\nSeed = 5\n", ("[DEFAULT]: unknown section",)),
        ("[Sampler]\nSeed = five\n", ("Sampler.Seed: expected a whole number from 0", "got 'five'")),
        ("[Sampler]\nseed = 1\nseed = 2\n", ("Sampler.Seed: set again in line 3", "each key once")),
        ("[Sampler]\nSeed = 1\nSEED = 2\n", ("Sampler.Seed: set again as SEED", "each key once")),
        ("[GPU]\n[Data]\n[GPU]\n", ("[GPU]: begins again in line 3", "each section once")),
        ("[GPU]\n[gpu]\n", ("[gpu]: begins again", "each section once")),
        ("Seed = 1\n", ("line 1: expected a section", "got 'Seed = 1'")),
        ("[Sampler]\nSeed\n", ("line 2: expected Key = Value", "Seed")),
        (
            "[Sampler]\nSeed = 1\n  Sigma = 0\n",
            ("Sampler.Seed: expected its value in one line", r"got '1\nSigma = 0'"),
        ),
        ("[Data]\nSize = 64, 64\nPatch = 65, 64\n", ("Data.Patch: expected at most Data.Size (64, 64)",)),
        (b"[Data]\nRoot = \xff\xfe\n", ("text file in UTF-8",)),
    ],
)
def test_bad_file(write: Write, text: str | bytes, parts: tuple[str, ...]) -> None:
    path = write(text)
    message = refusal(path)
    for part in (f"{path}: ", *parts):
        assert part in message


def test_missing_file(write: Write, tmp_path: Path) -> None:
    missing = tmp_path / "mi.ini"
    assert refusal(missing) == f"{missing}: no such file; expected a configuration such as cfg.ini"
    near = write("")
    assert refusal(missing).endswith(f"; the nearest is {near}")
    assert f"{tmp_path / 'no' / 'cfg.ini'}: no such file" in refusal(tmp_path / "no" / "cfg.ini")


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path}: expected a configuration such as cfg.ini, got: ")


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        (
            "Sampling_Step=5",
            ("expected Section.Key=VALUE", "got 'Sampling_Step'", "nearest key is Sampler.Sampling_Steps"),
        ),
        ("Sampler.Seed", ("expected Sampler.Seed=VALUE", "got no =")),
        ("", ("expected Section.Key=VALUE, got ''",)),
        ("Sampler.Sed=1", ("Sampler.Sed: unknown key", "nearest is Sampler.Seed")),
        ("Simpler.Seed=1", ("[Simpler]: unknown section", "nearest is [Sampler]")),
        ("Sampler.Seed=x", ("Sampler.Seed: expected a whole number", "got 'x'")),
    ],
)
def test_bad_override(override: str, parts: tuple[str, ...]) -> None:
    message = refusal(SHIPPED, override)
    assert message.startswith(f"--set {override}: ")
    for part in parts:
        assert part in message


def test_contradiction_names_file_and_override() -> None:
    assert refusal(SHIPPED, "Sampler.Sampling_Steps=1001").startswith(f"{SHIPPED} with --set: Sampler.Sampling_Steps")


def test_files_that_are_no_settings(tmp_path: Path) -> None:
    """A pipe would be waited for, a device without end and a file of many megabytes fill the memory."""
    os.mkfifo(tmp_path / "pipe.ini")
    (tmp_path / "long.ini").write_text("[Data]\nRoot = " + "a" * reader.MOST)
    for path, what in (
        (tmp_path / "pipe.ini", "a pipe or"),
        (Path("/dev/zero"), "a pipe or"),
        (tmp_path / "long.ini", "more than"),
    ):
        with pytest.raises(ConfigError, match=f"{path}: expected a configuration such as cfg.ini, got {what}"):
            load_config(path)
