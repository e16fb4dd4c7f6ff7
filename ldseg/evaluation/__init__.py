"""What a segmentation is worth: metrics per case, their summary and the files they are written to."""

from ldseg.evaluation.metrics import CaseResult, confusion, dice, iou, summarise, write_metrics

__all__ = ["CaseResult", "confusion", "dice", "iou", "summarise", "write_metrics"]
