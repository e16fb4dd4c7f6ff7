"""The report of a run: what stands in the page, and how it does in a browser."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldseg.config import Config
from ldseg.errors import DataError
from ldseg.evaluation import CaseResult, ObjectSums, RunRecord, record_run, write_metrics
from ldseg.evaluation.compare import difference, read_run
from ldseg.io.pictures import write_image
from ldseg.viz.report import page
from ldseg.viz.report.embed import Pictures
from ldseg.viz.report.records import TITLES, Strips, columns, settings, statistics, strips, worst_first

NAMES = ("background", "gland")
ODD = '<b>&"1"</b>'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


SETTLED = {"Sampler.Sampling_Steps": 15, "Sampler.Samples": 1}
"""What a run has settled of its settings."""


def scored(name: str, dice: float, **more: Any) -> CaseResult:
    scores = {"dice": (0.9, dice), "iou": (0.8, dice / 2), "hd95": (np.nan, 10 - 10 * dice)}
    return CaseResult(name=name, scores=scores, seconds=0.5, **more)


CASES = (
    scored("good", 0.9),
    CaseResult(name="unlabelled", seconds=0.25),
    CaseResult(name="broken", status="skipped", message="zero bytes <here>"),
    scored(ODD.replace("/", "|"), 0.4),
    scored("fair", 0.7),
)


def a_run(folder: Path, cases: tuple[CaseResult, ...] = CASES, **settings: Any) -> RunRecord:
    config = Config().with_values({**SETTLED, **settings})
    facts = {"ldseg": "1.2.3", "config": config.to_dict(), "weights": "weights/GlaS", "weights_figures": {"val_dice": 0.5}}
    facts["weights_sha256"] = "0" * 64
    write_metrics(folder, record_run(cases, NAMES, {**facts, "problems": ["a & b"], "seconds": 3.0}))
    return read_run(folder)


def paint(path: Path, size: tuple[int, int] = (60, 300)) -> Path:
    values = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_image(path, values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    a_run(tmp_path)
    for case in CASES[:2]:
        paint(tmp_path / "Overlay" / f"{case.name}_overlay.png")
    paint(tmp_path / "schedule.png")
    return tmp_path


def text(folder: Path, **compared: Any) -> str:
    return page.write_report(folder, read_run(folder), compared).read_text("utf-8")


# ---- What stands in it


def test_the_page_needs_no_other_file_and_no_network(folder: Path) -> None:
    html = text(folder)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    assert policy in unescape(html)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<iframe|<object", html.replace(";base64,//", ""))
    assert set(re.findall(r'src="(.{10})', html)) == {"data:image"}
    assert all(target.startswith(("#", "data:")) for target in re.findall(r'href="([^"]*)', html))
    assert html.count("<img") == 5  # two overlays large and small, and the schedule


def test_names_cannot_be_taken_for_markup(folder: Path) -> None:
    html = text(folder)
    assert "<b>&" not in html
    assert "zero bytes &lt;here&gt;" in html
    assert "a &amp; b" in html
    assert "&lt;b&gt;&amp;&#34;1&#34;&lt;|b&gt;" in html


def test_the_worst_cases_come_first_and_skipped_ones_last(folder: Path) -> None:
    html = text(folder)
    rows = re.findall(r'<tr><th scope="row">(.*?)<', html[html.index('class="sortable"') : html.index('id="figures"')])
    assert [unescape(row) for row in rows] == [CASES[3].name, "fair", "good", "unlabelled", "broken"]


def test_without_a_label_the_least_certain_comes_first() -> None:
    cases = [CaseResult(name=name, entropy=value) for name, value in (("a", 0.1), ("b", 0.2))]
    assert [case.name for case in worst_first(cases)] == ["b", "a"]


def test_a_run_without_labels_and_without_pictures(tmp_path: Path) -> None:
    a_run(tmp_path, CASES[1:3])
    html = text(tmp_path)
    assert "No case has a label" in html
    assert "<img" not in html
    assert [column.title for column in columns(read_run(tmp_path), {})] == ["Seconds"]


def test_what_the_table_is_sorted_by_is_marked(tmp_path: Path) -> None:
    marked = r'<th scope="col" aria-sort="ascending"><button type="button">([^<]*)</button>'
    cases = [replace(case, predicted_dice=0.8) for case in CASES[:2]]
    a_run(tmp_path, tuple(cases))
    assert re.findall(marked, text(tmp_path)) == ["Dice"]
    a_run(tmp_path, tuple(cases[1:]))
    assert re.findall(marked, text(tmp_path)) == ["Predicted Dice"]


def test_without_an_interval_there_is_no_column_for_it(tmp_path: Path) -> None:
    for count, shown in ((5, False), (6, True)):
        a_run(tmp_path, tuple(scored(f"case{index}", 0.1 * index) for index in range(count)))
        html = text(tmp_path)
        assert ("95 % interval of the mean" in html, "a thick line for its interval" in html) == (shown, shown)


def test_a_damaged_picture_is_not_missed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder / "schedule.png"
    path.write_bytes(path.read_bytes()[:200])
    assert text(folder).count("<img") == 4
    assert "schedule.png" in caplog.text


def test_pictures_of_an_earlier_run_stay_out(folder: Path) -> None:
    a_run(folder, **{"Output.Overlay": False})
    assert text(folder).count("<img") == 1


def test_figures_of_tests_and_of_the_training_are_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    tests = ("Robustness/gaussian.png", "Sweep/sweep.png", "StateAudit/state_audit.png")
    for name in (*tests, "Robustness/blur.png", "weights/GlaS/training/curves.png"):
        paint(folder / name)
    made = {"weights_sha256": "0" * 64, "config": read_run(folder).config}
    for name in tests:
        (folder / name).with_suffix(".json").write_text(json.dumps(made))
    assert text(folder).count("<img") == 9
    (folder / "Sweep" / "sweep.json").write_text(json.dumps({**made, "weights_sha256": "1" * 64}))  # of other weights
    assert text(folder).count("<img") == 8
    (folder / "StateAudit" / "state_audit.json").write_text(json.dumps({**made, "config": {"Data": {}}}))  # of other data
    assert text(folder).count("<img") == 7


def test_pictures_have_bounds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide, square = paint(folder / "wide.png", (100, 3200)), paint(folder / "square.png", (1600, 1600))
    # Panels side by side get the width of the page.
    for path, size in ((wide, (1600, 50)), (square, (800, 800))):
        picture = Pictures(10**7).take(path, 800)
        assert picture is not None
        assert (picture.width, picture.height) == size
    pictures = Pictures(1000)
    small = paint(folder / "small.png", (2, 2))
    assert [pictures.take(path, 800) is None for path in (small, wide, small)] == [False, True, True]
    assert pictures.left_out == [wide, small]
    monkeypatch.setattr(page, "MAX_BYTES", 1000)
    html = text(folder)
    assert "5 pictures are left out" in html
    assert "<img" not in html


def test_what_differs_from_the_defaults(folder: Path) -> None:
    run = a_run(folder, **{"Sampler.Seed": 7})
    found = {key: values for key, differs, values in settings({"This run": run}) if differs}
    assert found == {"Sampler.Seed": [0, 7], **{name: ["auto", value] for name, value in SETTLED.items()}}


def test_of_a_control_no_steps_are_told(folder: Path) -> None:
    assert "DDIM in 15 steps" in text(folder)
    a_run(folder, **{"Model.Architecture": "Control"})
    assert "no diffusion, seed 0" in text(folder)


def test_classes_are_shown_where_there_are_several(tmp_path: Path) -> None:
    results = [CaseResult(name="a", scores={"dice": (1.0, 0.5, np.nan)}, seconds=1.0)]
    facts = {
        "config": Config().with_values(SETTLED).to_dict(),
        "weights": "w",
        "weights_sha256": "",
        "problems": [],
        "seconds": 1.0,
    }
    write_metrics(tmp_path, record_run(results, ("none", "bone", "gap"), facts))
    run = read_run(tmp_path)
    assert [each.title for each in statistics(run)] == ["Dice", "Dice of bone"]
    assert [each.title for each in strips({"This run": run}).rows] == ["This run", "bone"]
    assert [column.title for column in columns(run, {})] == ["Dice", "Dice of bone", "Seconds"]
    assert "Dice of bone" in text(tmp_path)


def test_the_axis_of_the_strips(folder: Path) -> None:
    found = strips({"This run": read_run(folder)})
    assert found.ends == (0.4, 0.9)
    assert found.at(0.4) == 0 and found.at(0.65) == pytest.approx(50)
    assert Strips(rows=[]).ends == (0.0, 1.0)


# ---- Side by side


def test_pooled_scores_of_objects_are_named(tmp_path: Path) -> None:
    sums = ObjectSums(hits=1, predicted=1, true=2, predicted_area=20, true_area=40, predicted_dice=16, true_dice=16)
    a_run(tmp_path, (scored("a", 0.8, objects=sums.scores, sums=sums),))
    row = r"<tr><th scope=\"row\">Object F1 pooled over the set</th><td>0\.6667</td>"
    assert re.search(row, text(tmp_path))
    found = [each for each in statistics(read_run(tmp_path)) if each.metric == "pooled_object_dice"]
    assert [each.mean for each in found] == ["0.6000"]  # (16 / 20 + 16 / 40) / 2


def test_a_run_from_before_the_pooled_scores_has_none(folder: Path) -> None:
    path = folder / "metrics.json"
    found = json.loads(path.read_text("utf-8"))
    del found["summary"]["objects_pooled"]
    for case in found["cases"]:
        del case["object_sums"]
    path.write_text(json.dumps(found))
    assert not any(each.metric.startswith("pooled") for each in statistics(read_run(folder)))


def test_a_metric_without_a_title_is_shown_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TITLES, "iou")
    assert [each.title for each in statistics(read_run(folder))] == ["Dice", "HD95 (pixels)", "Iou"]
    assert '<th scope="row">Iou</th>' in text(folder)


def test_the_difference_is_that_of_the_common_cases(tmp_path: Path) -> None:
    both = [(0.8, 0.6), (0.6, 0.5)] * 3
    ours = a_run(tmp_path / "a", (*(scored(f"x{k}", one) for k, (one, _) in enumerate(both)), scored("z", 0.1)))
    others = [scored(f"x{k}", other) for k, (_, other) in enumerate(both)]
    theirs = a_run(tmp_path / "b", (*reversed(others), CaseResult(name="z")))
    found = difference(ours, theirs)
    assert (found.n, found.higher, found.lower) == (6, 6, 0)
    assert found.mean == pytest.approx(0.15)
    assert 0.1 <= found.interval[0] < 0.13 and 0.17 < found.interval[1] <= 0.2
    assert str(found).startswith("higher: +0.1500")
    assert str(difference(theirs, ours)).startswith("lower: -0.1500")
    assert str(difference(ours, ours)).startswith("no clear difference")
    few = difference(ours, a_run(tmp_path / "few", tuple(others[1:])))
    assert few.n == few.higher == 5
    assert str(few).startswith("too few cases to tell, of at least 6: +0.1400")
    assert str(difference(ours, a_run(tmp_path / "c", (scored("w", 1.0),)))) == "no labelled case in common"
    html = text(tmp_path / "a", control=theirs)
    assert "<strong>control</strong>: higher: +0.1500" in html
    assert "Dice in control" in html


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "No such file"), ("{", "cannot be read"), ("[]", "format 1"), ('{"format": 1}', "format 1")],
)
def test_a_run_that_cannot_be_compared(content: str | None, expected: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=rf"metrics\.json.*{expected}"):
        read_run(tmp_path)


def test_a_run_of_other_classes(folder: Path) -> None:
    with pytest.raises(DataError, match="expected the classes none, cyst, found background, gland"):
        read_run(folder, ("none", "cyst"))


# ---- In a browser


PROBE = """
<script>
const faults = [];
addEventListener("error", (event) => faults.push(event.message));
addEventListener("securitypolicyviolation", (event) => faults.push(event.violatedDirective));
addEventListener("load", () => {
  const rows = () => [...document.querySelectorAll("table.sortable tbody th")].map((cell) => cell.firstChild.textContent);
  const press = (title) => {
    const button = [...document.querySelectorAll("th button")].find((each) => each.textContent === title);
    button.focus();
    button.click();
    return [document.activeElement === button, button.closest("th").getAttribute("aria-sort"), rows()];
  };
  const found = {
    width: innerWidth, first: rows(), again: press("Dice"), seconds: press("Seconds"), names: press("Case"),
    sorted: document.querySelectorAll("[aria-sort]").length,
    pictures: [...document.images].map((image) => image.complete && image.naturalWidth > 0),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth, faults,
  };
  parent.postMessage(found, "*");
});
</script>
"""
# The window of a browser cannot be as narrow as a phone; a frame can.
FRAME = """<!DOCTYPE html>
<body><iframe src="probed.html" style="border: 0; width: {width}px; height: 900px"></iframe><script>
addEventListener("message", (event) => document.body.textContent = "found:" + JSON.stringify(event.data));
</script>
"""


@pytest.fixture
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    profile = tmp_path_factory.mktemp("profile")
    common = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={profile}")

    def run(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
        command = [CHROMIUM, *common, "--virtual-time-budget=5000", *options, path.as_uri()]
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)

    return run


@pytest.mark.integration
@pytest.mark.smoke
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_works_in_a_browser(width: int, folder: Path, browse: Callable[..., Any]) -> None:
    html = text(folder, control=read_run(folder))
    done = browse(folder / "report.html", "--dump-dom")
    assert ":CONSOLE" not in done.stderr  # errors, and what the policy of the page refuses
    (folder / "probed.html").write_text(html.replace("<head>", "<head>" + PROBE), "utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width), "utf-8")
    dump = browse(folder / "frame.html", "--dump-dom", "--window-size=1400,1000").stdout
    found = json.loads(unescape(re.search("found:(.*)</body>", dump, re.DOTALL)[1]))
    worst, odd = [CASES[3].name, "fair", "good", "unlabelled", "broken"], CASES[3].name
    assert found["width"] == width
    assert found["first"] == worst
    assert found["again"] == [True, "descending", ["good", "fair", odd, "unlabelled", "broken"]]
    assert found["seconds"] == [True, "descending", ["good", "fair", odd, "unlabelled", "broken"]]
    assert found["names"] == [True, "ascending", [odd, "broken", "fair", "good", "unlabelled"]]
    assert found["sorted"] == 1
    assert found["pictures"] == [True] * 5
    assert found["overflow"] <= 0
    assert found["faults"] == []
