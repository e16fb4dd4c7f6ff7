"""Data: reading and writing files, pairing and checking cases, labels, splits, preprocessing.

Nothing here imports Keras, except ``batches``, which hands samples to ``fit``.
"""
