"""The report of a run over many cases: the worst as they are, the others as data that the page makes rows of."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldseg.cli import segment
from ldseg.config import Config
from ldseg.evaluation import CaseResult, RunRecord, record_run
from ldseg.io.pictures import write_image
from ldseg.viz.report import many, page

NAMES = ("background", "gland")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def run_of(folder: Path, count: int) -> RunRecord:
    """Cases whose Dice falls with their number; the last one is skipped, and its name is markup."""
    cases = [
        CaseResult(name=f"case{index}", scores={"dice": (1.0, 1 - index / (2 * count))}, seconds=0.1 + index % 3)
        for index in range(count - 1)
    ]
    cases.append(CaseResult(name="</script><b>", status="skipped", message="zero bytes"))
    for case in cases[-4:-1]:
        path = folder / "Overlay" / f"{case.name}_overlay.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))
    config = Config().with_values({"Sampler.Sampling_Steps": 5, "Sampler.Samples": 1})
    facts = {"config": config.to_dict(), "weights": "w", "weights_sha256": "0", "problems": [], "seconds": 1.0}
    return record_run(cases, NAMES, facts)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST", 20)
    monkeypatch.setattr(page, "SHOWN", 6)
    monkeypatch.setattr(many, "SHOWN", 6)


def data_of(html: str) -> Any:
    return json.loads(re.search('<script type="application/json" id="rows">(.*?)</script>', html, re.DOTALL)[1])


def test_a_few_cases_are_all_in_the_page(few: None, tmp_path: Path) -> None:
    html = page.write_report(tmp_path, run_of(tmp_path, 20)).read_text("utf-8")
    assert 'id="rows"' not in html and html.count('<tr><th scope="row">case') == 19
    assert "img-src data:;" in html


def test_of_many_the_worst_are_in_the_page_and_all_are_data(few: None, tmp_path: Path) -> None:
    html = page.write_report(tmp_path, run_of(tmp_path, 40)).read_text("utf-8")
    found = data_of(html)
    assert re.findall('<tr><th scope="row">(case[0-9]+)<', html) == [f"case{index}" for index in range(38, 32, -1)]
    assert [row[0] for row in found["rows"]] == [*(f"case{index}" for index in range(38, -1, -1)), "</script><b>"]
    assert found["rows"][0][2] == pytest.approx(1 - 38 / 80, abs=1e-4) and found["rows"][-1][1] == "zero bytes"
    assert found["shown"] == 6 and found["overlay"] and not found["uncertainty"]


def test_rings_that_are_about_equal_are_one(tmp_path: Path) -> None:
    html = page.write_report(tmp_path, run_of(tmp_path, 3000)).read_text("utf-8")
    counts = [int(count) for count in re.findall(r'title="([0-9]+) cases? about', html)]
    assert sum(counts) == 2999 and len(counts) <= 501


def test_problems_have_a_bound(few: None, tmp_path: Path) -> None:
    run = record_run([CaseResult(name=f"c{i}", status="skipped", message="m") for i in range(300)], NAMES, {})
    run = record_run(run.cases, NAMES, run_of(tmp_path, 3).facts)
    html = page.write_report(tmp_path, run).read_text("utf-8")
    assert html.count("<li>m</li>") == many.LINES and "These are 200 of 300" in html


def test_the_screen_shows_the_worst_of_many(tmp_path: Path) -> None:
    told = segment._table(run_of(tmp_path, segment.MOST_ROWS), (), ()).splitlines()
    assert len(told) > segment.MOST_ROWS
    told = segment._table(run_of(tmp_path, 600), (), ()).splitlines()
    assert "The worst 20 of 600 cases" in told[-1] and sum(line.startswith("case") for line in told) == 21


PROBE = """
<script>
const faults = [];
addEventListener("error", (event) => faults.push(event.message));
addEventListener("securitypolicyviolation", (event) => faults.push(event.blockedURI));
addEventListener("load", async () => {
  const [back, on] = document.querySelectorAll(".pages button"), search = document.querySelector(".pages input");
  const state = () => [document.querySelector(".pages output").textContent, back.disabled, on.disabled,
    [...document.querySelectorAll("table.paged tbody th")].map((cell) => cell.firstChild.textContent)];
  const press = (title) => [...document.querySelectorAll("th button")].find((each) => each.textContent === title).click();
  const found = [state()];
  on.click(); found.push(state());
  press("Case"); found.push(state());
  press("Dice"); press("Dice"); found.push(state());
  search.value = "CASE3"; search.dispatchEvent(new Event("input")); found.push(state());
  search.value = "nothing"; search.dispatchEvent(new Event("input")); found.push(state());
  search.value = ""; search.dispatchEvent(new Event("input")); press("Dice"); found.push(state());
  await new Promise((done) => setTimeout(done, 500));
  const pictures = [...document.querySelectorAll("table.paged td img")].map((image) => image.naturalWidth);
  document.body.textContent = "found:" + JSON.stringify({ found, pictures, faults });
});
</script>
"""


@pytest.mark.integration
@pytest.mark.smoke
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_pages_of_rows_in_a_browser(few: None, tmp_path: Path) -> None:
    path = page.write_report(tmp_path, run_of(tmp_path, 40))
    path.write_text(path.read_text("utf-8").replace("<head>", "<head>" + PROBE), "utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom")
    command = [str(CHROMIUM), *options, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
    dump = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True).stdout
    found = json.loads(unescape(re.search("<body>found:(.*)</body>", dump, re.DOTALL)[1]))
    first, second, named, best, some, none, again = found["found"]
    worst = [f"case{index}" for index in range(38, -1, -1)]
    assert first == ["1 to 6 of 40", True, False, worst[:6]]
    assert second == ["7 to 12 of 40", False, False, worst[6:12]]
    assert named[3][:3] == ["</script><b>", "case0", "case1"]
    assert best[3] == worst[::-1][:6]
    assert some == ["1 to 6 of 10", True, False, ["case3", *(f"case{index}" for index in range(30, 35))]]
    assert none == ["none", True, True, []]
    assert again[3] == worst[:6]
    assert found["pictures"] == [30, 30, 30]
    assert found["faults"] == []
