"""The widget of napari. It needs napari, which is imported when the widget is asked for."""

from typing import Any

from ldseg.model import available
from ldseg.napari.layers import segmented


def segment_widget() -> Any:
    """A widget with an image layer, weights, steps and samples, and a button; napari stays alive while it segments."""
    # Annotations are values here, not text: magicgui makes the fields from them.
    from magicgui import magicgui
    from napari.layers import Image
    from napari.qt.threading import FunctionWorker, thread_worker
    from napari.types import LayerDataTuple

    @magicgui(
        call_button="Segment",
        weights={"choices": list(available())},
        steps={"min": 1, "max": 1000},
        folder={"label": "or a folder"},
        samples={"min": 1, "max": 64},
        seed={"min": 0, "max": 2**31 - 1},
    )
    def segment(
        image: Image,
        weights: str = "GlaS",
        folder: str = "",
        steps: int = 5,
        samples: int = 1,
        flips: bool = False,
        seed: int = 0,
    ) -> FunctionWorker[list[LayerDataTuple]]:
        settings = {"steps": steps, "samples": samples, "flips": flips, "seed": seed}
        worker = thread_worker(segmented)(image, folder.strip() or weights, **settings)
        segment.call_button.enabled = False
        worker.finished.connect(lambda: setattr(segment.call_button, "enabled", True))
        worker.start()
        return worker

    return segment
