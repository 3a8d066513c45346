"""What the process does between its start and its first request."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from gateway.server import Signals

SERVE = """
import gc, os, signal, sys
from pathlib import Path
from gateway.config import Settings
from gateway.server import run

def ready(application):
    print(gc.get_freeze_count(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

sys.exit(run(Settings(data=Path(sys.argv[1]), http_port=0, rtmp_port=0, udp_port=0), ready=ready))
"""


def test_the_garbage_collector_leaves_start_up_alone_once_the_server_is_ready(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 10_000


async def test_a_terminal_that_is_closed_ends_the_server_as_sigterm_does() -> None:
    # Whoever runs the tests may have told them to outlive theirs.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        signals = Signals()
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(signals.stop.wait(), 60)
        assert not signals.hurry.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_server_that_was_told_to_outlive_its_terminal_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
