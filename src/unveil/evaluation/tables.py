"""From records to tables: means of a set, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from unveil.evaluation.ledger import Record
from unveil.evaluation.measuring import Measuring
from unveil.evaluation.sets import EvaluationSet, FoundSet, Item
from unveil.evaluation.subjects import INPUT
from unveil.metrics import Score, protocol
from unveil.metrics.fidelity import capped


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One subject on one set.

    Attributes:
        means: by protocol, over the pictures.
        gain: mean PSNR above the input's, by the set's first protocol. worst: that of the picture that gained least.
        diagnosed: share of pictures whose likeliest class was what is wrong with them; None without a diagnosis.
        seconds: mean time a picture.
    """

    means: dict[str, Score]
    gain: float
    worst: float
    diagnosed: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """One set with its columns by name of subject. `pictures` counts those that all its subjects have a figure for."""

    found: FoundSet
    pictures: int
    columns: dict[str, Column] = field(default_factory=dict[str, Column])

    @property
    def of(self) -> EvaluationSet:
        return self.found.of

    @property
    def is_whole(self) -> bool:
        """Whether every picture of the set was measured."""
        return self.found.expected is None or self.pictures >= self.found.expected


def rows(measuring: Measuring) -> list[Row]:
    """The means of every set that has at least one picture measured by all its subjects."""
    made = (_row(found, list(measuring.records(found))) for found in measuring.sets)
    return [row for row in made if row.pictures]


def _row(found: FoundSet, known: Sequence[tuple[Item, dict[str, Record]]]) -> Row:
    names = {name for _, records in known for name in records}
    whole = [records for _, records in known if records.keys() == names]
    row = Row(found, len(whole))
    for name in names if whole else ():
        records = [each[name] for each in whole]
        first = found.of.protocols[0]
        gains = [capped(each[name].scores[first].psnr) - capped(each[INPUT].scores[first].psnr) for each in whole]
        said = [record.diagnosis for record in records if record.diagnosis is not None]
        row.columns[name] = Column(
            means={key: _mean(record.scores[key] for record in records) for key in found.of.protocols},
            gain=math.fsum(gains) / len(gains),
            worst=min(gains),
            diagnosed=sum(class_ in found.of.degradation.split("+") for class_ in said) / len(said) if said else None,
            seconds=math.fsum(record.seconds for record in records) / len(records),
        )
    return row


def _mean(scores: Iterable[Score]) -> Score:
    listed = list(scores)
    return Score(
        math.fsum(capped(score.psnr) for score in listed) / len(listed),
        math.fsum(score.ssim for score in listed) / len(listed),
    )


def markdown(rows: Sequence[Row], subjects: Sequence[str]) -> str:
    """PSNR / SSIM of every set and subject, then gains and diagnoses of those that have one."""
    lines = [
        f"| set | degradation | pictures | {' | '.join(subjects)} |",
        "|---" * (3 + len(subjects)) + "|",
    ]
    for row in rows:
        pictures = f"{row.pictures}" if row.is_whole else f"{row.pictures} of {row.found.expected}"
        cells = [_cell(row, name) for name in subjects]
        lines.append(f"| {row.of.printed} | {row.of.label} | {pictures} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(rows: Sequence[Row], subject: str) -> str:
    """Mean gain, worst gain and share of right diagnoses of one subject."""
    lines = [
        "| set | degradation | gain, dB | worst gain, dB | diagnosed |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        column = row.columns.get(subject)
        if column:
            said = "-" if column.diagnosed is None else f"{column.diagnosed:.0%}"
            lines.append(f"| {row.of.printed} | {row.of.label} | {column.gain:+.2f} | {column.worst:+.2f} | {said} |")
    return "\n".join(lines)


def protocols_used(rows: Sequence[Row]) -> str:
    """What the figures of a table are, one sentence a protocol and size."""
    said: dict[str, list[str]] = {}
    for row in rows:
        said.setdefault(f"{protocol(row.of.protocols[0]).sentence}; {row.of.sizing}", []).append(row.of.printed)
    if len(said) == 1:
        return f"Protocol: {next(iter(said))}."
    return "\n".join(f"- {', '.join(dict.fromkeys(sets))}: {sentence}." for sentence, sets in said.items())


def _cell(row: Row, subject: str) -> str:
    column = row.columns.get(subject)
    return f"{printed(column.means[row.of.protocols[0]])}" if column else "-"


def printed(score: Score) -> str:
    return f"{score.psnr:.2f} / {score.ssim:.3f}"


def per_picture(measuring: Measuring) -> str:
    """CSV: one line a picture, subject and protocol. An unchanged picture has PSNR `inf`."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("set", "picture", "subject", "protocol", "psnr", "ssim", "diagnosis", "weights", "seconds"))
    for found in measuring.sets:
        for item, records in measuring.records(found):
            for name, record in records.items():
                weights = " ".join(f"{key}={value:g}" for key, value in (record.weights or {}).items())
                for key, score in record.scores.items():
                    figures = (f"{score.psnr:.4f}", f"{score.ssim:.5f}")
                    table.writerow(
                        (found.of.name, item.name, name, key, *figures, record.diagnosis or "", weights, record.seconds)
                    )
    return text.getvalue()


def as_json(row: Row) -> dict[str, Any]:
    """One set for results.json."""
    return {
        "name": row.of.name,
        "printed": row.of.printed,
        "label": row.of.label,
        "degradation": row.of.degradation,
        "pictures": row.pictures,
        "expected": row.found.expected,
        "digest": f"sha256:{row.found.digest()}",
        "ours": row.of.ours,
        "damage": repr(row.of.damage),
        "sizing": str(row.of.sizing),
        "subjects": {
            name: {
                "scores": {
                    key: {"psnr": round(score.psnr, 4), "ssim": round(score.ssim, 5)}
                    for key, score in column.means.items()
                },
                "gain": round(column.gain, 4),
                "worst_gain": round(column.worst, 4),
                "diagnosed": column.diagnosed,
                "seconds": round(column.seconds, 4),
            }
            for name, column in row.columns.items()
        },
    }


def as_card_metrics(rows: Sequence[Row], subject: str) -> tuple[dict[str, Any], ...]:
    """The figures of one subject as a model's card holds them."""
    return tuple(
        {
            "set": f"{row.of.printed}, {row.pictures} pictures",
            "degradation": row.of.label,
            "input_psnr": round(row.columns[INPUT].means[key].psnr, 2),
            "psnr": round(row.columns[subject].means[key].psnr, 2),
            "input_ssim": round(row.columns[INPUT].means[key].ssim, 4),
            "ssim": round(row.columns[subject].means[key].ssim, 4),
            "protocol": f"{protocol(key).sentence}; {row.of.sizing}; mean over pictures, unchanged counts as 100 dB",
        }
        for row in rows
        for key in row.of.protocols[:1]
        if subject in row.columns
    )
