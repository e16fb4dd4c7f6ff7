"""Random changes to training samples."""
