"""Slides segmented piece by piece, in memory that does not grow with them: what `Fit = tile` does, without the whole picture."""
