"""How the demo's people learn that the demo is gone: their standard input is a pipe, whose other end died with it.

A SIGKILL lets nobody say goodbye; the kernel closes the pipe all the same, on every system that we run on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

WATCHED = "SIYU_DEMO_WATCHED"
"""Set by ``siyu demo``: standard input is its pipe. Who starts these programs by hand may give them any input."""
FAREWELL_S = 5.0
CHUNK_BYTES = 4096


def end_with_the_demo() -> None:
    """Send this process SIGTERM once the demo is gone, and end it if that leads nowhere: a call may hang in a codec."""
    if os.environ.get(WATCHED) == "1":
        threading.Thread(target=_watch, args=(sys.stdin.fileno(),), name="demo-end", daemon=True).start()


def _watch(pipe: int) -> None:
    while os.read(pipe, CHUNK_BYTES):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(FAREWELL_S)
    os._exit(1)
