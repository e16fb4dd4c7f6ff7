"""Pictures, returned and saved, never shown: overlays, volumes, cines, noise schedule, reverse diffusion, training curves.

Figures are made with Matplotlib's object-oriented interface: no pyplot state, no window, no display needed.
"""

from ldseg.viz.calibration import calibration_figure
from ldseg.viz.conditions import robustness_figure, sweep_figure
from ldseg.viz.curves import schedule_figure, training_curves_figure
from ldseg.viz.degradation import NoisyFrame, robustness_gif
from ldseg.viz.diffusion import latent_to_rgb, reverse_diffusion_figure, reverse_diffusion_gif
from ldseg.viz.legend import legend
from ldseg.viz.overlays import overlay
from ldseg.viz.state_audit import audit_figure
from ldseg.viz.style import CLASS_COLOURS, OKABE_ITO, TRUE_COLOUR, save_figure, save_image
from ldseg.viz.uncertainty import uncertainty_figure
from ldseg.viz.volumes import cine_figure, cine_gif, slices_gif, volume_figure

__all__ = [
    "CLASS_COLOURS",
    "OKABE_ITO",
    "NoisyFrame",
    "TRUE_COLOUR",
    "audit_figure",
    "calibration_figure",
    "cine_figure",
    "cine_gif",
    "latent_to_rgb",
    "legend",
    "overlay",
    "reverse_diffusion_figure",
    "reverse_diffusion_gif",
    "robustness_figure",
    "robustness_gif",
    "save_figure",
    "save_image",
    "schedule_figure",
    "slices_gif",
    "sweep_figure",
    "training_curves_figure",
    "uncertainty_figure",
    "volume_figure",
]
