import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.viz import objects_figure
from ldseg.viz.figures import figure_to_array


def rows(count: int, **more: str) -> list[dict[str, str]]:
    rng = np.random.default_rng(0)
    return [
        {
            "class": "gland" if place % 3 else "lumen",
            "unit": "um",
            "area": f"{10 ** rng.uniform(0, 4):.3f}",
            "perimeter": "5",
            "eccentricity": f"{rng.random():.3f}",
            "solidity": "" if place == 0 else "1",
            "mean_intensity_1": "0",
            "mean_uncertainty": "0.25",
            **more,
        }
        for place in range(count)
    ]


def test_every_object_is_counted_in_its_class() -> None:
    table = rows(30) + rows(1, unit="pixels")
    figure = objects_figure(table, ("background", "gland", "lumen"), ("black", "red", "#0000ff"))
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title(loc="left") for panel in panels] == [
        "Area", "Perimeter", "Eccentricity", "Solidity", "Mean uncertainty", "Mean intensity 1"
    ]  # fmt: skip
    assert panels[0].get_xlabel() == "µm² (30 of 31 objects)"
    assert panels[0].get_xscale() == "log"
    told = [entry.get_text() for entry in panels[0].get_legend().get_texts()]
    assert [line.split(",")[0] for line in told] == ["gland: 20", "lumen: 10"]
    heights = [bar.get_height() for bar in panels[2].patches if hasattr(bar, "get_height")]
    assert sum(heights) == 31
    assert figure_to_array(figure, dpi=40).std() > 0


def test_without_an_object_there_is_no_figure() -> None:
    with pytest.raises(DataError, match="objects: expected at least one object"):
        objects_figure([], ("background", "gland"))
