"""Workers of a study, when whoever started them is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

PARENT = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unveil.commands import study

def work():
    try:
        # Inside, for as soon as it is read the parent may be killed.
        print(os.getpid(), flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        os._exit(0)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=study.leave_with_parent) as pool:
        pool.submit(work).result()
"""


@pytest.mark.skipif(os.name == "nt", reason="kills with SIGKILL")
def test_a_worker_is_interrupted_when_its_parent_is_killed(tmp_path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    # The worker has the same pipe, so its last word still comes through, and then the end of the stream.
    begun = time.monotonic()
    try:
        assert parent.stdout.read().strip() == "interrupted"
    finally:
        if time.monotonic() - begun > 50:
            os.kill(worker, signal.SIGKILL)
    assert time.monotonic() - begun < 20
