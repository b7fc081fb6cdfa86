"""The web page: a handful of files of the package, held in memory. The slider is that of the report."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from unveil.reporting import asset

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
OURS = ("index.html", "page.css", "page.js", "panel.js", "viewer.js", "requests.js", "icon.svg")
SHARED = ("slider.js", "slider.css")


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page, under the path it is asked for."""

    path: str
    media_type: str
    data: bytes


def page_files() -> dict[str, PageFile]:
    """All files of the page by path. Only what is named here is served: no path of a caller reaches the disk."""
    folder = files("unveil.server") / "page"
    contents = {name: (folder / name).read_bytes() for name in OURS}
    contents |= {name: asset(name).encode() for name in SHARED}
    found = [PageFile(_path(name), MEDIA_TYPES[name.rpartition(".")[2]], data) for name, data in contents.items()]
    return {file.path: file for file in found}


def _path(name: str) -> str:
    return "/" if name == "index.html" else f"/page/{name}"
