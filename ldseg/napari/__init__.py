"""A plugin of napari: a reader of volumes, and a widget that segments an image layer. Found by ``napari.yaml`` (npe2)."""
