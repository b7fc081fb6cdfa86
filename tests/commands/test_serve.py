"""`unveil serve` as a process: what it says, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from command_samples import rough, save


@contextmanager
def serving(home, *arguments: str, **environment: str):
    """A server on a free port, as a process; gives it, its address and the lines of its stderr so far."""
    process = subprocess.Popen(
        [sys.executable, "-m", "unveil", "serve", "--port", "0", "--threads", "1", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "UNVEIL_HOME": str(home), **environment},
    )
    lines: list[str] = []
    assert process.stderr is not None
    collector = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    try:
        for line in process.stderr:
            lines.append(line)
            if "is served at" in line:
                break
        collector.start()
        yield process, lines[-1].partition("is served at ")[2].split()[0], lines
        if process.poll() is not None:
            collector.join(5)
    finally:
        process.kill()
        process.wait()


def send(address: str, **options: str) -> httpx.Response:
    files = {"file": Path("a.png").read_bytes()}
    return httpx.post(f"{address}v1/restore", files=files, data=options, timeout=20, trust_env=False)


posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for other processes")


@posix_only
def test_it_serves_until_it_is_told_to_stop(place, home):
    save("a.png")
    with serving(home) as (process, address, lines):
        assert address.startswith("http://127.0.0.1:")
        assert send(address).status_code == 200
        assert "<title>unveil</title>" in httpx.get(address, trust_env=False).text
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert [event["event"] for event in events] == ["start", "request", "request", "stop"]
    assert events[-1]["graceful"] is True
    assert [path.name for path in place.iterdir()] == ["a.png"]


@posix_only
def test_what_is_in_hand_is_finished_after_ctrl_c(place, home):
    save("a.png", rough(1500, 1500))
    answers = []
    with serving(home, "--quiet", "--queue", "2") as (process, address, _):
        senders = [threading.Thread(target=lambda: answers.append(send(address, weights="noise=1"))) for _ in range(2)]
        for sender in senders:
            sender.start()
        while httpx.get(f"{address}health", trust_env=False).json()["places_taken"] < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        for sender in senders:
            sender.join(10)
    assert [answer.status_code for answer in answers] == [200, 200]


@posix_only
def test_a_second_ctrl_c_leaves_at_once(place, home):
    save("a.png", rough(3000, 3000), compress_level=1)

    def send_in_vain() -> None:
        with suppress(httpx.HTTPError):
            send(address, weights="noise=1")

    with serving(home, "--quiet", "--max-upload", "100") as (process, address, _):
        sender = threading.Thread(target=send_in_vain)
        sender.start()
        while "unveil_working 1" not in httpx.get(f"{address}metrics", trust_env=False).text:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130
        sender.join(10)


def test_the_token_is_taken_from_the_environment_and_never_said(place, home):
    save("a.png")
    with serving(home, UNVEIL_TOKEN="correct horse") as (_, address, lines):
        assert send(address).status_code == 401
        assert "correct horse" not in "".join(lines)


def test_other_machines_are_let_in_with_a_warning_only(place, home):
    with serving(home, "--host", "0.0.0.0") as (_, _, lines):
        assert "warning: 0.0.0.0 is reachable from other machines" in lines[0]
        assert "no --token" in lines[0]


def test_a_port_that_is_taken_is_said(unveil):
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = unveil("serve", "--port", str(other.getsockname()[1]))
    assert result.code == 2
    assert "cannot listen on 127.0.0.1" in result.err
    assert "--port" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--token", "short"], "8 characters"), (["--host", "no such host"], "no address"), (["--model", "none"], "none")],
)
def test_wrong_requests_are_said_before_anything_is_served(unveil, arguments, said):
    result = unveil("serve", "--port", "0", *arguments)
    assert result.code in (1, 2)
    assert said in result.err
    assert "Traceback" not in result.err


def test_a_missing_extra_is_named(unveil, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("unveil.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delattr("unveil.server", raising=False)
    result = unveil("serve")
    assert result.code == 1
    assert "pip install 'unveil[serve]'" in result.err
