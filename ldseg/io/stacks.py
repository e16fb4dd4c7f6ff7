"""TIFF files with a page for each plane or frame."""

from ldseg.io.contract import Format
from ldseg.io.masks import write_stack
from ldseg.io.tiff import TIFF_SUFFIXES, read_tiff

STACK = Format(
    thing="TIFF stack",
    suffixes=TIFF_SUFFIXES,
    axes=("ZYX", "TYX"),
    read=read_tiff,
    write=write_stack,
    maps=TIFF_SUFFIXES[0],
)
