"""A rush over the hub: a whole server with a sale of 100 units, and people who each send attempts on their socket."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import orjson
import uvloop

from gateway.app import Application
from gateway.auth import Tokens
from gateway.bench.clock import system_clock
from gateway.bench.people import person
from gateway.bench.process import WAIT_S, BenchError, Meter
from gateway.bench.sink import HOST, READ_BYTES, READY_MAX
from gateway.bench.waiting import until_told
from gateway.config import Settings
from gateway.secrets import open_secrets
from gateway.seed import seed
from gateway.server import Server, freeze_start_up, serve

UNITS = 100
TOKEN_S = 3_600
ANSWER = b'"re":'
GRANTED = b'"hold":'
FRAME_SHORT_MAX = 125
START_S = 30.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where the rush goes in: a port, the room, the sale, and a token for each person."""

    port: int
    room: str
    sale: str
    tokens: tuple[str, ...]


def hub_server(pipe: Connection, folder: str, people: int) -> None:
    """Serve a sale, and say what the rush cost this process."""
    uvloop.run(_hub_server(pipe, Path(folder), people))


async def _hub_server(pipe: Connection, folder: Path, people: int) -> None:
    async with hub_up(folder, people, UNITS) as (server, door):
        pipe.send(door)
        await until_told(pipe)
        ledger = server.services.shop.ledger
        asked, meter = ledger.commands, Meter()
        pipe.send("measuring")
        await until_told(pipe)
        spent, asked = meter.read(), ledger.commands - asked
        left = (await server.services.shop.sale(door.sale)).left
    if left != max(0, UNITS - people):
        raise BenchError(f"{left} of {UNITS} units are left after the rush of {people}")
    pipe.send({"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "asked": float(asked)})


@asynccontextmanager
async def hub_up(folder: Path, people: int, units: int) -> AsyncIterator[tuple[Application, Door]]:
    """A whole server in this process with an open sale of so many units, and tokens for so many people."""
    settings = Settings(data=folder / "data", http_port=0, rtmp_port=0, udp_port=0, drain_s=2.0, log_level="error")
    secrets = open_secrets(settings.data)
    seeded = await seed(settings, secrets)
    stop = asyncio.Event()
    up: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ready=up.set_result, stop=stop))
    async with asyncio.timeout(START_S):
        server = await up
    assert isinstance(server, Application)
    freeze_start_up()
    shop, sku = server.services.shop, str(seeded.products[1]["sku"])
    await shop.stock_up(seeded.merchant, sku, units)
    sale = await shop.create_sale(seeded.merchant, seeded.room, sku, 990, 990, units, 1, hold_s=900, length_s=1_200)
    await shop.start_sale(seeded.merchant, sale.sale, 0)
    tokens = Tokens(secrets.key("tokens"), ttl_s=TOKEN_S, clock=system_clock)
    minted = tuple(
        tokens.mint(person=person(n), name="people", role="viewer", merchant=seeded.merchant, room=seeded.room)[0]
        for n in range(people)
    )
    yield server, Door(server.addresses.http_port, seeded.room, sale.sale, minted)
    stop.set()
    await task


def rush(pipe: Connection, door: Door, attempts: int) -> None:
    """Open a socket for each person, then send all attempts in waves and count the answers. Raises BenchError."""
    # A repeat of a grant is a grant told again, so there may be more of these than units.
    send_waves(pipe, door, [hold_frame(door, wave) for wave in range(attempts)])


def send_waves(pipe: Connection, door: Door, frames: Sequence[bytes]) -> None:
    """Open a socket for each person, send each frame from everybody and count the answers. Raises BenchError."""
    crowd = Crowd(door)
    pipe.send("connected")
    pipe.recv()
    for frame in frames:
        crowd.send(frame)
        crowd.read(0.0)
    deadline_s = time.monotonic() + WAIT_S
    while crowd.answered < len(frames) * len(door.tokens):
        if time.monotonic() > deadline_s:
            raise BenchError(f"{crowd.answered} answers came to {len(frames) * len(door.tokens)} commands")
        crowd.read(0.5)
    pipe.send({"answered": float(crowd.answered), "granted": float(crowd.granted)})
    crowd.close()


class Crowd:
    """Sockets that write ready-made frames and look for answers in what they read."""

    def __init__(self, door: Door) -> None:
        self.answered = 0
        self.granted = 0
        self._buffer = bytearray(READ_BYTES)
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._tails: dict[int, bytes] = {}
        for token in door.tokens:
            client = enter(door, token)
            self._sockets[client.fileno()] = client
            self._tails[client.fileno()] = b""
            self._epoll.register(client.fileno(), select.EPOLLIN)

    def send(self, frame: bytes) -> None:
        """The same frame from everybody."""
        for client in self._sockets.values():
            client.sendall(frame)

    def read(self, wait_s: float) -> None:
        """Count the answers that are there."""
        for number, _ in self._epoll.poll(wait_s, READY_MAX):
            size = self._sockets[number].recv_into(self._buffer)
            if not size:
                raise BenchError("the hub closed a socket in the rush")
            # An answer may lie across two reads: the end of the last is looked at again, too short to hold a whole one.
            seen = self._tails[number] + self._buffer[:size]
            self.answered += seen.count(ANSWER)
            self.granted += seen.count(GRANTED)
            self._tails[number] = bytes(seen[-(len(ANSWER) - 1) :])

    def close(self) -> None:
        """Leave."""
        for client in self._sockets.values():
            client.close()


def enter(door: Door, token: str) -> socket.socket:
    """A socket in the room. Raises BenchError."""
    client = socket.create_connection((HOST, door.port), timeout=WAIT_S)
    client.sendall(_upgrade(door.room, token))
    head = client.recv(READ_BYTES)
    if not head.startswith(b"HTTP/1.1 101"):
        raise BenchError(f"the hub let nobody in: {head[:200]!r}")
    return client


def hold_frame(door: Door, wave: int) -> bytes:
    """An attempt at the sale with a key of the wave's own."""
    return command_frame({"id": wave + 1, "cmd": "sale.hold", "sale": door.sale, "quantity": 1, "key": f"key-{wave}"})


def _upgrade(room: str, token: str) -> bytes:
    return (
        f"GET /ws/{room}?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def command_frame(command: dict[str, object]) -> bytes:
    """A text frame of a client, masked with zeros (RFC 6455 section 5.3 asks for a mask, not for which)."""
    payload = orjson.dumps(command)
    if len(payload) <= FRAME_SHORT_MAX:
        return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload
