"""What all tests share: a toy model file, and a limit on how long a test may take."""

from __future__ import annotations

import pytest

from toy import toy_model
from unveil import models

LONGEST = 20.0


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory):
    """A model file: see toy.py. Rough pictures are `noise` to its estimator, dark ones `dark`, all others `clean`."""
    return models.write(toy_model(), tmp_path_factory.mktemp("models") / "toy.safetensors")


@pytest.fixture(scope="session")
def toy(toy_path):
    """The toy model as read from its file."""
    return models.read(toy_path)


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="also run what is marked exhaustive")


def pytest_collection_modifyitems(config, items):
    """Leave out the rest of large matrices: it takes minutes and says little that the default part does not say."""
    if config.getoption("--exhaustive"):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail what takes too long without saying so, or the suite grows slow one test at a time."""
    report = yield
    if report.when == "call" and report.passed and call.duration > LONGEST and not item.get_closest_marker("slow"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} took {call.duration:.1f} s, more than {LONGEST:.0f}; mark it slow or make it fast"
        )
    return report
