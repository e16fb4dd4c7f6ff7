"""Segmenting cases with trained networks. Needs no Keras; what does is in ``predictor`` and ``state_audit``."""

from ldseg.inference.cases import degraded, segment_cases, segment_each
from ldseg.inference.degradation import degrade
from ldseg.inference.engine import Drawn, Engine
from ldseg.inference.fusion import fuse
from ldseg.inference.instances import label_instances
from ldseg.inference.parts import classes_of
from ldseg.inference.seeding import case_generator
from ldseg.inference.segmented import Segmented
from ldseg.inference.tiled import TiledCase
from ldseg.inference.uncertainty import member_variance, predictive_entropy

__all__ = [
    "Drawn",
    "Engine",
    "Segmented",
    "TiledCase",
    "case_generator",
    "classes_of",
    "degrade",
    "degraded",
    "fuse",
    "label_instances",
    "member_variance",
    "predictive_entropy",
    "segment_cases",
    "segment_each",
]
