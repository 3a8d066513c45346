"""Commands of ``siyu`` in processes forked from one that has imported them: an import takes 1.6 s of CPU.

    test process                              warm process (one per test process, no thread)
    `Warm.start` ── argv, environment, files ─▶ fork ─▶ the command, as ``python -m gateway`` runs it
    `Process`    ◀── pid, then how it ended ── reap

The tests start hundreds of servers. A command with a program before it (strace) or a folder of its own starts cold.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

MODULES = ("alembic.command", "gateway.app", "gateway.seed", "gateway.server", "gateway.upkeep", "gateway.welcome")
START_S = 300.0
Done = subprocess.CompletedProcess[str]
MESSAGE_BYTES_MAX = 128 * 1024


class Process:
    """What of `subprocess.Popen` the tests use, for a command whose parent is the warm process."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self.pid = self._told(START_S)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, the negative number of the signal that ended it, or None."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended. Raises TimeoutExpired."""
        if self.returncode is None:
            self.returncode = self._told(timeout)
            self._pipe.close()
        return self.returncode

    def _told(self, timeout: float | None) -> int:
        self._pipe.settimeout(timeout)
        try:
            said = self._pipe.recv(32)
        except (TimeoutError, BlockingIOError):
            raise subprocess.TimeoutExpired("siyu", timeout or 0) from None
        if not said:
            raise ChildProcessError("the warm process ended")
        return int(said)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Warm:
    """The test process's end."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = theirs.fileno()
        self._process = subprocess.Popen([sys.executable, "-m", "tests.warm", str(number)], pass_fds=[number])
        theirs.close()

    def start(
        self, arguments: Sequence[str], out: IO[bytes], log: IO[bytes], environment: Mapping[str, str]
    ) -> Process:
        """Run ``siyu`` with these arguments, here; its output goes to these files."""
        request = json.dumps([list(arguments), str(Path.cwd()), dict(environment)]).encode()
        assert len(request) <= MESSAGE_BYTES_MAX
        pipe, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._socket, [request], [out.fileno(), log.fileno(), theirs.fileno()])
        return Process(pipe)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> Done:
        """Run a command to its end. Raises TimeoutExpired, when it is killed."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
            process = self.start(arguments, out, log, environment)
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            said = []
            for file in (out, log):
                file.seek(0)
                said.append(file.read().decode())
        return subprocess.CompletedProcess(["siyu", *arguments], code, *said)

    def close(self) -> None:
        """End the warm process; what it started lives on."""
        self._socket.close()
        self._process.wait(START_S)


@functools.cache
def warm() -> Warm:
    """The warm process of this test process."""
    made = Warm()
    atexit.register(made.close)
    return made


def _serve(requests: socket.socket) -> list[str] | None:
    """Fork for each request until the test process ends (None); in the fork, the command's arguments."""
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    # The terminal's Ctrl-C goes to all: the tests end what they started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([requests, wake], [], [])
        if wake in ready:
            wake.recv(4_096)
            _reap(running)
        if requests not in ready:
            continue
        request, files, _, _ = socket.recv_fds(requests, MESSAGE_BYTES_MAX, 3)
        if not request:
            return None
        out, log, number = files
        pipe = socket.socket(fileno=number)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for end in (requests, wake, woken, pipe, *running.values()):
                end.close()
            return _become(json.loads(request), out, log)
        pipe.send(str(pid).encode())
        running[pid] = pipe
        os.close(out)
        os.close(log)


def _reap(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as pipe, contextlib.suppress(BrokenPipeError):
            # Whoever is not interested any more has closed its end.
            pipe.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: tuple[list[str], str, dict[str, str]], out: int, log: int) -> list[str]:
    arguments, folder, environment = request
    for number, target in ((out, 1), (log, 2)):
        os.dup2(number, target)
        os.close(number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    faulthandler.enable()
    sys.argv = ["siyu", *arguments]
    return arguments


def main() -> int:
    """The warm process, and in its forks the command."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    for module in MODULES:
        importlib.import_module(module)
    cli = importlib.import_module("gateway.cli")
    gc.collect()
    gc.freeze()
    arguments = _serve(requests)
    if arguments is None:
        return 0
    gc.unfreeze()
    code: int = cli.main(arguments)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
