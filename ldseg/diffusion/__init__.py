"""The mathematics of diffusion: schedules, the forward process, samplers. Knows no network and no image."""

from ldseg.diffusion.process import PREDICTIONS, convert, corrupt, decodable, target
from ldseg.diffusion.samplers import sample, step_grid, transition_table
from ldseg.diffusion.schedules import SCHEDULES, Schedule

__all__ = [
    "PREDICTIONS",
    "SCHEDULES",
    "Schedule",
    "convert",
    "corrupt",
    "decodable",
    "sample",
    "step_grid",
    "target",
    "transition_table",
]
