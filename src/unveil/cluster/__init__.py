"""Restoring at scale: folders and object stores of any size, on this machine or on a Ray cluster (extra `cluster`).

    from unveil import cluster

    cluster.restore("s3://museum/scans", "s3://museum/restored")
    cluster.restore("scans/", "restored/", cluster=None)      the same in this process, without Ray

Importing this loads neither Ray nor fsspec.
"""

from unveil.cluster.manifest import Tally
from unveil.cluster.running import Run, Summary, prepare, restore, tally

__all__ = ["Run", "Summary", "Tally", "prepare", "restore", "tally"]
