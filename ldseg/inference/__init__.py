"""Segmenting cases with trained networks."""

from ldseg.inference.cases import Segmented, TiledCase, segment_cases
from ldseg.inference.instances import label_instances
from ldseg.inference.noise import case_generator, noisy_image
from ldseg.inference.predictor import Predictor, Trajectory

__all__ = [
    "Predictor",
    "Segmented",
    "TiledCase",
    "Trajectory",
    "case_generator",
    "label_instances",
    "noisy_image",
    "segment_cases",
]
