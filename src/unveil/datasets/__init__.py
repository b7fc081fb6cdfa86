"""The public data sets: what there is, getting it, checking it, finding its pairs. Needs no PyTorch.

    locate(root, "rain100h") -> Located         its `pairs` are `Pair(name, input, target)`, paths or None
    locate(root, "gopro/test"), locate(root, "gopro", "test")
    pairs_in(folder) -> tuple[Pair, ...]        of any folder: `input` beside `target`, or clean pictures alone
    default_root()                              `$UNVEIL_DATA`, or `data` in the current folder

`root` None means `default_root()`. `locate` raises DataSetMissing, which says what was expected where, and
InvalidRequest for a name that is not in the catalogue. It opens no file: sizes and contents are checked by
'unveil data check'.
"""

from unveil.datasets.catalogue import DataSet, Overlap, Part, find, overlaps, sets
from unveil.datasets.locating import Located, default_root, locate, pairs_in
from unveil.datasets.pairing import Pair

__all__ = [
    "DataSet",
    "Located",
    "Overlap",
    "Pair",
    "Part",
    "default_root",
    "find",
    "locate",
    "overlaps",
    "pairs_in",
    "sets",
]
