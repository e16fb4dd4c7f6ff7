"""Slides that fit into memory, as pictures."""

from ldseg.io.contract import Format
from ldseg.io.pictures import write_flat
from ldseg.io.slides.kinds import SLIDE_SUFFIXES, read_slide

SLIDE = Format(
    thing="slide",
    suffixes=SLIDE_SUFFIXES,
    axes=("YX",),
    read=read_slide,
    write=write_flat,
    masks=dict.fromkeys(SLIDE_SUFFIXES, ".tif"),
    maps=".tif",
)
