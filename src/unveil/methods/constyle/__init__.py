"""ConStyle v1 (arXiv 2402.15784) and v2 (arXiv 2406.18242): an encoder that looks at the damage guides a U-Net.

Where the papers and the authors' code differ, the code is followed, so that released weights fit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unveil.methods.constyle.encoder_file import read_encoder, write_encoder
    from unveil.methods.constyle.guiding import guide

__all__ = ["guide", "read_encoder", "write_encoder"]

_HOMES = {"guide": "guiding", "read_encoder": "encoder_file", "write_encoder": "encoder_file"}


def __getattr__(name: str) -> Any:
    # The table of networks names classes of this package: what imports the table must not be imported with it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
