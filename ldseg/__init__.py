"""LDSeg: segmentation of medical images by diffusion in a latent space, in two dimensions, over time and in volumes."""

__version__ = "0.1.0"
