"""What there is to see, returned or saved, never shown.

Pictures of cases are arrays, put together with OpenCV and Pillow: quick, as there are many. Charts are figures of
Matplotlib, which is imported when the first of them is drawn.
"""

from ldseg.viz.calibration import calibration_picture
from ldseg.viz.conditions import robustness_figure, sweep_figure
from ldseg.viz.curves import training_curves_figure
from ldseg.viz.degradation import DegradedFrame, robustness_gif
from ldseg.viz.diffusion import Trace, latent_to_rgb, reverse_diffusion_gif, reverse_diffusion_picture
from ldseg.viz.figures import save_figure
from ldseg.viz.gif import Animation
from ldseg.viz.legend import legend
from ldseg.viz.measurements import objects_figure
from ldseg.viz.overlays import overlay
from ldseg.viz.schedule import schedule_picture
from ldseg.viz.state_audit import audit_figure
from ldseg.viz.style import CLASS_COLOURS, OKABE_ITO, TRUE_COLOUR, save_image
from ldseg.viz.uncertainty import uncertainty_picture
from ldseg.viz.view import CaseView
from ldseg.viz.volumes import slices_gif, video_gif, video_picture, volume_picture

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
