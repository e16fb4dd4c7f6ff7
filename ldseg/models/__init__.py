"""The four networks of a diffusion segmenter, and the presets that size them."""

from ldseg.models.presets import PRESETS, Networks, Preset, build_networks

__all__ = ["PRESETS", "Networks", "Preset", "build_networks"]
