"""Slides segmented piece by piece, in memory that does not grow with them: `Fit = tile` without the whole picture."""
