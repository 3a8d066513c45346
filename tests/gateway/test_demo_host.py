"""The demo's host as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.harness import live_server


def start(**environment: str) -> subprocess.Popen[str]:
    """The program, with its standard error at hand."""
    command = [sys.executable, "-m", "gateway.demo_host"]
    return subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)


def test_a_server_lost_in_the_middle_is_reported_without_the_stream_key(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        host = start(SIYU_DEMO_URL=server.publish_url, SIYU_DEMO_SECONDS="60")
        try:
            deadline = time.monotonic() + 60
            while not server.call("GET", f"/rooms/{server.room}").json()["stream"]["live"]:
                assert time.monotonic() < deadline, "the host never went on air"
                time.sleep(0.1)
            server.kill()
            _, said = host.communicate(timeout=180)
        finally:
            host.kill()
            host.wait()
        assert "publishing ended" in said
        assert server.seed["stream_key"] not in said


def test_without_an_address_it_says_what_to_set() -> None:
    host = start(SIYU_DEMO_URL="")
    _, said = host.communicate(timeout=180)
    assert host.returncode == 2 and "SIYU_DEMO_URL" in said
