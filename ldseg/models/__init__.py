"""The four networks of a diffusion segmenter, and the presets that size them. Keras is imported when one is built."""

from ldseg.models.networks import Networks
from ldseg.models.presets import PRESETS, Preset, build_networks, preset_of, presets_by_architecture

__all__ = ["PRESETS", "Networks", "Preset", "build_networks", "preset_of", "presets_by_architecture"]
