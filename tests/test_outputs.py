"""The layout of the folder of a run."""

import json
from pathlib import Path

from ldseg.outputs import FOLDERS, ROBUSTNESS, Outputs


def test_every_path_stays_where_earlier_runs_have_it() -> None:
    outputs = Outputs(Path("out"))
    found = [
        outputs.metrics, outputs.metrics_table, outputs.calibration, outputs.schedule, outputs.report, outputs.overlay("a"),
        outputs.overlay("a", ".gif"), outputs.diffusion("a"), outputs.uncertainty("a"), outputs.robustness("blur"),
        outputs.robustness_gif("a", "blur"), outputs.sweep, outputs.state_audit,
    ]  # fmt: skip
    assert [path.relative_to("out").as_posix() for path in found] == [
        "metrics.json", "metrics.csv", "calibration.json", "schedule.png", "report.html", "Overlay/a_overlay.png",
        "Overlay/a_overlay.gif", "Diffusion/a_diffusion.png", "Uncertainty/a_uncertainty.png", "Robustness/blur.json",
        "Robustness/a_blur.gif", "Sweep/sweep.json", "StateAudit/state_audit.json",
    ]  # fmt: skip
    assert set(FOLDERS) == {"Segmentation", "Robustness", "Sweep", "StateAudit"}


def test_figures_of_tests_are_those_of_the_same_weights(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path)
    for kind, weights in (("blur", "a"), ("gaussian", "b"), ("speckle", "a")):
        path = outputs.robustness(kind)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"weights_sha256": weights}))
        path.with_suffix(".png").touch()
    (tmp_path / ROBUSTNESS / "alone.png").touch()  # without a record
    (tmp_path / ROBUSTNESS / "odd.png").touch()
    (tmp_path / ROBUSTNESS / "odd.json").write_text("[]")
    assert [path.stem for path in outputs.test_figures(ROBUSTNESS, "a")] == ["blur", "speckle"]
