"""Segmenting cases with trained networks."""

from ldseg.inference.cases import Segmented, TiledCase, segment_cases
from ldseg.inference.fusion import FUSIONS, fuse
from ldseg.inference.instances import label_instances
from ldseg.inference.noise import case_generator, noisy_image
from ldseg.inference.predictor import Predictor, Trajectory
from ldseg.inference.uncertainty import member_variance, predictive_entropy

__all__ = [
    "FUSIONS",
    "Predictor",
    "Segmented",
    "TiledCase",
    "Trajectory",
    "case_generator",
    "fuse",
    "label_instances",
    "member_variance",
    "noisy_image",
    "predictive_entropy",
    "segment_cases",
]
