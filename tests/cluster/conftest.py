"""One Ray and one S3 server of this machine for all tests, pictures for them, and a way to call `cluster.restore`."""

from __future__ import annotations

import logging
import os
import secrets
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from unveil import cluster


@pytest.fixture(scope="session")
def ray():
    """A Ray with two cores and a small object store; restoring finds it and uses it."""
    found = pytest.importorskip("ray", reason="there is no Ray for this version of Python")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    # The folder of the tests, for workers that load what tests have put in place of a part.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 << 20,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
    yield found
    found.shutdown()


@pytest.fixture(scope="session")
def s3():
    """Options for fsspec that lead to an S3 server in this process, with nobody's credentials."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield {"endpoint_url": f"http://{host}:{port}", "key": "nobody", "secret": "nothing"}
    running.stop()


@pytest.fixture
def bucket(s3, request):
    """A bucket of its own for a test: its URL."""
    import fsspec

    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[:60].strip("-")
    files = fsspec.filesystem("s3", use_listings_cache=False, **s3)
    files.mkdir(name)
    return f"s3://{name}"


@dataclass
class Told:
    summary: cluster.Summary
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def errors(self) -> dict[str, str]:
        return {Path(record["input"]).name: record["error"] for record in self.records if record["error"]}


@pytest.fixture
def restore(toy_path):
    """Restore in this process, unless `cluster="ray"` is given, and say what was told."""

    def call(source: Any, target: Any, **options: Any) -> Told:
        records: list[dict[str, Any]] = []
        chosen = {"model": toy_path, "cluster": None, "on_picture": records.append, **options}
        summary = cluster.restore(source, target, **chosen)
        return Told(summary, records)

    return call
