"""What the tests run with is written down, and comes under licences that let everybody use unveil."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]

pytest.importorskip("packaging")


@pytest.fixture(scope="module")
def dependencies() -> ModuleType:
    spec = spec_from_file_location("dependencies", ROOT / ".ci" / "dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Elsewhere, other packages are installed, and newer ones than those that were written down.
whole = pytest.mark.skipif(
    sys.platform != "linux" or not (find_spec("torch") and find_spec("moto")),
    reason="what is written down is what 'dev' installs on Linux",
)


@whole
def test_every_dependency_of_the_tests_is_pinned(dependencies):
    """The same versions are only asked for where they were installed with the pins: by `.ci/run`."""
    written = dependencies.pinned()
    assert len(written) > 100
    missing = sorted(set(dependencies.needed(["dev"])) - set(written))
    assert not missing, f"run 'python .ci/dependencies.py lock': {missing}"
    assert "python .ci/dependencies.py check" in (ROOT / ".ci" / "run").read_text()


def test_pins_satisfy_what_the_package_asks_for(dependencies):
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    written = dependencies.pinned()
    asked = [Requirement(line) for lines in dependencies.project().values() for line in lines]
    for requirement in asked:
        version = written.get(canonicalize_name(requirement.name))
        assert version is None or requirement.specifier.contains(version, prereleases=True), str(requirement)


def test_no_licence_binds_whoever_uses_unveil(dependencies):
    installed = dependencies.needed(dependencies.project())
    assert {"numpy", "onnxruntime", "rich"} <= set(installed)
    allowed = set(dependencies.ALLOWED.split())
    bad = {name: dependencies.licence(name) for name in installed}
    bad = {name: said for name, said in bad.items() if not set(dependencies.parts(said)) <= allowed}
    assert not bad


@whole
def test_the_page_of_licences_lists_everything_that_is_installed(dependencies):
    rows = re.findall(r"^\| (\S+) \| (.+?) \| .+ \|$", dependencies.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = dict(rows)
    for name in dependencies.needed(dependencies.project()):
        assert listed.get(name) == dependencies.licence(name), "run 'python .ci/dependencies.py licences'"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", ["MIT"]),
        ("GPL-3.0-only", ["GPL-3.0-only"]),
        ("GPL-2.0-only OR MIT", ["MIT"]),
        ("MIT AND (AGPL-3.0 OR GPL-3.0)", ["MIT", "AGPL-3.0"]),
        ("Apache-2.0 WITH LLVM-exception AND BSD-3-Clause", ["Apache-2.0", "BSD-3-Clause"]),
        ("unknown", ["unknown"]),
    ],
)
def test_expressions_of_licences_are_understood(dependencies, expression, expected):
    assert dependencies.parts(expression) == expected


def test_known_weaknesses_of_the_pins_are_looked_up_every_week():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "audit.yml").read_text())
    # YAML 1.1 reads the key `on` as a truth value.
    assert workflow[True]["schedule"]
    assert any("pip-audit" in step.get("run", "") for step in workflow["jobs"]["audit"]["steps"])
