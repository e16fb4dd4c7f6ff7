"""The commands of ``ldseg`` beside segmenting and training."""

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ldseg import cli
from ldseg.cli import main, settings_file
from ldseg.cli.parser import COMMANDS, parse, parser
from ldseg.config import KEYS, load_config
from ldseg.io.pictures import write_image, write_mask

ROOT = Path(__file__).parents[2]


def test_every_option_stands_for_a_setting() -> None:
    for command in COMMANDS.values():
        assert {option.key for option in command.options} <= set(KEYS)
        assert len({option.flag for option in command.options}) == len(command.options)
        assert {setting.partition("=")[0] for setting in command.settings} <= set(KEYS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([name, "--help"])
    assert ended.value.code == 0
    assert COMMANDS[name].about.split()[0] in capsys.readouterr().out
    assert f"| `ldseg {name}" in (ROOT / "docs" / "reference" / "command.md").read_text("utf-8")


def test_options_come_before_set_and_after_the_file(tmp_path: Path) -> None:
    file = tmp_path / "own.ini"
    file.write_text("[Sampler]\nSampling_Steps = 7\nSeed = 3\n[Parameters]\nTraining = True\n")
    request = parse(["segment", "a.png", "--config", str(file), "--steps", "5", "--flips", "--set", "Sampler.Samples=2"])
    config = load_config(request.config, request.overrides)
    assert (config.sampler.sampling_steps, config.sampler.seed, config.sampler.samples) == (5, 3, 2)
    assert config.sampler.flips
    assert not config.parameters.training
    request = parse(["--set", "Sampler.Seed=1", "train", "Mine", "--set", "Sampler.Seed=2"])
    assert load_config(request.config, request.overrides).sampler.seed == 2
    assert request.paths == (Path("Mine"),)


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ldseg", "weights"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    assert "GlaS" in run.stdout


def test_weights_lists_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights"]) == 0
    told = capsys.readouterr().out
    assert [word for word in ("Hippocampus", "2D+t", "48×64×48", "posterior") if word not in told] == []
    assert main(["weights", str(tmp_path)]) == 1
    assert f"problem: {tmp_path}" in capsys.readouterr().out


def test_export_writes_networks_for_another_runtime(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "Volume", "--to", "onnx", "--out", str(tmp_path / "out")]) == 0
    assert {"README.md", "segmenter.json", "denoiser.onnx"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert main(["export", "Nothing"]) == 2
    assert "Nothing: expected a folder" in capsys.readouterr().err


def test_init_writes_settings_and_touches_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert load_config(tmp_path / "cfg.ini") == load_config(None)
    (tmp_path / "cfg.ini").write_text("[Data]\nDataset = Mine\n")
    assert main(["init"]) == 2
    assert "cfg.ini: is there already" in capsys.readouterr().err
    assert "Mine" in (tmp_path / "cfg.ini").read_text("utf-8")
    capsys.readouterr()
    assert main(["init", "other.ini"]) == 0
    assert "`ldseg train` with --config other.ini take them" in capsys.readouterr().out


def test_without_a_command_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert "cfg.ini: no such file" in capsys.readouterr().err


def test_settings_that_come_with_it_are_found_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings_file(Path("medsegdiff.ini")).read_bytes() == (ROOT / "medsegdiff.ini").read_bytes()
    (tmp_path / "medsegdiff.ini").touch()
    assert settings_file(Path("medsegdiff.ini")) == Path("medsegdiff.ini")
    assert settings_file(Path("cfg.ini")) == Path("cfg.ini")
    assert settings_file(Path("own.ini")) == Path("own.ini")


def test_validate_names_every_fault_of_every_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, folder = np.random.default_rng(0), tmp_path / "Mine"
    label = np.zeros((40, 40), np.int32)
    label[5:20, 5:20] = 1
    for name in "abcd":
        write_image(folder / "Image" / f"{name}.png", rng.integers(0, 255, (40, 40, 3)).astype(np.uint8))
        write_mask(folder / "Label" / f"{name}_label.png", label)
    logging.disable(logging.INFO)
    try:
        assert main(["validate", str(folder), "--classes", "background,cell"]) == 0
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(logging.NOTSET)
    told = capsys.readouterr().out
    assert "4 cases, 4 with a label" in told
    assert "class 1, cell: in 4 labels, 14.06% of all" in told
    label[5:10, 5:20] = 2
    write_mask(folder / "Label" / "a_label.png", label)
    assert main(["validate", str(folder), "--classes", "background,rim,cup", "--regions", "disc:1+2"]) == 0
    told = capsys.readouterr().out
    assert "class 2, cup: in 1 label, 1.17% of all\nregion disc (1+2): in 4 labels, 14.06% of all" in told
    write_image(folder / "Image" / "b.png", np.full((40, 40, 3), 7, np.uint8))
    label[label == 2] = 1
    write_mask(folder / "Label" / "a_label.png", label)
    write_mask(folder / "Label" / "b_label.png", label * 7)
    write_mask(folder / "Label" / "c_label.png", label[:30])
    write_mask(folder / "Label" / "lost_label.png", label)
    assert main(["validate", str(folder), "--classes", "background,cell"]) == 1
    told = capsys.readouterr().out
    problems = [line for line in told.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 4
    for words in (
        "b.png: constant image",
        "b_label.png: label values 0, 7",
        "c_label.png: label of size 30×40",
        "lost_label.png: label",
    ):
        assert sum(words in line for line in problems) == 1
    assert "2 cases with a problem, 4 problems in all" in told


@pytest.mark.parametrize(("name", "library"), [("robustness", "Matplotlib"), ("sweep", "Matplotlib"), ("training", "SciPy")])
def test_what_is_missing_for_a_command_is_said_before_its_work(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"Matplotlib": "matplotlib", "SciPy": "scipy"}[library]
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *rest: None if asked == missing else find(asked, *rest))
    with pytest.raises(ModuleNotFoundError) as caught:
        cli._module(name)
    assert cli._missing(caught.value) == f'{library} is not installed, which this needs: pip install "ldseg[figures]"'


@pytest.mark.parametrize(
    "arguments",
    [
        ["segment", "{}"],
        ["segment", "{}.png"],
        ["segment", ".", "--weights", "{}"],
        ["segment", ".", "--config", "{}"],
        ["validate", "{}"],
        ["plan", "{}", "--classes", "a,b"],
        ["export", "{}", "--to", "onnx"],
    ],
)
def test_names_that_are_too_long_are_an_error_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    long = "n" * 300
    assert main([word.format(long) for word in arguments]) == 2
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
