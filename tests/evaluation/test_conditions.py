"""Figures of the same cases under several conditions, in numbers and drawn."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ldseg.base.options import STATES
from ldseg.errors import DataError
from ldseg.evaluation.conditions import dice_figures, document, write_document
from ldseg.viz import Animation, DegradedFrame, audit_figure, robustness_figure, robustness_gif, save_figure, sweep_figure

CLASSES = ("background", "a", "b")
CASES = {"one": (0.9, 0.5, 0.7), "two": (0.8, float("nan"), 0.1), "three": (0.7, 0.3, None)}


def test_figures_of_a_condition() -> None:
    found = dice_figures(CASES, CLASSES)
    assert found["classes"]["a"] == {"mean": 0.4, "interval": [None, None], "n": 2}
    assert found["foreground"]["mean"] == pytest.approx((0.6 + 0.1 + 0.3) / 3)
    assert found["cases"]["two"] == [0.8, None, 0.1]
    nothing = dice_figures({}, CLASSES)
    assert nothing["foreground"] == {"mean": None, "interval": [None, None], "n": 0}


def test_documents_are_plain_and_tables_whole(tmp_path: Path) -> None:
    found = document([{"sigma": 0.5, **dice_figures(CASES, CLASSES)}], CLASSES, noise="blur", folder=Path("x"))
    write_document(tmp_path / "noise", found, ("sigma",))
    assert json.loads((tmp_path / "noise.json").read_text("utf-8")) == found
    assert (found["classes"], found["noise"], found["folder"]) == (list(CLASSES), "blur", "x")
    rows = list(csv.DictReader((tmp_path / "noise.csv").read_text("utf-8").splitlines()))
    assert [row["class"] for row in rows] == [*CLASSES, "foreground"]
    assert (rows[1]["sigma"], rows[1]["n"], rows[1]["dice"]) == ("0.5", "2", "0.400000")


def report(**columns: list[Any]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    keys = zip(*columns.values(), strict=True)
    rows = [dict(zip(columns, values, strict=True)) for values in keys]
    rows = [{**row, **dice_figures({f"c{k}": rng.uniform(0.4, 1, 3).tolist() for k in range(4)}, CLASSES)} for row in rows]
    return document(rows, CLASSES, noise="speckle", memory_of="process")


def test_curves_of_every_class(tmp_path: Path) -> None:
    found = report(sigma=[0.0, 0.1, 0.2])
    found["conditions"][1] |= dice_figures({}, CLASSES)  # a gap
    figure = robustness_figure(found)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["a", "b", "mean of the classes"]
    assert all(len(axes.lines) >= 5 for axes in shown)  # four cases and their mean
    mean = shown[0].lines[4].get_ydata()
    assert np.isnan(mean[1])
    assert mean[0] == found["conditions"][0]["classes"]["a"]["mean"]
    assert save_figure(figure, tmp_path / "x.png").stat().st_size > 10_000


def test_strengths_close_together_share_a_label() -> None:
    def labels(*sigmas: float) -> list[str]:
        return [text.get_text() for text in robustness_figure(report(sigma=list(sigmas))).axes[0].get_xticklabels()]

    assert labels(0.0, 0.005, 0.1) == ["0", "0.1"]
    assert labels(*np.linspace(0, 0.2, 11).round(2).tolist())[:3] == ["0", "0.02", "0.04"]
    assert labels(0.3) == ["0.3"]


def test_a_case_without_a_hit_is_in_view() -> None:
    found = report(sigma=[0.0, 0.1])
    assert robustness_figure(found).axes[0].get_ylim()[0] > 0.2
    found["conditions"][1]["cases"]["c0"] = [0.9, 0.0, 0.5]
    assert -0.05 < robustness_figure(found).axes[0].get_ylim()[0] < 0


def test_few_cases_have_no_interval_and_no_word_of_it() -> None:
    def words(figure: Any) -> str:
        return " ".join(text.get_text() for legend in figure.legends for text in legend.get_texts()) + str(
            [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center")]
        )

    strengths = report(sigma=[0.0, 0.1])
    steps = report(sampler=["DDIM", "DDIM"], steps=[1, 5], seconds=[0.1, 0.2], memory=[2**20] * 2)
    for found, draw in ((strengths, robustness_figure), (steps, sweep_figure)):
        assert "95 %" not in words(draw(found))  # of four cases
        for row in found["conditions"]:
            for figures in (row["foreground"], *row["classes"].values()):
                figures["interval"] = [0.1, 0.9]
        assert "95 %" in words(draw(found))


def test_steps_time_and_memory(tmp_path: Path) -> None:
    found = report(
        sampler=["DDIM", "DDIM", "DDPM", "DDPM"], steps=[1, 50, 1, 50], seconds=[0.1, 1.0, 0.1, None], memory=[2**30] * 4
    )
    figure = sweep_figure(found)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["1", "50"]
    assert figure.axes[2].lines[0].get_ydata().tolist() == [1024, 1024]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["DDIM", "DDPM"]
    save_figure(figure, tmp_path / "x.png")


def test_any_number_of_samplers_has_a_line_of_its_own() -> None:
    samplers = ["DDIM", "DDPM", "DPM-Solver++", "a fourth", *(f"s{k}" for k in range(4))]
    found = report(sampler=samplers, steps=[5] * 8, seconds=[0.1] * 8, memory=[2**20] * 8)
    figure = sweep_figure(found)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == samplers
    drawn = [bars.lines[0] for bars in figure.axes[0].containers]
    assert len({float(line.get_xdata()[0]) for line in drawn}) == 8  # side by side
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in drawn}) == 6  # then they start again


def test_a_degradation_without_words_is_called_by_its_name() -> None:
    found = report(sigma=[0.0, 0.1])
    found["noise"] = "fog"
    assert "Dice as fog grows" in robustness_figure(found)._suptitle.get_text()


def test_a_state_without_words_is_drawn_too() -> None:
    found = report(t=[9, 9, 9], state=["own", "noise", "dream"])
    for row in found["conditions"]:
        row["agreement"] = row["foreground"]
    figure = audit_figure(found)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["the run's own", STATES["noise"], "dream"]


@pytest.mark.parametrize("draw", [robustness_figure, sweep_figure])
def test_nothing_to_draw(draw: Any) -> None:
    with pytest.raises(DataError, match="conditions: expected at least one"):
        draw({"conditions": [], "classes": CLASSES})


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("planes", [(), (5,)])
def test_an_animation_of_noise(planes: tuple[int, ...], channels: int, tmp_path: Path) -> None:
    rng, size = np.random.default_rng(0), (*planes, 24, 32)
    label = np.zeros(size, np.int32)
    label[(3, slice(4, 9), slice(4, 9)) if planes else (slice(4, 9), slice(4, 9))] = 2
    image = rng.uniform(0.2, 0.3, (*size, channels)).astype(np.float32)
    frames = [DegradedFrame.of(image + sigma, label, label, sigma, 1.0, "frame") for sigma in (0.0, 0.3)]
    assert frames[0].where == (", frame 4 of 5" if planes else "")
    assert (frames[0].mask == 2).sum() == 25
    path = robustness_gif(tmp_path / "x.gif", frames, noise="gaussian", names=CLASSES, animation=Animation(width=300))
    with Image.open(path) as found:
        assert found.n_frames == 2
        pages = []
        for index in range(2):
            found.seek(index)
            pages.append(np.asarray(found.convert("L"), float)[40:90, 20:90].mean())
    assert pages[1] > pages[0] + 30  # brighter noise looks brighter: each frame in the range of the first


def test_an_animation_is_a_gif(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected the suffix \.gif"):
        robustness_gif(tmp_path / "x.png", [], noise="blur")
