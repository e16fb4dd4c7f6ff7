"""LDSeg: segmentation of medical images by diffusion in a latent space."""

from ldseg.version import __version__

__all__ = ["__version__"]
