"""The supervisor: keeps the ports, starts the workers, watches them, starts again what ends, and passes signals on.

It serves nothing itself and imports no media: what it does for a request is to say, over a worker's link, which worker
has a room (`registry.py`).

    starting ──Ready──► serving ──exit, or no Pong for HUNG_S──► waiting (0.5 s, doubling to 30 s) ──► starting

SIGTERM, SIGINT: every worker drains, all at once; a second one skips the farewells. SIGHUP: one worker after the other
drains and is started anew, the next one when it serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.config import Settings
from gateway.workers.link import Link
from gateway.workers.messages import (
    Claim,
    Fleet,
    Ping,
    Pong,
    Ready,
    Release,
    Told,
    ToSupervisor,
    Welcome,
    Yielded,
    settings_to_dict,
)
from gateway.workers.registry import Registry, Send

logger = logging.getLogger("siyu.workers")

START_S: Final = 240.0
"""From a worker's start to its Ready; migrations are the supervisor's matter, before. On a machine that gives it a
twentieth of a core the imports alone take a minute, and who is killed for that begins them anew."""
PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
STEADY_S: Final = 60.0
"""A worker that served so long begins with short pauses again."""
PING_S: Final = 5.0
HUNG_S: Final = 30.0
"""A worker whose loop does not go round for so long is killed: no request is worth it."""
FAREWELL_MORE_S: Final = 5.0
"""Beyond --drain-s; then a worker is killed."""
TICK_S: Final = 0.1


class WorkerFailed(Exception):
    """A worker could not be started at all; `code` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker ended with {code} before it served")
        self.code = code


def hold_ports(settings: Settings) -> tuple[Settings, list[socket.socket]]:
    """Take the ports that workers share, for as long as the sockets are open; a port of 0 becomes a real one.

    They do not listen, so no connection comes to them; they keep the number while no worker lives.
    Raises ``OSError`` naming the port and its flag.
    """
    held: list[socket.socket] = []
    names = ["http_port", "rtmp_port"]
    if settings.tls_cert is not None:
        settings = replace(settings, rtmps_port=1936 if settings.rtmps_port is None else settings.rtmps_port)
        names.append("rtmps_port")
    try:
        for name in names:
            held.append(_hold(settings.host, getattr(settings, name), f"--{name.replace('_', '-')}"))
            settings = replace(settings, **{name: held[-1].getsockname()[1]})
    except OSError:
        for sock in held:
            sock.close()
        raise
    return settings, held


def _hold(host: str, port: int, flag: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # First as others would: with SO_REUSEPORT alone a second server of the same user would be let in.
    for shared in (False, True):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
            sock.bind((host, port))
            if not shared:
                sock.listen(1)
                sock.close()
        except OSError as error:
            sock.close()
            text = f"cannot listen on {host}:{port}: {error.strerror}; choose another {flag}"
            raise OSError(error.errno, text) from error
    return sock


@dataclass(slots=True)
class _Worker:
    number: int
    process: asyncio.subprocess.Process | None = None
    link: Link[ToSupervisor] | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    heard_s: float = 0.0
    restarts: int = 0


class Supervisor:
    """N workers and what they share. `say` gets the lines to print once all serve."""

    def __init__(
        self, settings: Settings, *, clock: Callable[[], int], say: Callable[[list[str]], None] = lambda lines: None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._say = say
        self._registry = Registry()
        self._workers = [_Worker(number) for number in range(settings.workers)]
        self._folder = ""
        self._stopping = asyncio.Event()
        self._rolling: asyncio.Task[None] | None = None
        self._said = False

    async def run(self) -> None:
        """Serve until a signal. Raises ``OSError`` for a port that is taken, ``WorkerFailed`` at the start."""
        self._settings, held = hold_ports(self._settings)
        # The path of a Unix socket has at most 107 bytes: the data folder's may be longer.
        self._folder = tempfile.mkdtemp(prefix="siyu-")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._roll)
        try:
            async with asyncio.TaskGroup() as group:
                ticking = group.create_task(self._tick())
                keeping = [group.create_task(self._keep(worker)) for worker in self._workers]
                await asyncio.wait(keeping, return_when=asyncio.ALL_COMPLETED)
                ticking.cancel()
        except* WorkerFailed as failed:
            raise failed.exceptions[0] from None
        finally:
            if self._rolling is not None:
                self._rolling.cancel()
            await self._kill_all()
            for sock in held:
                sock.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Have every worker drain and end; called again, without a farewell."""
        logger.info("stopping", extra={"fields": {"signal": signal.Signals(number).name}})
        self._stopping.set()
        for worker in self._workers:
            _send_signal(worker, signal.SIGTERM)

    # — one worker's life —

    async def _keep(self, worker: _Worker) -> None:
        """Run a worker, and again when it ends, until we stop."""
        pause_s = PAUSE_FIRST_S
        loop = asyncio.get_running_loop()
        first = True
        while not self._stopping.is_set():
            began_s = loop.time()
            code = await self._live(worker)
            if self._stopping.is_set():
                return
            if first and not worker.ready.is_set():
                raise WorkerFailed(code)
            first = False
            worker.restarts += 1
            if loop.time() - began_s >= STEADY_S:
                pause_s = PAUSE_FIRST_S
            if self._rolling is None:
                logger.error("worker %d ended with %d, started again in %.1f s", worker.number, code, pause_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._stopping.wait()
                pause_s = min(PAUSE_MAX_S, pause_s * 2)

    async def _live(self, worker: _Worker) -> int:
        """One process from its start to its end; its exit code."""
        ours, theirs = socket.socketpair()
        worker.ready.clear()
        try:
            # A group of its own: a terminal's Ctrl-C is for us, and we alone say when workers go.
            worker.process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.workers.main", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        finally:
            theirs.close()
        link: Link[ToSupervisor] = Link(ToSupervisor, lambda message: self._receive(worker, message), lambda: None)
        await link.open(ours)
        worker.link = link
        worker.heard_s = asyncio.get_running_loop().time()
        self._registry.joined(worker.number)
        registry = self._registry
        fields = settings_to_dict(self._settings)
        link.send(
            Welcome(worker.number, len(self._workers), self._folder, fields, registry.owners, dict(registry.told))
        )
        if self._stopping.is_set():
            _send_signal(worker, signal.SIGTERM)
        code = await self._ended(process)
        link.close()
        worker.link = worker.process = None
        self._send(self._registry.left(worker.number, self._clock()))
        self._tell_fleet()
        return code

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait for a process; once we stop, only so long as a farewell may take."""
        waiting = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        done, _ = await asyncio.wait([waiting], timeout=self._settings.drain_s + FAREWELL_MORE_S)
        if not done:
            logger.error("worker process %d did not end in time, killed", process.pid)
            process.kill()
        return await waiting

    async def _kill_all(self) -> None:
        for worker in self._workers:
            process = worker.process
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()

    # — what workers say —

    def _receive(self, worker: _Worker, message: ToSupervisor) -> None:
        worker.heard_s = asyncio.get_running_loop().time()
        registry, now_ms = self._registry, self._clock()
        match message:
            case Claim():
                self._send(registry.claim(worker.number, message.id, message.room, now_ms, pull=message.pull))
            case Yielded():
                self._send(registry.yielded(worker.number, message.id, now_ms, gone=message.gone))
            case Release():
                self._send(registry.release(worker.number, message.room))
            case Told():
                self._send(registry.tell(worker.number, message.room, message.stream))
            case Ready():
                worker.ready.set()
                self._tell_fleet()
                if not self._said and all(other.ready.is_set() for other in self._workers):
                    self._said = True
                    self._say([*message.lines, f"  {len(self._workers)} workers"])
            case Pong():
                pass  # that it was heard is noted above

    def _send(self, messages: list[Send]) -> None:
        for number, message in messages:
            link = self._workers[number].link
            if link is not None:
                link.send(message)

    def _tell_fleet(self) -> None:
        fleet = Fleet([worker.restarts for worker in self._workers])
        self._send([(worker.number, fleet) for worker in self._workers])

    # — all of them —

    async def _tick(self) -> None:
        """Look after claims without an answer and workers that hang."""
        loop = asyncio.get_running_loop()
        pinged_s = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            self._send(self._registry.tick(self._clock()))
            now_s = loop.time()
            late_s = now_s - pinged_s
            if late_s < PING_S:
                continue
            pinged_s = now_s
            for worker in self._workers:
                limit_s = HUNG_S if worker.ready.is_set() else START_S
                # When we ourselves stood still, nobody could be heard.
                if worker.process is not None and late_s < 2 * PING_S and now_s - worker.heard_s >= limit_s:
                    logger.error("worker %d does not answer, killed", worker.number)
                    _send_signal(worker, signal.SIGKILL)
                elif worker.link is not None:
                    worker.link.send(Ping())

    def _roll(self) -> None:
        """SIGHUP: one worker after the other is started anew."""
        if self._rolling is None and not self._stopping.is_set():
            self._rolling = asyncio.get_running_loop().create_task(self._restart_each())

    async def _restart_each(self) -> None:
        logger.info("restarting the workers one by one")
        try:
            for worker in self._workers:
                process = worker.process
                _send_signal(worker, signal.SIGTERM)
                while worker.process is process or not worker.ready.is_set():
                    if self._stopping.is_set():
                        return
                    await asyncio.sleep(TICK_S)
            logger.info("all workers were restarted")
        finally:
            self._rolling = None


def _send_signal(worker: _Worker, number: int) -> None:
    process = worker.process
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


def run_workers(settings: Settings, *, clock: Callable[[], int], say: Callable[[list[str]], None]) -> int:
    """The exit code of ``siyu serve --workers N``. Raises ``OSError`` for a port that is taken."""

    async def supervise() -> None:
        await Supervisor(settings, clock=clock, say=say).run()

    try:
        asyncio.run(supervise())
    except WorkerFailed as failed:
        return failed.code
    return 0
