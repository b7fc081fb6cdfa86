"""One HTML file about many pictures: everything inside it, nothing asked of any network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from unveil.reporting import asset
from unveil.reporting.previews import Pair

# What the page may load: nothing but what is written in it.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
EQUAL = "equal"
LARGER = 1.5
"""Small pictures are shown larger than they are, but not so much that their pixels look like damage."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Where the damage is: a painted preview as a `data:` address, and a legend of (printed name, colour, share)."""

    picture: str
    width: int
    height: int
    legend: Sequence[tuple[str, tuple[int, int, int], float]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of one picture. `scores` are (PSNR, SSIM) before and after, against the truth.

    `diagnosis` is (identifier, printed name, probability), the likeliest first. An entry with `error` has nothing else.
    """

    name: str
    size: tuple[int, int] = (0, 0)
    whole: Pair | None = None
    detail: Pair | None = None
    diagnosis: Sequence[tuple[str, str, float]] = ()
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    untouched: bool = False
    seconds: float = 0.0
    scores: tuple[tuple[float, float], tuple[float, float]] | None = None
    remark: str | None = None
    regions: Regions | None = None
    error: str | None = None


def page(title: str, entries: Sequence[Entry], *, model: str, version: str, protocol: str | None = None) -> str:
    """The whole file. `protocol` is the sentence that says how PSNR and SSIM were measured."""
    style = f"{asset('slider.css')}\n{asset('report.css')}"
    body = "\n".join(_article(entry) for entry in entries)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>{_summary(entries, model)}</p>
{_mean(entries)}</header>
<main>
{body}
</main>
<footer>
<p>Drag the line over a picture, or use the arrow keys. Previews are smaller and slightly compressed; the restored
files are not. {_measured(protocol)}Made by unveil {escape(version)}; this file loads nothing from
elsewhere.</p>
</footer>
<script>
{asset("slider.js")}</script>
</body>
</html>
"""


def _summary(entries: Sequence[Entry], model: str) -> str:
    failed = sum(entry.error is not None for entry in entries)
    clean = sum(entry.untouched for entry in entries)
    count = len(entries)
    parts = [f"{count} picture{'' if count == 1 else 's'}, model {escape(model)}"]
    if clean:
        parts.append(f"{clean} left as {'it was' if clean == 1 else 'they were'}")
    if failed:
        parts.append(f"{failed} failed")
    return "; ".join(parts)


def _mean(entries: Sequence[Entry]) -> str:
    scored = [entry.scores for entry in entries if entry.scores]
    if len(scored) < 2:
        return ""

    def mean(which: int, figure: int) -> float:
        # Equal pictures have no finite PSNR; they count as 100 dB.
        return sum(min(scores[which][figure], 100.0) for scores in scored) / len(scored)

    means = ((mean(0, 0), mean(0, 1)), (mean(1, 0), mean(1, 1)))
    return f'<div class="mean"><h2>Mean of {len(scored)}</h2>{_scores(means)}</div>\n'


def _article(entry: Entry) -> str:
    name = escape(entry.name)
    if entry.error is not None or entry.whole is None:
        return f'<article class="failed"><h2>{name}</h2><p class="error">{escape(entry.error or "")}</p></article>'
    width, height = entry.size
    facts = [f"{width} × {height}", f"{entry.seconds:.1f} s"]
    if not entry.whole.is_whole:
        facts.append(f"shown at {entry.whole.width} × {entry.whole.height}")
    close = ""
    if entry.detail is not None:
        label = f"{name}, a part pixel by pixel: share of the picture before"
        close = (
            f'<figure class="detail">{_slider(entry.detail, label)}'
            f"<figcaption>A part, pixel by pixel ({entry.detail.width} × {entry.detail.height})</figcaption></figure>"
        )
    remark = f'<p class="remark">{escape(entry.remark)}</p>' if entry.remark else ""
    scores = _scores(entry.scores) if entry.scores else ""
    return f"""<article>
<h2>{name}</h2>
<p class="facts">{" · ".join(facts)}</p>
<div class="row">
<figure class="whole">{_slider(entry.whole, f"{name}: share of the picture before")}</figure>
<div class="side">
{_diagnosis(entry)}{scores}{remark}{close}{_regions(entry)}
</div>
</div>
</article>"""


def _slider(pair: Pair, label: str) -> str:
    size = f'width="{pair.width}" height="{pair.height}"'
    return (
        f'<before-after label="{label}" style="max-width: {round(pair.width * LARGER)}px">'
        f'<img src="{pair.before}" {size} alt="before"><img src="{pair.after}" {size} alt="after"></before-after>'
    )


def _diagnosis(entry: Entry) -> str:
    if entry.untouched:
        said = "Left as it was."
    elif entry.weights:
        ranked = sorted(entry.weights.items(), key=lambda pair: -pair[1])
        said = "Undone: " + ", ".join(f"{escape(name)} {weight:.2f}" for name, weight in ranked if weight >= 0.05)
    else:
        said = "Restored."
    bars = "\n".join(_bar(*line) for line in entry.diagnosis)
    found = f'<h3>Diagnosis</h3>\n<ul class="bars">\n{bars}\n</ul>\n' if bars else ""
    return f"{found}<p>{said}</p>\n"


def _regions(entry: Entry) -> str:
    """A picture of where the damage is, with its legend; nothing for a model that cannot tell."""
    found = entry.regions
    if found is None:
        return ""
    label = f"{escape(entry.name)}: where the damage is"
    keys = "".join(
        f'<li><span class="key" style="--colour: rgb({red} {green} {blue})" aria-hidden="true"></span>'
        f"{escape(printed)} {share:.0%}</li>"
        for printed, (red, green, blue), share in found.legend
    )
    size = f'width="{found.width}" height="{found.height}"'
    return (
        f'<figure class="regions"><img src="{found.picture}" {size} alt="{label}">'
        f'<figcaption>Where it is<ul class="legend">{keys}</ul></figcaption></figure>'
    )


def _bar(name: str, printed: str, probability: float) -> str:
    return (
        f'<li title="{escape(printed)}"><span class="name">{escape(name)}</span>'
        f'<span class="bar" aria-hidden="true" style="--share: {probability:.4f}"></span>'
        f'<span class="value">{probability:.2f}</span></li>'
    )


def _scores(scores: Sequence[Sequence[float]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{word}</th><td>{_decibels(figures[0])}</td><td>{figures[1]:.4f}</td></tr>'
        for word, figures in zip(("before", "after"), scores, strict=True)
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("against the truth", "PSNR", "SSIM"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _decibels(psnr: float) -> str:
    return EQUAL if psnr == float("inf") else f"{psnr:.2f} dB"


def _measured(protocol: str | None) -> str:
    return f"PSNR and SSIM: {escape(protocol)}. " if protocol else ""
