"""What is shown to people in HTML: previews of pictures, the slider between before and after, and the report.

`slider.js` and `slider.css` define the element `<before-after>` and stand alone: the web page serves the same files.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["asset"]


def asset(name: str) -> str:
    """The text of a file of this package: `slider.js`, `slider.css`, `report.css`."""
    return (files(__name__) / name).read_text(encoding="utf-8")
