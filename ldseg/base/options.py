"""The words that settings take, each list once: the settings offer what the code beside each name implements.

Samplers, schedules, predictions, presets, engines and augmentations are tables of what they name, in ``ldseg.diffusion``,
``ldseg.models``, ``ldseg.base.engines`` and ``ldseg.augmentation``; the settings read those.
"""

from __future__ import annotations

AUTO = "auto"
"""Leaves a choice to LDSeg."""

DEGRADATIONS: dict[str, str] = {
    "gaussian": "Gaussian noise",
    "speckle": "speckle",
    "poisson": "photon noise",
    "blur": "blur",
    "contrast": "loss of contrast",
}
"""What may be done to an image to see how masks hold out, and how a figure calls it: ``ldseg.inference.degradation``."""

STATES: dict[str, str] = {
    "own": "the run's own",
    "true": "from the true label",
    "other": "from another case's label",
    "noise": "noise alone, new at every step",
}
"""The states that a state audit gives the denoiser, and how a figure calls them: ``ldseg.inference.state_audit``."""

FUSIONS = ("mean", "vote", "staple")
"""How several masks of an image become one: ``ldseg.inference.fusion``."""

INTENSITIES = ("dtype", "minmax", "percentile", "zscore", "window")
"""How brightness is brought to [0, 1]: ``ldseg.data.intensity``."""

LABEL_RULES = (AUTO, "classes", "binary", "instances")
"""What the numbers of a label mean: ``ldseg.data.labels``."""

SLIDE_FORMATS = ("mask", "geojson", "csv")
"""What is written of a slide: ``ldseg.slides.files``."""

SPARSE = ("no", "slices")
"""Which parts of a label were not annotated: ``ldseg.data.labels``."""

OUTLINES = (AUTO, "True", "False")
"""Whether networks learn the outline of each object: ``ldseg.data.outline``."""

FITS = ("resize", "aspect", "tile")
"""How an image meets the grid of the network: ``ldseg.data.preprocess``."""

PRECISIONS: dict[str, str] = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
"""Arithmetic of the networks, and what Keras calls it: ``ldseg.devices``."""

MASKS = ("classes", "instances")
"""What a written mask holds: the number of the class, or of the object."""
