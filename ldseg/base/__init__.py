"""What every other package may stand on, and what knows nothing of networks: files, places, words, text, large arrays.

No module here imports another one of its neighbours.
"""
