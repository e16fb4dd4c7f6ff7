"""The mathematics of diffusion: schedules, the forward process, samplers. Knows no network and no image.

``compiled`` runs a sampler on a backend of Keras, ``plain`` in NumPy; nothing else here needs Keras.
"""

from ldseg.diffusion.process import PREDICTIONS, convert, corrupt, decodable, target
from ldseg.diffusion.samplers import DDIM, SAMPLERS, Sampler, ddim, sampler_of, step_grid, transition_table
from ldseg.diffusion.schedules import SCHEDULES, Schedule

__all__ = [
    "DDIM",
    "PREDICTIONS",
    "SAMPLERS",
    "SCHEDULES",
    "Sampler",
    "Schedule",
    "convert",
    "corrupt",
    "ddim",
    "decodable",
    "sampler_of",
    "step_grid",
    "target",
    "transition_table",
]
