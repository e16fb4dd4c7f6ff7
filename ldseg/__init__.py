"""LDSeg: segmentation of medical images by diffusion in a latent space."""

__version__ = "0.1.0"
