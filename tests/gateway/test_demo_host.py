"""The demo's host as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.harness import free_port


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    """One run of the program."""
    command = [sys.executable, "-m", "gateway.demo_host"]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_lost_server_is_reported_without_the_stream_key() -> None:
    url = f"rtmp://127.0.0.1:{free_port()}/live/room?key=the-secret-key"
    ended = run(SIYU_DEMO_URL=url, SIYU_DEMO_SECONDS="1")
    assert "publishing ended" in ended.stderr
    assert "the-secret-key" not in ended.stdout + ended.stderr


def test_without_an_address_it_says_what_to_set() -> None:
    ended = run(SIYU_DEMO_URL="")
    assert ended.returncode == 2 and "SIYU_DEMO_URL" in ended.stderr
