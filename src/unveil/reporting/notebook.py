"""How a restoration looks in a notebook: before and after beside each other. No scripts, which notebooks may block."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from unveil.reporting.previews import Bytes, inline, shrink

SIDE = 640
_GAP = 8


def html(before: Bytes, after: Bytes, lines: Sequence[str]) -> str:
    """A fragment with both pictures, H W 3 uint8, and lines of text below them."""
    figures = "".join(
        '<figure style="margin:0;flex:1 1 0;min-width:0;max-width:640px">'
        f'<img alt="{word}" src="{inline(shrink(pixels, SIDE))}" style="width:100%;height:auto;display:block">'
        f'<figcaption style="font-size:12px;opacity:.7">{word}</figcaption></figure>'
        for word, pixels in (("before", before), ("after", after))
    )
    said = "<br>".join(escape(line) for line in lines)
    return f'<div style="display:flex;gap:8px">{figures}</div><div style="font-size:13px">{said}</div>'


def png(before: Bytes, after: Bytes) -> bytes:
    """Both pictures, H W 3 uint8, beside each other as a PNG file."""
    small = [shrink(pixels, SIDE) for pixels in (before, after)]
    gap = np.full((small[0].shape[0], _GAP, 3), 255, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.concatenate([small[0], gap, small[1]], axis=1)).save(stream, "PNG")
    return stream.getvalue()
