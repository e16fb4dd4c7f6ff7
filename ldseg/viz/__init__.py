"""What there is to see, returned or saved, never shown.

Pictures of cases are arrays, put together with OpenCV and Pillow: quick, as there are many. Charts are figures of
Matplotlib, which is imported when the first of them is drawn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldseg.viz.calibration import calibration_picture
    from ldseg.viz.conditions import robustness_figure, sweep_figure
    from ldseg.viz.curves import training_curves_figure
    from ldseg.viz.degradation import DegradedFrame, robustness_gif
    from ldseg.viz.diffusion import Trace, latent_to_rgb, reverse_diffusion_gif, reverse_diffusion_picture
    from ldseg.viz.figures import save_figure
    from ldseg.viz.gif import Animation
    from ldseg.viz.legends import legend
    from ldseg.viz.measurements import objects_figure
    from ldseg.viz.overlays import overlay
    from ldseg.viz.schedule import schedule_picture
    from ldseg.viz.state_audit import audit_figure
    from ldseg.viz.style import CLASS_COLOURS, OKABE_ITO, TRUE_COLOUR, save_image
    from ldseg.viz.uncertainty import uncertainty_picture
    from ldseg.viz.view import CaseView
    from ldseg.viz.volumes import slices_gif, video_gif, video_picture, volume_picture

_PLACES = {
    "Animation": "ldseg.viz.gif",
    "CLASS_COLOURS": "ldseg.viz.style",
    "CaseView": "ldseg.viz.view",
    "DegradedFrame": "ldseg.viz.degradation",
    "OKABE_ITO": "ldseg.viz.style",
    "TRUE_COLOUR": "ldseg.viz.style",
    "Trace": "ldseg.viz.diffusion",
    "audit_figure": "ldseg.viz.state_audit",
    "calibration_picture": "ldseg.viz.calibration",
    "legend": "ldseg.viz.legends",
    "latent_to_rgb": "ldseg.viz.diffusion",
    "objects_figure": "ldseg.viz.measurements",
    "overlay": "ldseg.viz.overlays",
    "reverse_diffusion_gif": "ldseg.viz.diffusion",
    "reverse_diffusion_picture": "ldseg.viz.diffusion",
    "robustness_figure": "ldseg.viz.conditions",
    "robustness_gif": "ldseg.viz.degradation",
    "save_figure": "ldseg.viz.figures",
    "save_image": "ldseg.viz.style",
    "schedule_picture": "ldseg.viz.schedule",
    "slices_gif": "ldseg.viz.volumes",
    "sweep_figure": "ldseg.viz.conditions",
    "training_curves_figure": "ldseg.viz.curves",
    "uncertainty_picture": "ldseg.viz.uncertainty",
    "video_gif": "ldseg.viz.volumes",
    "video_picture": "ldseg.viz.volumes",
    "volume_picture": "ldseg.viz.volumes",
}
"""The module of each name, imported when that is asked for: a run that draws nothing begins sooner."""

__all__ = [
    "CLASS_COLOURS",
    "OKABE_ITO",
    "TRUE_COLOUR",
    "audit_figure",
    "calibration_picture",
    "latent_to_rgb",
    "legend",
    "objects_figure",
    "overlay",
    "reverse_diffusion_gif",
    "reverse_diffusion_picture",
    "robustness_figure",
    "robustness_gif",
    "save_figure",
    "save_image",
    "schedule_picture",
    "slices_gif",
    "sweep_figure",
    "training_curves_figure",
    "uncertainty_picture",
    "video_gif",
    "video_picture",
    "volume_picture",
    "Animation",
    "CaseView",
    "DegradedFrame",
    "Trace",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
