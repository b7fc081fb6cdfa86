"""The folder of results: per-picture CSV, results.json, table.md."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unveil.evaluation import tables
from unveil.evaluation.damage import Generated
from unveil.evaluation.measuring import Measuring
from unveil.evaluation.published import PublishedTable, beside
from unveil.evaluation.sets import EvaluationSet
from unveil.evaluation.subjects import OWN, ModelSubject
from unveil.evaluation.suites import Suite
from unveil.evaluation.tables import Row
from unveil.metrics.fidelity import UNCHANGED


@dataclass(frozen=True, slots=True)
class Report:
    """All there is to say of one evaluation. `skipped` is the printed name of a set and what was looked for."""

    suite: Suite
    command: str
    measuring: Measuring
    rows: Sequence[Row]
    skipped: Mapping[str, str]

    @property
    def subjects(self) -> list[str]:
        """Columns that have a figure somewhere."""
        return [
            subject.name for subject in self.measuring.subjects if any(subject.name in row.columns for row in self.rows)
        ]

    def write(self, folder: Path) -> None:
        """Write pictures.csv, results.json and table.md."""
        (folder / "pictures.csv").write_text(tables.per_picture(self.measuring), encoding="utf-8")
        (folder / "results.json").write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        (folder / "table.md").write_text(self.as_markdown(), encoding="utf-8")

    def as_json(self) -> dict[str, Any]:
        """Everything that made the figures, and their means."""
        return {
            "suite": self.suite.name,
            "command": self.command,
            "seed": self.measuring.seed,
            "versions": self.measuring.versions,
            "subjects": {subject.name: subject.checksum for subject in self.measuring.subjects},
            "sets": [tables.as_json(row) for row in self.rows],
            "skipped": dict(self.skipped),
        }

    def as_markdown(self) -> str:
        """The command, the protocol, our figures, and those of papers below them."""
        parts = [f"    {self.command}", self.suite.summary, tables.markdown(self.rows, self.subjects)]
        parts.append(
            "PSNR in dB / SSIM, means over the pictures; a picture that comes back bit for bit counts as "
            f"{UNCHANGED:.0f} dB. {tables.protocols_used(self.rows)}"
        )
        for subject in self.measuring.subjects:
            if isinstance(subject, ModelSubject) and subject.rule == OWN and subject.name in self.subjects:
                parts += [
                    f"What {subject.name} gains over its input; *worst gain* is the picture that gained least, "
                    "*diagnosed* how often the likeliest class was the right one:",
                    tables.gains(self.rows, subject.name),
                ]
        known = [row.of.label for row in self.rows if isinstance(row.of.damage, Generated)]
        if known:
            parts.append(
                "Made with unveil's own generators, which its models are trained with, so these rows do not tell how "
                f"well a model does on what it has never seen: {'; '.join(dict.fromkeys(known))}."
            )
        own = [f"{row.of.printed}, {row.of.label}" for row in self.rows if row.of.ours]
        if own and self.suite.name != "local":
            parts.append(
                "Which pictures these are, or how they are made, the paper does not say; what stands here is ours: "
                f"{'; '.join(own)}."
            )
        parts += [text for table in beside(self.suite.name) for text in self._published(table)]
        if self.skipped:
            parts.append("Not measured, for want of their files: " + "; ".join(self.skipped) + ".")
        return "\n\n".join(parts) + "\n"

    def _published(self, table: PublishedTable) -> list[str]:
        """A printed table under our rows of the same columns; ours have no average unless every column is whole."""
        by_name = {row.of.name: row for row in self.rows}
        sets = {benchmark.name: benchmark for benchmark in self.suite.sets}
        heads = [_heading(sets[name]) if name in sets else name.strip("()") for name in table.columns]
        with_average = any(row.average for row in table.rows)
        lines = [
            f"| system | {' | '.join(heads)} |" + (" average |" if with_average else "") + " parameters | source |",
            "|---" * (len(heads) + 3 + with_average) + "|",
        ]
        # A table of gains has no place for levels.
        are_gains = any(figure.startswith("+") for row in table.rows for figure in row.figures)
        for subject in () if are_gains else self.subjects:
            cells = [_own(by_name.get(name), subject) for name in table.columns]
            if set(cells) == {"-"}:
                continue
            average = f" {self._average(table, by_name, subject)} |" if with_average else ""
            lines.append(f"| {subject} | {' | '.join(cells)} |{average} | measured |")
        for row in table.rows:
            average = f" {row.average or '-'} |" if with_average else ""
            figures = " | ".join(row.figures)
            lines.append(f"| {row.system} | {figures} |{average} {row.parameters} | {row.mark or 'printed'} |")
        foot = f"Printed figures: {table.source}. {table.protocol} {table.note}".strip()
        return [f"**{table.title}**", "\n".join(lines), foot]

    @staticmethod
    def _average(table: PublishedTable, by_name: Mapping[str, Row], subject: str) -> str:
        named = [name for name in table.columns if not name.startswith("(")]
        there = [by_name.get(name) for name in named]
        columns = [row.columns[subject] for row in there if row and row.is_whole and subject in row.columns]
        if len(columns) < len(named):
            return "-"
        scores = [column.means[row.of.protocols[0]] for row, column in zip(filter(None, there), columns, strict=True)]
        psnr = math.fsum(score.psnr for score in scores) / len(scores)
        return f"{psnr:.2f}/{math.fsum(score.ssim for score in scores) / len(scores):.3f}"


def _heading(benchmark: EvaluationSet) -> str:
    # On which pictures a paper measured that does not say it, our heading must not pretend to know.
    return benchmark.label if benchmark.ours else f"{benchmark.printed}, {benchmark.label}"


def _own(row: Row | None, subject: str) -> str:
    if row is None or subject not in row.columns:
        return "-"
    score = row.columns[subject].means[row.of.protocols[0]]
    part = "" if row.is_whole else f" ({row.pictures} of {row.found.expected})"
    return f"{score.psnr:.2f}/{score.ssim:.3f}{part}"
