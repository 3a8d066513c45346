"""A real server in a process of its own, seeded, for tests that come from outside."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.warm import Process, warm

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 60.0
SEED_TIMEOUT_S = 300.0
COMMAND_TIMEOUT_S = 180.0
# HTTP on loopback, or a certificate of the test's own: reading the certificate store for each request cost 40 ms.
NO_TLS = False
PORTS_FROM = 10_000


def free_port() -> int:
    """A TCP port that was free a moment ago, and that the kernel gives to nobody by itself.

    A server that is started again wants the same one: connections out must not have got it meanwhile.
    """
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(PORTS_FROM, given)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


SEEDED_HTTP, SEEDED_RTMP = 61_001, 61_002
"""The ports that the addresses of the seeded shop name."""


@functools.cache
def seeded_shop() -> Path:
    """The data folder of a fresh shop, seeded once for all tests of this process: it takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="siyu-seeded-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ports = ["--http-port", str(SEEDED_HTTP), "--rtmp-port", str(SEEDED_RTMP)]
    done = warm().run(["seed", "--data", str(folder), "--json", *ports], os.environ, SEED_TIMEOUT_S)
    done.check_returncode()
    (folder / "seed.json").write_text(done.stdout)
    return folder


class LiveServer:
    """``siyu serve`` on loopback with the shop of ``siyu seed``."""

    def __init__(
        self,
        data: Path,
        *,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.data = data
        self.http_port = free_port()
        self.rtmp_port = free_port()
        self.log_path = data.parent / f"{data.name}.log"
        self.out_path = data.parent / f"{data.name}.out"
        self._flags = list(flags)
        self._prefix = list(prefix)
        self._environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **(environment or {})}
        self.process: subprocess.Popen[bytes] | Process | None = None
        self.seed: dict[str, Any] = json.loads(self._seeded())

    @property
    def base(self) -> str:
        scheme = "https" if "--tls-cert" in self._flags else "http"
        return f"{scheme}://127.0.0.1:{self.http_port}"

    @property
    def room(self) -> str:
        room: str = self.seed["room"]
        return room

    def _seeded(self) -> str:
        """Seed the shop; what ``siyu seed`` said. A shop of its own files is a copy of one that was seeded before."""
        if "SIYU_DATABASE_URL" in self._environment or self._prefix or self.data.exists():
            return self.run("seed", "--json", *self._ports()).stdout
        shutil.copytree(seeded_shop(), self.data, ignore=shutil.ignore_patterns("seed.json"))
        said = (seeded_shop() / "seed.json").read_text()
        return said.replace(f":{SEEDED_HTTP}", f":{self.http_port}").replace(f":{SEEDED_RTMP}", f":{self.rtmp_port}")

    def _ports(self) -> list[str]:
        return ["--http-port", str(self.http_port), "--rtmp-port", str(self.rtmp_port)]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One ``siyu`` command on this data folder."""
        command = [arguments[0], "--data", str(self.data), *arguments[1:]]
        done = warm().run(command, self._environment, COMMAND_TIMEOUT_S)
        if check and done.returncode:
            raise AssertionError(f"siyu {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def start(self) -> None:
        """Start and wait until /readyz says yes."""
        arguments = ["serve", "--data", str(self.data), *self._ports(), "--udp-port", "0", *self._flags]
        with self.log_path.open("ab") as log, self.out_path.open("ab") as out:
            if self._prefix:
                command = [*self._prefix, sys.executable, "-m", "gateway", *arguments]
                self.process = subprocess.Popen(command, stdout=out, stderr=log, env=self._environment)
            else:
                self.process = warm().start(arguments, out, log, self._environment)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server did not start:\n{self.log()}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.base}/readyz", timeout=2, verify=NO_TLS).status_code == 200:
                    return
            time.sleep(0.05)
        # Where it stands, by the fault handler.
        self.process.send_signal(signal.SIGABRT)
        self.process.wait(STOP_TIMEOUT_S)
        raise AssertionError(f"the server was not ready in {START_TIMEOUT_S} s:\n{self.log()}")

    def log(self) -> str:
        """All that the server wrote to standard error: its log."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def said(self) -> str:
        """All that the server wrote to standard output."""
        return self.out_path.read_text(errors="replace") if self.out_path.exists() else ""

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM and wait; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop within {timeout_s} s:\n{self.log()}") from None

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, key: str | None = None
    ) -> httpx.Response:
        """One API request; ``path`` begins after /api/v1 unless it is absolute on the server."""
        url = self.base + (path if path.startswith("/api/") or not path.startswith("/") else "/api/v1" + path)
        headers: dict[str, str] = {}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if key:
            headers["idempotency-key"] = key
        return httpx.request(method, url, json=body, headers=headers, timeout=60, verify=NO_TLS)

    def guest(self, name: str = "小雨", scene: str | None = None, device: str | None = None) -> dict[str, Any]:
        """A viewer's token and person."""
        body = {"room": self.room, "name": name, "scene": scene, "device": device}
        answer = self.call("POST", "/auth/guest", {key: value for key, value in body.items() if value is not None})
        assert answer.status_code == 200, answer.text
        guest: dict[str, Any] = answer.json()
        return guest

    def ws_url(self, token: str, since: str | None = None) -> str:
        """The hub's address."""
        url = f"ws://127.0.0.1:{self.http_port}/ws/{self.room}?token={token}"
        return url + (f"&since={since}" if since else "")

    @property
    def publish_url(self) -> str:
        url: str = self.seed["publish"]["url"]
        return url


@contextlib.contextmanager
def live_server(
    folder: Path,
    *,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[LiveServer]:
    """A running server; killed at the end if the test did not stop it, its log shown when the test fails."""
    server = LiveServer(folder / "data", flags=flags, environment=environment, prefix=prefix)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
        sys.stdout.write(server.log()[-8_000:])
