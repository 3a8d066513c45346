"""The demo's people do not outlive it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import free_port

PATIENCE_S = 180.0


def alive(pid: int) -> bool:
    """Whether it runs: one that has ended and that nobody asked after yet is dead, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def people(demo: int) -> set[int]:
    """The processes that the demo has started and that became what they are to be."""
    words = Path(f"/proc/{demo}/task/{demo}/children").read_text().split()
    return {int(word) for word in words if b"gateway.demo_" in Path(f"/proc/{word}/cmdline").read_bytes()}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running demo with a bare shop: a folder that is not empty gets one, in a second."""
    (tmp_path / "note.txt").write_text("of somebody else")
    ports = [word for flag in ("--http-port", "--rtmp-port") for word in (flag, str(free_port()))]
    command = [sys.executable, "-m", "gateway", "demo", "--data", str(tmp_path), "--shoppers", "2", *ports]
    with (tmp_path / "demo.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    found: set[int] = set()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while b"The demo is running" not in (tmp_path / "demo.log").read_bytes():
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "demo.log").read_text()
            time.sleep(0.1)
        found = people(process.pid)
        yield process
    finally:
        for pid in (pid for pid in found if alive(pid)):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_host_and_shoppers_end_with_the_demo(demo: subprocess.Popen[bytes], how: signal.Signals) -> None:
    theirs = people(demo.pid)
    assert len(theirs) == 2
    demo.send_signal(how)
    demo.wait(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while left := [pid for pid in theirs if alive(pid)]:
        assert time.monotonic() < deadline, f"{left} went on without the demo"
        time.sleep(0.1)
