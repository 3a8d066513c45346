"""What the process does between its start and its first request."""

import subprocess
import sys
from pathlib import Path

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
