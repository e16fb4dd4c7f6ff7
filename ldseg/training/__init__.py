"""Training: what to train (``plan``) and how (``trainer``, ``losses``); from settings to weights (``prepare``, ``fit``)."""
