"""A Redis of a test's own, on a free port of loopback, and a wire to it that the test can cut."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.outside import need

START_S = 60.0
CRLF = "\r\n"


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """A redis-server that keeps nothing on disk."""

    def __init__(self, folder: Path, *options: str, bind: str = "127.0.0.1") -> None:
        self.bind = bind
        self.program = need("redis-server")
        self.folder = folder
        self.port = free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_at("127.0.0.1")

    def url_at(self, host: str) -> str:
        """The address under which another network reaches it."""
        return f"redis://{host}:{self.port}/0"

    def start(self) -> None:
        """Start, empty, and wait until it answers."""
        where = ["--port", str(self.port), "--bind", *self.bind.split(), "--protected-mode", "no"]
        command = [self.program, *where, "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen([*command, *self.options], stdout=subprocess.DEVNULL)
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), START_S) as wire:
                wire.sendall(b"PING\r\n")
                if wire.recv(16).startswith(b"+PONG"):
                    return
            time.sleep(0.02)
        raise AssertionError("redis-server did not answer")

    def kill(self) -> None:
        """End it at once; what it held is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Let it hang: connections stay, nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def redis_server(folder: Path, *options: str, bind: str = "127.0.0.1") -> Iterator[RedisServer]:
    """A running Redis; killed at the end."""
    server = RedisServer(folder, *options, bind=bind)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


class Wire:
    """A TCP proxy to a port. Cut, it swallows what comes and keeps the connections, as a network that is gone does."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self) -> None:
        """Let nothing through in either way."""
        self._open.clear()

    def mend(self) -> None:
        """Let all through again, what was swallowed meanwhile included."""
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._open.wait()
            there, thither = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, thither))
                    both.create_task(self._pass(there, writer))
            finally:
                thither.transport.abort()
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            return
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        raise OSError("the other side closed")

    def end(self) -> None:
        """Cut all connections."""
        for task in self._tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def wire(target: int) -> AsyncIterator[Wire]:
    """A proxy to a port of loopback."""
    line = Wire(target)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        line.end()


@contextlib.contextmanager
def redis_cluster(folder: Path, size: int = 3) -> Iterator[list[RedisServer]]:
    """A cluster of so many primaries that share the slots."""
    with contextlib.ExitStack() as stack:
        servers = []
        # Of its own: by itself it is 10,000 above the other, and may be none.
        ports = [str(free_port()) for _ in range(size)]
        for number in range(size):
            (folder / str(number)).mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--cluster-port", ports[number])
            servers.append(stack.enter_context(redis_server(folder / str(number), *options)))
        share = -(-16384 // size)
        for number, server in enumerate(servers):
            command(server, "CLUSTER", "ADDSLOTSRANGE", str(number * share), str(min(16383, (number + 1) * share - 1)))
            command(server, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for server in servers[1:]:
            command(server, "CLUSTER", "MEET", "127.0.0.1", str(servers[0].port), ports[0])
        deadline_s = time.monotonic() + START_S
        while any("cluster_state:ok" not in command(server, "CLUSTER", "INFO") for server in servers):
            assert time.monotonic() < deadline_s, "the cluster did not form"
            time.sleep(0.05)
        yield servers


def command(server: RedisServer, *words: str) -> str:
    """Give Redis one command; its answer as it came."""
    with socket.create_connection(("127.0.0.1", server.port), START_S) as wire:
        wire.sendall(f"*{len(words)}\r\n{''.join(f'${len(word)}{CRLF}{word}{CRLF}' for word in words)}".encode())
        answer = wire.recv(65536).decode()
    assert not answer.startswith("-"), answer
    return answer
