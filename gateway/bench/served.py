"""A whole server as `siyu serve` runs it, with the shop of `siyu seed` in a folder of its own, on the server's core."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.auth import Tokens
from gateway.bench.clock import system_clock
from gateway.bench.outsiders import Outsider, free_port
from gateway.bench.process import WAIT_S, BenchError
from gateway.bench.sink import HOST
from gateway.secrets import open_secrets

TOKEN_TTL_S = 3_600
READY_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Served:
    """Where a server is, and what opens its one room."""

    http_port: int
    rtmp_port: int
    room: str
    stream_key: str
    viewer_token: str
    process: Outsider
    tokens: Tokens
    """Makes tokens that this server takes: asking it for thousands would be a benchmark of its own."""

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.http_port}"

    def viewers(self, count: int) -> list[str]:
        """Tokens of so many viewers of the room."""
        merchant = self.tokens.read(self.viewer_token).merchant
        return [
            self.tokens.mint(
                person=f"viewer{number:014}", name="小雨", role="viewer", merchant=merchant, room=self.room
            )[0]
            for number in range(count)
        ]


@contextlib.contextmanager
def served(cpus: set[int], *flags: str) -> Iterator[Served]:
    """Seed and start; ended at the end. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as name:
        folder = Path(name)
        http, rtmp = free_port(), free_port()
        ports = ["--http-port", str(http), "--rtmp-port", str(rtmp)]
        seeded = json.loads(_run(["seed", "--json", "--data", f"{folder}/data", *ports]))
        command = [
            sys.executable,
            "-m",
            "gateway",
            "serve",
            "--data",
            f"{folder}/data",
            *ports,
            "--udp-port",
            "0",
            *flags,
        ]
        with Outsider(command, http, folder=Path.cwd(), log=folder / "server.log", cpus=cpus) as process:
            _await_ready(http)
            tokens = Tokens(open_secrets(folder / "data").key("tokens"), ttl_s=TOKEN_TTL_S, clock=system_clock)
            yield Served(http, rtmp, seeded["room"], seeded["stream_key"], seeded["viewer_token"], process, tokens)


def _await_ready(port: int) -> None:
    """Wait until start-up is over: the port listens before, and what is measured must not be charged with it."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=WAIT_S):
            return
        time.sleep(READY_LOOK_S)
    raise BenchError("the server did not become ready")


def _run(arguments: Sequence[str]) -> str:
    command = [sys.executable, "-m", "gateway", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False, env=os.environ)
    if done.returncode:
        raise BenchError(f"siyu {arguments[0]} failed: {done.stderr[-1_000:]}")
    return done.stdout
