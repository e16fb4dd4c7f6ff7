"""Training: plan, losses, the trainer, its optimiser, checkpoints, and the fit that joins them."""

from ldseg.training.fit import TrainingResult, train
from ldseg.training.plan import Plan
from ldseg.training.prepare import Prepared, plan_of, train_config
from ldseg.training.stop import TrainingStopped
from ldseg.training.trainer import Trainer

__all__ = ["Plan", "Prepared", "Trainer", "TrainingResult", "TrainingStopped", "plan_of", "train", "train_config"]
