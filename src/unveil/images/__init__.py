"""Pictures in and out: files of eight formats on one side, `Picture` on the other."""

from unveil.images.formats import FORMATS, RAW_SUFFIXES, Format
from unveil.images.picture import Picture
from unveil.images.reading import PIXEL_LIMIT, read
from unveil.images.warning import PictureWarning
from unveil.images.writing import copy, encode, write

__all__ = [
    "FORMATS",
    "PIXEL_LIMIT",
    "RAW_SUFFIXES",
    "Format",
    "Picture",
    "PictureWarning",
    "copy",
    "encode",
    "read",
    "write",
]
