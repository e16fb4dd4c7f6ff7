"""What is written of a segmented case, a module for each format, for the tools that people use: QuPath, Slicer, napari."""
