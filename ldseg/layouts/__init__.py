"""The ways in which a folder may hold images and labels."""
