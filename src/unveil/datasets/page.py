"""The catalogue as a page for people: `python -m unveil.datasets.page > docs/reference/data-sets.md`."""

from __future__ import annotations

from unveil.datasets import catalogue, locating
from unveil.datasets.catalogue import DataSet, Part

_HEAD = """\
# Data sets

Made from `src/unveil/datasets/catalogue.toml` by `python -m unveil.datasets.page`; a test keeps both equal.
[How to prepare data](../how-to/prepare-data.md) says what the commands do with it.

Nobody has downloaded these sets with unveil yet: every entry is *not verified*, its source stands with it, and there
are no checksums. Where a figure is missing, nobody told us. Patterns leave out the ending of files; `{name}` stands for
any part of a name. A folder `PART/input` beside `PART/target` (or just `PART` for clean pictures) is understood for
every set.
"""


def page() -> str:
    """The whole page, in Markdown."""
    rows = ["| name | for | size | licence | how |", "|---|---|---|---|---|"]
    for entry in catalogue.sets().values():
        size = "" if entry.gigabytes is None else f"{entry.gigabytes:g} GB"
        how = "downloads" if entry.downloads else "by hand"
        rows.append(f"| [{entry.name}](#{entry.name}) | {entry.use} | {size} | {entry.licence} | {how} |")
    sections = [_section(entry) for entry in catalogue.sets().values()]
    return "\n".join([_HEAD, *rows, "", *sections, _overlaps()])


def _section(entry: DataSet) -> str:
    lines = [
        f"## {entry.name}",
        "",
        f"**{entry.title}**, for {entry.use}. Home: <{entry.home}>. Licence: {entry.licence}.",
    ]
    if entry.aliases:
        lines.append(f"Also called {', '.join(entry.aliases)}.")
    if entry.note:
        lines.append(entry.note)
    state = "Verified" if entry.verified else "Not verified"
    lines += [f"{state}; source: {entry.source}.", "", "| part | role | how many | files |", "|---|---|---|---|"]
    lines += [_row(part) for part in entry.parts]
    lines.append("")
    if entry.downloads:
        lines += [f"- `{one.url}`{_needed(one.parts)}" for one in entry.downloads]
    else:
        lines += [f"{number}. {step}" for number, step in enumerate(entry.steps, 1)]
    return "\n".join([*lines, ""])


def _row(part: Part) -> str:
    first = part.layouts[0]
    shown = " with ".join(f"`{pattern}`" for pattern in (first.input, first.target) if pattern)
    facts = [
        "paired in sorted order" if first.pairing == "order" else "",
        f"only those in `{first.list}`" if first.list else "",
        f"{part.size[0]} x {part.size[1]}" if part.size else "",
        f"target {part.scale} times as large" if part.scale > 1 else "",
        f"target larger by {part.border} pixels on every side" if part.border else "",
        part.note,
        f"{len(part.layouts) - 1} other layout{'s' if len(part.layouts) > 2 else ''} known" if part.layouts[1:] else "",
    ]
    told = "; ".join([shown, *filter(None, facts)])
    count = f"{part.count:,} {locating.ITEMS[part.kind]}" if part.count else "not known"
    return f"| {part.name} | {part.role} | {count} | {told} |"


def _needed(parts: tuple[str, ...]) -> str:
    return f" for {', '.join(parts)}" if parts else ""


def _overlaps() -> str:
    lines = ["## Overlaps", "", "`unveil data check` warns of these.", ""]
    lines += ["| one | other | what | known from |", "|---|---|---|---|"]
    lines += [f"| {one.parts[0]} | {one.parts[1]} | {one.text} | {one.source} |" for one in catalogue.overlaps()]
    for one in catalogue.overlaps():
        if one.names:
            lines += ["", f"Of {one.parts[0]} in {one.parts[1]}: {', '.join(one.names)}."]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(page(), end="")
