"""Workers that take hosts, in one process: everything of a worker but the shop, and a registry between them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable

import httpx
import msgspec
from starlette.applications import Starlette

from gateway.addresses import Addresses
from gateway.auth import PlayPass
from gateway.client import Clients
from gateway.config import Settings
from gateway.doors import Admitted, Wish, node_id
from gateway.errors import Problem
from gateway.metrics import Figures
from gateway.streaming import Streaming
from gateway.workers import cluster
from gateway.workers.messages import Claim, Release, Told, ToWorker, Welcome, Yielded, settings_to_dict
from gateway.workers.part import Seat, WorkerPart
from gateway.workers.registry import Registry, Send
from stream.directory import Directory, Publication
from stream.errors import PublishRefused
from stream.origin import Origin
from stream.rtmp_peers import PublishRequest
from tests.stream.stage import Host, clock_ms

ROOM = "room"
KEY = "the right key"
PATIENCE_S = 60.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


class Line:
    """A worker's link: what is said arrives in the next turn of the loop, as bytes would."""

    def __init__(self, node: Node, worker: int) -> None:
        self._node = node
        self._worker = worker
        self.receive: Callable[[ToWorker], None] | None = None

    def send(self, message: msgspec.Struct) -> None:
        asyncio.get_running_loop().call_soon(self._node.hear, self._worker, message)

    def listen(self, receive: Callable[[ToWorker], None]) -> None:
        self.receive = receive


class OneRoom:
    """Doors without a shop behind them: one room, which anybody may play and one key opens."""

    hosts = True

    def __init__(self) -> None:
        self.node = node_id()

    def glance(self, wish: Wish) -> Admitted:
        return None if wish.room == ROOM else Problem(404, "no_stream", "no such room")

    async def play(self, wish: Wish) -> Admitted:
        return self.glance(wish)

    def is_revoked(self, room: str, play_pass: PlayPass) -> bool:
        return False

    async def rtmp_host(self, request: PublishRequest) -> Origin:
        if request.key != KEY:
            raise PublishRefused("NetStream.Publish.BadName", "wrong key")
        return Origin("rtmp", "room", "", request.address)

    def whip_origin(self, room: str, token: str, address: str) -> Origin:
        if token != KEY:
            raise Problem(401, "key", "wrong key")
        return Origin("whip", "room", "", address)

    async def authorize_host(self, room: str, origin: Origin) -> None:
        """Whoever has the key may begin."""


class Worker:
    """One worker without a shop."""

    def __init__(self, node: Node, number: int) -> None:
        self.node = node
        self.number = number
        self.line = Line(node, number)
        settings = Settings(workers=node.count, rtmp_port=0, udp_port=0)
        registry = node.registry
        fields = settings_to_dict(settings)
        welcome = Welcome(number, node.count, node.folder, fields, dict(registry.owners), dict(registry.told))
        self.directory = Directory(node.clock)
        self.part = WorkerPart(Seat(welcome, self.line), settings, self.directory, OneRoom(), clock=node.clock)
        self.streaming = Streaming(
            settings,
            self.directory,
            self.part.doors,
            clock=node.clock,
            addresses=Addresses(settings, http_port=0, rtmp_port=0),
            clients=Clients(settings),
            rtmp_connections=32,
            puller=self.part.puller,
            fleet=self.part,
        )
        self.part.attach(self.streaming.webrtc_routes.own_sessions(), self.figures)
        transport = httpx.ASGITransport(app=Starlette(routes=self.streaming.routes()))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://worker", timeout=PATIENCE_S)

    def figures(self) -> Figures:
        yield from self.streaming.figures()

    async def start(self) -> None:
        self.directory.start()
        await self.part.start()
        await self.streaming.start()

    async def publish(self, host: Host | None = None) -> Publication:
        """Come as a host with the right key."""
        await self.part.doors.rtmp_host(PublishRequest("live", ROOM, KEY, "127.0.0.1"))
        return self.directory.publish(ROOM, host or Host(), self.node.clock())

    async def close(self) -> None:
        await self.client.aclose()
        await self.part.close()
        for shut in self.streaming.shutters():
            ended = shut()
            if ended is not None:
                await ended
        self.directory.close()


class Node:
    """The workers and what stands between them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.stopped_ms: int | None = None
        """The time at which the workers' clocks stand, when they do."""
        self.folder = tempfile.mkdtemp(prefix="siyu-")
        self.registry = Registry()
        self.workers = [Worker(self, number) for number in range(count)]

    def clock(self) -> int:
        """Unix ms."""
        return clock_ms() if self.stopped_ms is None else self.stopped_ms

    def hear(self, worker: int, message: object) -> None:
        registry, now_ms = self.registry, self.clock()
        match message:
            case Claim():
                self.say(registry.claim(worker, message.id, message.room, now_ms, pull=message.pull))
            case Yielded():
                self.say(registry.yielded(worker, message.id, now_ms, gone=message.gone))
            case Release():
                self.say(registry.release(worker, message.room))
            case Told():
                self.say(registry.tell(worker, message.room, message.stream))

    def say(self, messages: list[Send]) -> None:
        for number, message in messages:
            receive = self.workers[number].line.receive
            if receive is not None:
                receive(message)

    async def lose(self, worker: Worker) -> None:
        """A worker dies."""
        worker.line.receive = None
        await worker.close()
        self.say(self.registry.left(worker.number, clock_ms()))


@contextlib.asynccontextmanager
async def node_of(count: int) -> AsyncIterator[Node]:
    """So many workers, closed at the end."""
    node = Node(count)
    # A test may be halted for longer than a supervisor ever takes.
    claim_s, cluster.CLAIM_S = cluster.CLAIM_S, PATIENCE_S
    try:
        for worker in node.workers:
            node.registry.joined(worker.number)
            await worker.start()
        yield node
    finally:
        for worker in node.workers:
            if worker.line.receive is not None:
                await worker.close()
        cluster.CLAIM_S = claim_s
        shutil.rmtree(node.folder)
