"""What a segmentation is worth: metrics per case, their summary and the files they are written to."""

from ldseg.evaluation.calibration import Calibration, Reliability
from ldseg.evaluation.energy import energy_distance
from ldseg.evaluation.metrics import class_scores, confusion, dice, iou, object_scores, precision, recall, scored
from ldseg.evaluation.objects import ObjectSums, object_sums
from ldseg.evaluation.record import CaseResult, RunRecord, foreground
from ldseg.evaluation.report import mean_foreground, record_run, summarise, write_metrics
from ldseg.evaluation.surface import SurfaceDistances, surface_distances

__all__ = [
    "Calibration",
    "CaseResult",
    "ObjectSums",
    "Reliability",
    "RunRecord",
    "SurfaceDistances",
    "class_scores",
    "confusion",
    "dice",
    "energy_distance",
    "foreground",
    "iou",
    "mean_foreground",
    "object_scores",
    "object_sums",
    "precision",
    "recall",
    "record_run",
    "scored",
    "summarise",
    "surface_distances",
    "write_metrics",
]
