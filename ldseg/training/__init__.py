"""Training: what to train (``plan``), how (``trainer``, ``losses``), and the run from settings to weights (``prepare``, ``fit``)."""
