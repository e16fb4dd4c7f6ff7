"""Slides: pictures too large for memory, read a window at a time, and masks of their size."""
