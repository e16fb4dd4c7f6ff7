"""``Robustness = True`` and ``StepSweep = …`` on tiny weights, from the command line to the files."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from ldseg import devices
from ldseg.cli import main, robustness
from ldseg.evaluation.journal import Journal
from ldseg.io.pictures import read_image, write_image
from ldseg.segmenter import Segmenter
from ldseg.viz import DegradedFrame
from ldseg.weights import Description, save_weights

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIGMAS = (0.0, 0.05, 0.1)
ROBUSTNESS = ("Evaluation.Robustness=True", "Evaluation.Sigmas=0, 0.1, 0.05, 0.1")
SWEEP = ("Evaluation.StepSweep=2, 1",)


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks(stateful=False):
        yield


def save(place: Path, seed: int = 0) -> None:
    segmenter = tiny.varied(Segmenter(tiny.spec()), seed)
    training = tiny.settings(place, place, Data_Classes=("background", "gland"), Data_Channels=3, Data_Intensity="dtype")
    save_weights(
        place / "w",
        segmenter,
        Description(spec=segmenter.spec, preprocessing=tiny.preprocessing(), training=training.to_dict()),
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Weights ``w`` and a data set ``Set`` of three phantoms, darkened so that a little noise is not cut off."""
    tiny.phantoms(tmp_path, count=3)
    for path in (tmp_path / "Set" / "Image").iterdir():
        write_image(path, (60 + read_image(path) * 0.5).astype(np.uint8))
    save(tmp_path)
    return tmp_path


def run(place: Path, *settings: str) -> int:
    named = (
        f"Data.Root={place}", "Data.Dataset=Set", f"Model.Weights={place / 'w'}", f"Output.Folder={place / 'out'}",
        "Sampler.Sampling_Steps=2", "Output.Overlay=False", *settings,
    )  # fmt: skip
    return main([word for setting in named for word in ("--set", setting)])


def report_of(place: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / "out" / f"{name}.json").read_text("utf-8"))
    return found


def lines(place: Path, name: str) -> list[str]:
    return (place / "out" / f"{name}.jsonl").read_text("utf-8").splitlines()


def image_of(place: Path, case: int) -> Path:
    return next((place / "Set" / "Image").glob(f"*{case}.*"))


def interrupt_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    append, left = Journal.append, [count]

    def stopped(self: Journal, record: dict[str, Any]) -> None:
        append(self, record)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", stopped)


# ---- Robustness


def test_what_a_test_of_robustness_writes(
    place: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert run(place, *ROBUSTNESS, "Output.Diffusion=2") == 0
    assert "3 cases x 3 conditions: 9 segmentations, 9 of them to do" in caplog.text
    report, folder = report_of(place, "Robustness/gaussian"), place / "out" / "Robustness"
    assert [row["sigma"] for row in report["conditions"]] == list(SIGMAS)
    assert (report["noise"], report["classes"], report["problems"]) == ("gaussian", ["background", "gland"], [])
    assert report["config"]["Evaluation"]["Robustness"] is True
    assert len(report["weights_sha256"]) == 64
    for row in report["conditions"]:
        assert list(row["cases"]) == ["Phantom1", "Phantom2", "Phantom3"]
        assert row["foreground"] == row["classes"]["gland"]
        assert row["foreground"]["mean"] == pytest.approx(np.mean([scores[1] for scores in row["cases"].values()]))
        assert row["foreground"]["interval"] == [None, None]  # of so few cases
    table = (folder / "gaussian.csv").read_text("utf-8").splitlines()
    assert table[0] == "sigma,class,n,dice,low,high"
    assert len(table) == 1 + 3 * len(SIGMAS)  # two classes and the foreground
    assert (folder / "gaussian.png").stat().st_size > 10_000
    for case in (1, 2):
        with Image.open(folder / f"Phantom{case}_gaussian.gif") as animation:
            assert animation.n_frames == len(SIGMAS)
    page = (folder / "gaussian.html").read_text("utf-8")
    assert "How masks hold out: Gaussian noise" in page and page.count("<img") == 1
    assert all(f"<td>{row['foreground']['mean']:.4f}</td><td>3</td>" in page for row in report["conditions"])
    assert '<th scope="row">Evaluation.Robustness</th><td>True</td>' in page
    assert len(list(folder.iterdir())) == 8  # and the journal and the lock
    assert re.search(r"^sigma +Dice +95 % interval +cases$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("extra", [(), ("Sampler.Samples=3", "Sampler.Fusion=vote", "Sampler.Sampler=DDPM")])
def test_without_noise_it_is_the_ordinary_run(place: Path, extra: tuple[str, ...]) -> None:
    assert run(place, *ROBUSTNESS, *extra) == 0
    assert run(place, "Output.Diffusion=0", *extra) == 0
    ordinary = {case["name"]: list(case["dice"].values()) for case in report_of(place, "metrics")["cases"]}
    clean, _, noisy = (row["cases"] for row in report_of(place, "Robustness/gaussian")["conditions"])
    assert clean == ordinary
    assert noisy != ordinary


def test_with_noise_too(place: Path) -> None:
    """[Sampler] Sigma of an ordinary run is the same noise."""
    assert run(place, *ROBUSTNESS) == 0
    assert run(place, "Output.Diffusion=0", "Sampler.Sigma=0.1") == 0
    ordinary = {case["name"]: list(case["dice"].values()) for case in report_of(place, "metrics")["cases"]}
    assert report_of(place, "Robustness/gaussian")["conditions"][2]["cases"] == ordinary


def test_the_same_realisation_is_scaled(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[DegradedFrame]] = []
    monkeypatch.setattr(robustness, "robustness_gif", lambda path, frames, **_: drawn.append(frames))
    assert run(place, *ROBUSTNESS, "Output.Diffusion=2") == 0
    assert len(drawn) == 2
    noise = []
    for frames in drawn:
        assert [frame.sigma for frame in frames] == list(SIGMAS)
        clean, little, much = (frame.image for frame in frames)
        inside = ((much > 0) & (much < 1)).all(axis=-1)
        assert inside.mean() > 0.8
        np.testing.assert_allclose((much - clean)[inside], 2 * (little - clean)[inside], atol=1e-6)
        assert (much - clean)[inside].std() == pytest.approx(0.1, rel=0.1)
        noise.append(much - clean)
    assert np.abs(noise[0] - noise[1]).max() > 0.1  # each case has its own


def test_each_kind_has_its_files(place: Path) -> None:
    for kind in ("blur", "contrast"):
        assert run(place, *ROBUSTNESS, f"Evaluation.Noise={kind}", "Output.Diffusion=0") == 0
    blur, contrast = (report_of(place, f"Robustness/{kind}")["conditions"] for kind in ("blur", "contrast"))
    assert blur[0]["cases"] == contrast[0]["cases"]
    assert blur[2]["cases"] != contrast[2]["cases"]


@pytest.mark.parametrize("done", [1, 4])
def test_it_goes_on_where_it_was(
    place: Path, done: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = (*ROBUSTNESS, "Output.Diffusion=1")
    with monkeypatch.context() as patch:
        interrupt_after(done, patch)
        assert run(place, *settings) == 130
    assert len(lines(place, "Robustness/gaussian")) == 1 + done
    assert not (place / "out" / "Robustness" / "gaussian.json").exists()
    with caplog.at_level(logging.INFO):
        assert run(place, *settings) == 0
    # Of the case that is drawn all masks are needed, unless its animation is there.
    left = 9 if done < len(SIGMAS) else 9 - done
    assert f"9 segmentations, {left} of them to do" in caplog.text
    found = report_of(place, "Robustness/gaussian")["conditions"]
    assert (place / "out" / "Robustness" / "Phantom1_gaussian.gif").is_file()
    assert run(place, *settings, f"Output.Folder={place / 'whole'}") == 0
    assert json.loads((place / "whole" / "Robustness" / "gaussian.json").read_text("utf-8"))["conditions"] == found
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert run(place, *settings) == 0
    assert "9 segmentations, 0 of them to do" in caplog.text
    assert report_of(place, "Robustness/gaussian")["conditions"] == found


def test_more_strengths_and_animations_need_no_new_beginning(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run(place, *ROBUSTNESS, "Output.Diffusion=0") == 0
    with caplog.at_level(logging.INFO):
        assert run(place, "Evaluation.Robustness=True", "Evaluation.Sigmas=0, 0.1, 0.2", "Output.Diffusion=0") == 0
    assert "9 segmentations, 3 of them to do" in caplog.text
    with caplog.at_level(logging.INFO):
        assert run(place, *ROBUSTNESS, "Output.Diffusion=1") == 0
    assert "9 segmentations, 3 of them to do" in caplog.text
    assert run(place, *ROBUSTNESS, "Output.Diffusion=0") == 0
    assert list((place / "out" / "Robustness").glob("*.gif")) == []  # none of an earlier run stays


@pytest.mark.parametrize("what", ["weights", "seed"])
def test_other_weights_and_settings_begin_anew(place: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    assert run(place, *ROBUSTNESS) == 0
    before = report_of(place, "Robustness/gaussian")["conditions"]
    if what == "weights":
        save(place, seed=1)
    with caplog.at_level(logging.INFO):
        assert run(place, *ROBUSTNESS, f"Sampler.Seed={int(what == 'seed')}") == 0
    assert "9 of them to do" in caplog.text
    assert f"of other settings ({'weights_sha256' if what == 'weights' else 'Sampler.Seed'})" in caplog.text
    assert report_of(place, "Robustness/gaussian")["conditions"] != before
    assert len(lines(place, "Robustness/gaussian.old")) == 10


def test_bad_cases_are_named_and_those_without_label_left_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_of(place, 1).write_bytes(b"no image")
    (place / "Set" / "Label" / "Phantom2_label.png").unlink()
    for settings, name in ((ROBUSTNESS, "Robustness/gaussian"), (SWEEP, "Sweep/sweep")):
        assert run(place, *settings) == 1
        report = report_of(place, name)
        assert all(list(row["cases"]) == ["Phantom3"] for row in report["conditions"])
        assert [Path(line.split(":")[0]).stem for line in report["problems"]] == ["Phantom1"]
        printed = capsys.readouterr().out
        assert printed.count("Phantom1.png") == 1
        assert "Phantom2" not in printed


def test_an_animation_that_cannot_be_written_is_a_problem(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "out" / "Robustness" / "Phantom1_gaussian.gif").mkdir(parents=True)
    assert run(place, *ROBUSTNESS) == 1
    assert "problem:" in capsys.readouterr().out
    assert report_of(place, "Robustness/gaussian")["conditions"][0]["foreground"]["n"] == 3


@pytest.mark.parametrize("settings", [ROBUSTNESS, SWEEP])
def test_without_labels_there_is_nothing_to_do(
    place: Path, settings: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for label in (place / "Set" / "Label").iterdir():
        label.unlink()
    assert run(place, *settings) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"error: {place / 'Set'}: expected cases with a label, found 3 without"
    assert not (place / "out").exists()


# ---- Steps


def test_what_a_sweep_writes(place: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert run(place, *SWEEP) == 0
    assert "3 cases x 6 conditions: 18 segmentations, 18 of them to do" in caplog.text
    report = report_of(place, "Sweep/sweep")
    rows = {(row["sampler"], row["steps"]): row for row in report["conditions"]}
    assert list(rows) == [(sampler, steps) for sampler in ("DDIM", "DDPM", "DPM-Solver++") for steps in (1, 2)]
    # With one step there is one way only.
    assert rows["DDIM", 1]["cases"] == rows["DDPM", 1]["cases"] == rows["DPM-Solver++", 1]["cases"]
    assert rows["DDIM", 2]["cases"] != rows["DDPM", 2]["cases"]
    for row in rows.values():
        assert 0 < row["seconds"] < 60
        assert 0 <= row["memory"] < 2**33
        assert row["foreground"]["n"] == 3
    folder = place / "out" / "Sweep"
    assert sorted(path.suffix for path in folder.iterdir() if path.suffix) == [".csv", ".html", ".json", ".jsonl", ".png"]
    assert (folder / "sweep.csv").read_text("utf-8").startswith("sampler,steps,seconds,memory,class,n,dice,low,high\n")
    printed = capsys.readouterr().out
    row = re.search(r"^DDIM +1 +(\S+) +(\d+ MB) ", printed, re.MULTILINE)  # the report has the same figures
    assert row and f'<th scope="row">DDIM</th><td>1</td><td>{row[1]}</td><td>{row[2]}</td>' in (
        folder / "sweep.html"
    ).read_text("utf-8")
    assert re.search(r"^sampler +steps +seconds +memory +Dice +95 % interval +cases$", printed, re.MULTILINE)
    assert run(place, "Output.Diffusion=0") == 0  # DDIM with two steps
    ordinary = {case["name"]: list(case["dice"].values()) for case in report_of(place, "metrics")["cases"]}
    assert rows["DDIM", 2]["cases"] == ordinary


def test_a_sweep_goes_on_where_it_was(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(7, patch)
        assert run(place, *SWEEP) == 130
    kept = lines(place, "Sweep/sweep")
    with caplog.at_level(logging.INFO):
        assert run(place, "Evaluation.StepSweep=1,2,3") == 0
    assert "27 segmentations, 20 of them to do" in caplog.text
    assert lines(place, "Sweep/sweep")[:8] == kept
    assert len(lines(place, "Sweep/sweep")) == 28


def test_a_sweep_is_not_gone_on_with_on_another_machine(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its seconds and memory would not go together; masks under noise do."""
    sweep = "Evaluation.StepSweep=1"  # of one way only
    for settings in ((sweep,), ROBUSTNESS):
        assert run(place, *settings) == 0
    here = devices.machine()
    monkeypatch.setattr("ldseg.inference.facts.machine", lambda: {**here, "system": "newer", "gpus": ["A GPU"]})
    with caplog.at_level(logging.INFO):
        assert run(place, sweep) == 0
        assert run(place, *ROBUSTNESS) == 0
    assert "of other settings (gpus)" in caplog.text
    assert "9 segmentations, 9 of them to do" in caplog.text
    assert "9 segmentations, 0 of them to do" in caplog.text


def test_more_steps_than_the_weights_have(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the settings say of Timesteps."""
    assert run(place, "Evaluation.StepSweep=1, 1500", "NoiseScheduler.Timesteps=2000") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "Evaluation.StepSweep: expected at most NoiseScheduler.Timesteps (1000), got 1500" in error
