"""The four networks of a diffusion segmenter, and the presets that size them."""

from ldseg.models.networks import Networks
from ldseg.models.presets import PRESETS, Preset, build_networks

__all__ = ["PRESETS", "Networks", "Preset", "build_networks"]
