"""``StateAudit = True`` on tiny weights, from the command line to the files."""

import json
from pathlib import Path

import pytest
import tiny

from ldseg.cli import main
from ldseg.cli.parser import parse
from ldseg.segmenter import Segmenter
from ldseg.weights import Description, save_weights


def folders(root: Path, **changes: object) -> list[str]:
    """A data set of three cases, weights, and the settings that name them."""
    data = tiny.phantoms(root, count=3)
    segmenter = tiny.varied(Segmenter(tiny.spec(**changes)))
    description = Description(
        spec=segmenter.spec, preprocessing=tiny.preprocessing(), training=tiny.settings(data, root).to_dict()
    )
    save_weights(root / "w", segmenter, description)
    named = {
        "Data.Root": data, "Data.Dataset": "Set", "Model.Weights": root / "w", "Output.Folder": root / "out",
        "Evaluation.StateAudit": True, "Sampler.Sampling_Steps": 2,
    }  # fmt: skip
    return [word for name, value in named.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize("control", [False, True])
def test_the_audit_of_a_set(tmp_path: Path, control: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with tiny.tiny_networks(stateful=False):
        assert main(folders(tmp_path, control=control)) == 0
    folder = tmp_path / "out" / "StateAudit"
    report = json.loads((folder / "state_audit.json").read_text("utf-8"))
    assert report["architecture"] == ("Control" if control else "LDSeg")
    rows = report["conditions"]
    assert [(row["t"], row["state"]) for row in rows[:5]] == [
        (1000, "own"), (1000, "true"), (1000, "other"), (1000, "noise"), *([] if control else [(500, "own")])
    ]  # fmt: skip
    assert len(rows) == (4 if control else 8)
    same = [row["agreement"]["mean"] for row in rows]
    assert all(value == 1 for value in same) == control
    assert [row["agreement"]["mean"] for row in rows if row["state"] == "own"] == [1.0] * (len(rows) // 4)
    for row in rows:
        assert row["foreground"]["n"] == 3
        assert row["foreground"]["interval"] == [None, None]  # of so few cases
    page = (folder / "state_audit.html").read_text("utf-8")
    assert "How much the masks depend on the state" in page and "true: of the label" in page
    assert (folder / "state_audit.png").stat().st_size > 10_000
    table = (folder / "state_audit.csv").read_text("utf-8").splitlines()
    assert table[0] == "t,state,agreement,class,n,dice,low,high"
    assert table[1].startswith("1000,own,1.000000,background,3,")
    assert len(table) == 1 + 3 * len(rows)  # two classes and the foreground
    assert "3 audited, 0 problems" in capsys.readouterr().out


def test_it_audits_as_many_steps_as_are_asked_for() -> None:
    asked = parse(["audit", "--weights", "GlaS", "--steps", "15", "--sampler", "DDPM"]).overrides
    assert {"Sampler.Sampling_Steps=15", "Sampler.Sampler=DDPM"} < set(asked)


def test_a_broken_case_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tiny.tiny_networks(stateful=False):
        settings = folders(tmp_path)
        next((tmp_path / "Set" / "Image").glob("*1.*")).write_bytes(b"no image")
        assert main(settings) == 1
    assert "2 audited, 1 problem" in capsys.readouterr().out


def test_noise_on_the_images_counts_and_mirrored_copies_do_not(tmp_path: Path) -> None:
    found = []
    with tiny.tiny_networks(stateful=False):
        settings = folders(tmp_path)
        for more in ((), ("Sampler.Sigma=0.3",), ("Sampler.Flips=True", "Sampler.Samples=3")):
            assert main([*settings, *(word for name in more for word in ("--set", name))]) == 0
            found.append(json.loads((tmp_path / "out" / "StateAudit" / "state_audit.json").read_text("utf-8"))["conditions"])
    assert found[0] != found[1]
    assert found[0] == found[2]


def test_without_labels_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tiny.tiny_networks(stateful=False):
        settings = folders(tmp_path)
        for label in (tmp_path / "Set" / "Label").iterdir():
            label.unlink()
        assert main(settings) == 2
    assert "expected cases with a label, found 3 without" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
