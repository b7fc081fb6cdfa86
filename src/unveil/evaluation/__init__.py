"""Measuring: named suites of sets and protocols, what is measured on them, and the tables that come of it."""

from unveil.evaluation.ledger import Ledger
from unveil.evaluation.measuring import Measuring
from unveil.evaluation.report import Report
from unveil.evaluation.suites import SUITES, Suite, local_from

__all__ = ["SUITES", "Ledger", "Measuring", "Report", "Suite", "local_from"]
