"""Edges in processes of their own, in front of a live server."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.harness import START_TIMEOUT_S, STOP_TIMEOUT_S, free_port
from tests.warm import Process, warm


class EdgeServer:
    """``siyu serve --origin`` on loopback; `room` is the room that players ask for when not told another."""

    def __init__(self, folder: Path, origin: str, *, room: str = "", flags: Sequence[str] = ()) -> None:
        self.room = room
        self.folder = folder
        self.http_port = free_port()
        self.rtmp_port = free_port()
        self.log_path = folder / f"edge-{self.http_port}.log"
        self.out_path = folder / f"edge-{self.http_port}.out"
        self.process: Process | None = None
        self._flags = ["--origin", origin, *flags]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> None:
        """Start and wait until it says its addresses: with several workers, when all of them serve."""
        ports = ["--http-port", str(self.http_port), "--rtmp-port", str(self.rtmp_port), "--udp-port", "0"]
        arguments = ["serve", *ports, "--data", str(self.folder / "none"), *self._flags]
        with self.log_path.open("ab") as log, self.out_path.open("wb") as out:
            self.process = warm().start(arguments, out, log, os.environ)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the edge did not start:\n{self.log()}"
            if "is up at" in self.out_path.read_text():
                return
            time.sleep(0.05)
        raise AssertionError(f"the edge was not ready in {START_TIMEOUT_S} s:\n{self.log()}")

    def log(self) -> str:
        """All that it wrote to standard error."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


@contextlib.contextmanager
def edge_of(folder: Path, origin: str, *, room: str = "", flags: Sequence[str] = ()) -> Iterator[EdgeServer]:
    """A running edge; killed at the end if the test did not stop it, its log shown when the test fails."""
    edge = EdgeServer(folder, origin, room=room, flags=flags)
    edge.start()
    try:
        yield edge
    finally:
        if edge.process is not None and edge.process.poll() is None:
            edge.process.kill()
            edge.process.wait()
        sys.stdout.write(edge.log()[-8_000:])
