"""Segmenting cases with trained networks."""

from ldseg.inference.cases import Segmented, TiledCase, corrupted, segment_cases, segment_each
from ldseg.inference.degradation import NOISES, corrupt_image
from ldseg.inference.fusion import FUSIONS, fuse
from ldseg.inference.instances import label_instances
from ldseg.inference.predictor import Predictor
from ldseg.inference.seeding import case_generator
from ldseg.inference.state_audit import Audited, StateAudit, audit_states
from ldseg.inference.trajectory import Trajectory
from ldseg.inference.uncertainty import member_variance, predictive_entropy

__all__ = [
    "FUSIONS",
    "NOISES",
    "Audited",
    "Predictor",
    "Segmented",
    "StateAudit",
    "TiledCase",
    "Trajectory",
    "audit_states",
    "case_generator",
    "corrupt_image",
    "corrupted",
    "fuse",
    "label_instances",
    "member_variance",
    "predictive_entropy",
    "segment_cases",
    "segment_each",
]
