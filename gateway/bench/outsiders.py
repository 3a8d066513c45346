"""Servers of other people, run beside ours in the same run: nginx with its RTMP module, programs of Node.js and Python.

Nothing of theirs is in this repository. nginx is Debian's (`nginx-light libnginx-mod-rtmp`); packages of npm and pip
are installed on first use into the user's cache (`$XDG_CACHE_HOME/siyu-bench`, else `~/.cache/siyu-bench`), in the
version named here. One that cannot be had is left out, and the report says so and why. With
`SIYU_BENCH_OUTSIDERS=no` none is run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from gateway.bench.process import WAIT_S, BenchError, Spent
from gateway.bench.sink import HOST

OUTSIDERS_VARIABLE = "SIYU_BENCH_OUTSIDERS"
INSTALL_TIMEOUT_S = 180.0
STOP_S = 5.0
CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
NGINX_MODULES = Path("/usr/lib/nginx/modules")
NODE_MEDIA_SERVER = "node-media-server@4.4.3"


class OutsiderMissing(Exception):
    """A program that is not here and cannot be had; the text says which and why."""


def find_program(name: str, *beside: str) -> str:
    """The path of a program. Raises OutsiderMissing."""
    if os.environ.get(OUTSIDERS_VARIABLE) == "no":
        raise OutsiderMissing(f"{OUTSIDERS_VARIABLE}=no")
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *beside)))
    if path is None:
        raise OutsiderMissing(f"{name} is not installed")
    return path


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Outsider:
    """A server's process, on the given cores, that is ready when it listens on `port`; killed at the end.

    Its words go to a file that is shown when it does not start.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        *,
        folder: Path,
        cpus: set[int],
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self._name = Path(command[0]).name
        self._log = log or folder / "outsider.log"
        # A process inherits its cores: set later, they would not hold for the threads that it has made by then.
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cpus)
        try:
            with self._log.open("wb") as words:
                self._process = subprocess.Popen(
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                )
        finally:
            os.sched_setaffinity(0, ours)

    def __enter__(self) -> Outsider:
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError):
                socket.create_connection((HOST, self.port), timeout=1).close()
                return self
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise BenchError(f"{self._name} did not start: {self.said()[-2_000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; its connections are closed by the kernel."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_S)

    def spend(self, seconds: float) -> Spent:
        """What its process spends in so many seconds from now, all threads, user and kernel."""
        before_s, start_s = self.cpu_s(), time.perf_counter()
        time.sleep(seconds)
        cpu_s, wall_s = self.cpu_s() - before_s, time.perf_counter() - start_s
        return Spent(max(cpu_s, 1 / CLOCK_TICKS_PER_S), wall_s)

    def cpu_s(self) -> float:
        """What it has spent since its start. Raises BenchError when it has ended."""
        # proc(5): utime and stime are fields 14 and 15; the second may hold spaces, and ends with the last bracket.
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S

    def rss_bytes(self) -> int:
        """Its resident memory now. Raises BenchError when it has ended."""
        line = next(line for line in self._proc("status").splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def said(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def _proc(self, name: str) -> str:
        if self._process.poll() is not None:
            raise BenchError(f"{self._name} ended: {self.said()[-2_000:]}")
        return Path(f"/proc/{self._process.pid}/{name}").read_text(encoding="utf-8")


@contextlib.contextmanager
def nginx_rtmp(cpus: set[int]) -> Iterator[Outsider]:
    """nginx with its RTMP module, one process, application `live`. Raises OutsiderMissing."""
    program = find_program("nginx", "/usr/sbin", "/usr/local/sbin")
    module = NGINX_MODULES / "ngx_rtmp_module.so"
    if not module.exists():
        raise OutsiderMissing("nginx's RTMP module is not installed (libnginx-mod-rtmp)")
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as name:
        folder, port = Path(name), free_port()
        (folder / "nginx.conf").write_text(
            f"load_module {module};\ndaemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n"
            f"error_log {folder}/error.log warn;\nworker_rlimit_nofile 20000;\nevents {{ worker_connections 19000; }}\n"
            # As its manual's example for live broadcast; access_log off as ours writes none for each viewer either.
            f"rtmp {{ access_log off; server {{ listen {HOST}:{port}; chunk_size 4096;\n"
            "    application live { live on; } } }\n",
            encoding="utf-8",
        )
        command = [program, "-e", f"{folder}/error.log", "-p", name, "-c", f"{folder}/nginx.conf"]
        with Outsider(command, port, folder=folder, cpus=cpus) as server:
            yield server


@contextlib.contextmanager
def node_media_server(cpus: set[int]) -> Iterator[tuple[Outsider, int]]:
    """node-media-server, and the port of its HTTP-FLV; the outsider's own port is RTMP's. Raises OutsiderMissing."""
    modules = npm_modules(NODE_MEDIA_SERVER)
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as name:
        rtmp, http = free_port(), free_port()
        folder = Path(name)
        (folder / "server.js").write_text(
            f"const Server = require({str(modules / 'node-media-server')!r});\n"
            f"new Server({{bind: '{HOST}', rtmp: {{port: {rtmp}}}, http: {{port: {http}}},\n"
            f"  record: {{auto: false}}, store: {{path: {name!r}}}}}, '').run();\n",
            encoding="utf-8",
        )
        with Outsider([find_program("node"), f"{folder}/server.js"], rtmp, folder=folder, cpus=cpus) as server:
            yield server, http


def npm_modules(package: str) -> Path:
    """The folder that holds the modules of `name@version`, installed now if need be. Raises OutsiderMissing."""
    find_program("node")
    command = [find_program("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", package]
    return _installed(package, command, {"package.json": '{"private": true}'}) / "node_modules"


def pip_packages(package: str) -> Path:
    """A folder to import `name==version` from, installed now if need be. Raises OutsiderMissing."""
    find_program(Path(sys.executable).name, str(Path(sys.executable).parent))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    return _installed(package, [*pip, "--target", ".", package], {})


def _installed(package: str, command: Sequence[str], files: Mapping[str, str]) -> Path:
    """The folder in the user's cache where a command installed a package, run now if it was not before."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siyu-bench"
    folder = cache / package.replace("/", "+")
    if folder.exists():
        return folder
    print(f"installing {package} into {folder} …", file=sys.stderr, flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    # Into a folder beside it first: one that is half full would be taken for good.
    with tempfile.TemporaryDirectory(dir=cache) as fresh:
        for name, text in files.items():
            Path(fresh, name).write_text(text, encoding="utf-8")
        try:
            done = subprocess.run(
                command, cwd=fresh, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise OutsiderMissing(f"{package} was not installed within {INSTALL_TIMEOUT_S:.0f} s") from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise OutsiderMissing(f"{package} could not be installed: {last}")
        shutil.copytree(fresh, folder, symlinks=True)
    return folder
