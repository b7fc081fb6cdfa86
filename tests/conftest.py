"""What all tests share: a toy model file, one browser, and a limit on how long a test may take."""

from __future__ import annotations

import os
import shutil

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


CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="session")
def browser():
    """One headless chromium for the whole run: one that is installed, never a download. Tests make pages of it.

    `UNVEIL_CHROMIUM` names another one. Without playwright or a chromium, what needs it is skipped.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("UNVEIL_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        pytest.skip("no chromium is installed (apt-get install chromium), and none is downloaded for tests")
    with playwright.sync_playwright() as driver:
        # Chromium's own sandbox refuses to work for root.
        unboxed = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=path, args=[*unboxed, "--disable-dev-shm-usage"])
        yield browser
        browser.close()


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
