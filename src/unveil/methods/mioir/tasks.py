"""The tasks of MiOIR."""

from __future__ import annotations

TASKS = ("blur", "noise", "jpeg", "rain", "haze", "dark", "lowres")
"""In the published order, which is that of the classifier's outputs and of the rows of explicit prompts. The official
name of the last is `sr`."""
