"""Training: losses, the trainer, its optimiser, checkpoints, and the fit that joins them."""

from ldseg.training.fit import TrainingResult, train
from ldseg.training.trainer import Trainer

__all__ = ["Trainer", "TrainingResult", "train"]
