"""One load test from nothing: seed, server, Locust, verdict. ``make load`` (docs/load.md).

The server runs in a process of its own on loopback, on a temporary data folder unless one is named. Locust runs in
another: this one never imports it, so nothing here is patched.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from loadtest.options import REPORT, SEED
from loadtest.verdict import judge, verdict

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
USERS_MAX = 5_000
"""What one Locust process can play; more of them fill two cores before the server feels it."""
SECONDS_MIN, SECONDS_MAX = 5, 3_600
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 45.0
"""The server's own deadline is 30 s."""
COMMAND_TIMEOUT_S = 120.0
REQUEST_TIMEOUT_S = 20.0
LOCUST_GRACE_S = 60.0
USER_STOP_S = 5
PAGE = 200
PAGES_MAX = 500
FILES_PER_USER = 4


class RunError(RuntimeError):
    """The test could not be run; the text says where it stopped."""


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _unaimed() -> dict[str, str]:
    """The environment without what aims elsewhere: a shell that looks after a shop may hold SIYU_DATABASE_URL."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SIYU_", "LOCUST_"))}


class Server:
    """``siyu serve`` on loopback, with the shop of ``siyu seed``."""

    def __init__(self, data: Path, work: Path) -> None:
        """Seed ``data``; logs and the seed's JSON (readable by its owner only) go to ``work``."""
        self._data = data.absolute()
        self._work = work
        self._port = free_port()
        self._ports = ["--http-port", str(self._port), "--rtmp-port", str(free_port())]
        self._process: subprocess.Popen[bytes] | None = None
        seeded = self._siyu("seed", "--host", LOOPBACK, *self._ports, "--json")
        if seeded.returncode != 0:
            raise RunError(f"siyu seed failed: {seeded.stderr.strip()}")
        self.seed: dict[str, Any] = json.loads(seeded.stdout)
        self.seed_file = work / "seed.json"
        self.seed_file.touch(mode=0o600)
        self.seed_file.write_text(seeded.stdout, "utf-8")

    @property
    def base(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def _siyu(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 — our own program
            [sys.executable, "-m", "gateway", command, "--data", str(self._data), *arguments],
            cwd=ROOT,
            env=_unaimed(),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def start(self) -> None:
        """Start, and wait until it is ready. Raises ``RunError``."""
        command = [sys.executable, "-m", "gateway", "serve", "--host", LOOPBACK, "--udp-port", "0"]
        command += ["--data", str(self._data)]
        with (self._work / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 — our own program
                [*command, *self._ports, "--log-level", "warning"],
                cwd=ROOT,
                env=_unaimed(),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self.read("/readyz")
                return
            time.sleep(0.1)
        raise RunError(f"the server did not come up; its log ends:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last lines of the server's log, secrets redacted by the server itself."""
        file = self._work / "server.log"
        return file.read_text(errors="replace")[-3_000:] if file.exists() else ""

    def read(self, path: str, token: str | None = None) -> bytes:
        """One GET. Raises ``OSError``."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with urlopen(Request(self.base + path, headers=headers), timeout=REQUEST_TIMEOUT_S) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body

    def orders(self) -> list[dict[str, Any]]:
        """All orders of the room, page by page."""
        found: list[dict[str, Any]] = []
        after = ""
        for _ in range(PAGES_MAX):
            path = f"/api/v1/orders?room={self.seed['room']}&limit={PAGE}{after}"
            page = json.loads(self.read(path, self.seed["merchant_token"]))
            found += page["items"]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"
        raise RunError(f"more than {PAGE * PAGES_MAX} orders")

    def cost(self) -> str:
        """What the server used so far, from its own metrics."""
        figures = dict(
            line.split(" ", 1) for line in self.read("/metrics").decode().splitlines() if not line.startswith("#")
        )
        cpu_s, bytes_ = (float(figures[f"process_{name}"]) for name in ("cpu_seconds_total", "resident_memory_bytes"))
        return f"Server: {cpu_s:.1f} s of CPU, {bytes_ / 2**20:.0f} MB"

    def stop(self) -> int:
        """SIGTERM, and the exit code. Raises ``RunError`` when it does not go."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise RunError(f"the server did not stop within {STOP_TIMEOUT_S:.0f} s") from None

    def audit(self) -> list[dict[str, Any]]:
        """The findings of ``siyu audit``. Raises ``RunError``."""
        done = self._siyu("audit", "--json")
        if done.returncode not in (0, 1):
            raise RunError(f"siyu audit failed: {done.stderr.strip()}")
        findings: list[dict[str, Any]] = json.loads(done.stdout)
        return findings


def run_locust(server: Server, work: Path, *, users: int, seconds: int, more: Sequence[str]) -> dict[str, Any]:
    """Run Locust to its end; the counts of our table. Raises ``RunError``."""
    report = work / "report.json"
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py")]
    command += ["--headless", "--only-summary", "--host", server.base, "--users", str(users)]
    command += ["--run-time", f"{seconds}s", "--stop-timeout", str(USER_STOP_S), "--exit-code-on-error", "0"]
    command += [SEED.flag, str(server.seed_file), REPORT.flag, str(report), *more]
    try:
        done = subprocess.run(  # noqa: S603 — our own program
            command, cwd=ROOT, env=_unaimed(), timeout=seconds + LOCUST_GRACE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RunError(f"Locust did not end within {LOCUST_GRACE_S:.0f} s after its time") from None
    if done.returncode != 0 or not report.exists():
        raise RunError(f"Locust ended with {done.returncode}")
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return found


@contextlib.contextmanager
def _folders(data: Path | None) -> Iterator[tuple[Path, Path]]:
    """The data folder and a folder for logs and reports, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="siyu-load-") as name:
        yield data or Path(name) / "data", Path(name)


def _raise_file_limit(users: int) -> None:
    """Server and users need a socket each; Locust inherits what is raised here. Raises ``RunError``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = users * FILES_PER_USER + 1_024
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise RunError(f"{users} users need {wanted} open files; the hard limit is {hard} (ulimit -Hn)")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(users: int, seconds: int, data: Path | None, more: Sequence[str]) -> bool:
    """Seed, serve, load, judge; whether all is well. Raises ``RunError``."""
    _raise_file_limit(users)
    with _folders(data) as (folder, work):
        server = Server(folder, work)
        try:
            server.start()
            print(f"{users} users for {seconds} s against {server.base}, data in {folder}", flush=True)
            report = run_locust(server, work, users=users, seconds=seconds, more=more)
            print(server.cost())
            room = json.loads(server.read(f"/api/v1/rooms/{server.seed['room']}"))
            orders = server.orders()
        except OSError as error:
            raise RunError(f"the server no longer answers ({error}); its log ends:\n{server.log_tail()}") from error
        finally:
            code = server.stop()
        if code != 0:
            raise RunError(f"the server ended with {code}; its log ends:\n{server.log_tail()}")
        findings = server.audit()
    checks = judge(report["tally"], sales=room["sales"], drops=room["drops"], orders=orders, findings=findings)
    well, text = verdict(checks)
    print(f"Requests: {report['requests']}, of which {report['failures']} failed")
    print(text, flush=True)
    return well


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest",
        description="Load a server of its own on loopback, then check that nothing was oversold.",
        epilog="What follows -- goes to Locust.",
    )
    users, seconds = os.environ.get("SIYU_LOAD_USERS", "200"), os.environ.get("SIYU_LOAD_SECONDS", "60")
    parser.add_argument(
        "--users", type=int, default=users, help=f"1 to {USERS_MAX} (environment SIYU_LOAD_USERS; default 200)"
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=seconds,
        help=f"{SECONDS_MIN} to {SECONDS_MAX} (environment SIYU_LOAD_SECONDS; default 60)",
    )
    parser.add_argument("--data", type=Path, default=None, help="data folder to use and keep; one more shop is seeded")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 when all is well, 1 when something was oversold or lost, 2 when it could not be run."""
    given = list(sys.argv[1:] if argv is None else argv)
    ours, more = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    parser = _parser()
    arguments = parser.parse_args(ours)
    if not 1 <= arguments.users <= USERS_MAX or not SECONDS_MIN <= arguments.seconds <= SECONDS_MAX:
        parser.error(f"--users is 1 to {USERS_MAX}, --seconds is {SECONDS_MIN} to {SECONDS_MAX}")
    try:
        return 0 if run(arguments.users, arguments.seconds, arguments.data, more) else 1
    except RunError as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
